"""Why a run ended: the closed list of stop reasons, and the text form ``code`` or ``code:subject``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class StopCode(StrEnum):
    """Every way a run can end. A run has exactly one; outcome (did it succeed?) is another question."""

    FINISH = "finish"
    MAX_STEPS = "max_steps"
    MAX_TOOL_CALLS = "max_tool_calls"
    MAX_SECONDS = "max_seconds"
    MAX_USD = "max_usd"
    MAX_TOKENS = "max_tokens"
    POLICY_DENY = "policy_deny"
    APPROVAL_DENIED = "approval_denied"
    APPROVAL_TIMEOUT = "approval_timeout"
    TOOL_TIMEOUT = "tool_timeout"
    TOOL_ERROR_EXHAUSTED = "tool_error_exhausted"
    TOOL_UNHEALTHY = "tool_unhealthy"
    RATE_LIMITED = "rate_limited"
    DISABLED = "disabled"
    LOOP_DETECTED = "loop_detected"
    GOAL_DRIFT = "goal_drift"
    CONTEXT_OVERFLOW = "context_overflow"
    MODEL_ERROR = "model_error"
    ESCALATED = "escalated"
    OPERATOR_KILL = "operator_kill"
    CANCELLED = "cancelled"
    ERROR = "error"
    ABANDONED = "abandoned"
    UNKNOWN = "unknown"


NEEDS_SUBJECT = frozenset(
    {
        StopCode.POLICY_DENY,
        StopCode.APPROVAL_DENIED,
        StopCode.APPROVAL_TIMEOUT,
        StopCode.TOOL_TIMEOUT,
        StopCode.TOOL_ERROR_EXHAUSTED,
        StopCode.TOOL_UNHEALTHY,
        StopCode.RATE_LIMITED,
        StopCode.DISABLED,
        StopCode.MODEL_ERROR,
        StopCode.ERROR,
    }
)
"""Codes that say little without naming the tool, model error or scope."""


@dataclass(frozen=True, slots=True)
class StopReason:
    """A stop code and, where it has one, its subject: the tool, the budget scope or the error type.

    >>> str(StopReason(StopCode.POLICY_DENY, "send_email"))
    'policy_deny:send_email'
    """

    code: StopCode
    subject: str = ""

    def __str__(self) -> str:
        return f"{self.code.value}:{self.subject}" if self.subject else self.code.value

    @classmethod
    def parse(cls, text: str) -> StopReason:
        """Return the reason written as ``code`` or ``code:subject``.

        Raises:
            ValueError: the part before the colon is no stop code; the message lists the codes.
        """
        head, _, subject = text.partition(":")
        try:
            return cls(StopCode(head), subject)
        except ValueError:
            msg = f"unknown stop reason {text!r}: the part before ':' must be one of {', '.join(StopCode)}"
            raise ValueError(msg) from None


class Outcome(StrEnum):
    """Whether a run did what it was for. A run can ``finish`` and still fail."""

    SUCCESS = "success"
    FAILURE = "failure"
    UNKNOWN = "unknown"
