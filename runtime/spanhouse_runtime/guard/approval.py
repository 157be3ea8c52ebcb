"""Asking a person about one call: what they are shown, what they answer, and who carries it there and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """What a person is asked about.

    Attributes:
        run_id, request_id, tenant, user_id, agent: where the call comes from; empty where not known.
        tool, arguments, args_hash: the call; an answer holds for these arguments alone.
        rule, why: the policy rule that asks, and its reason.
        policy_version: fingerprint of the policy that asks; a changed policy is asked again before the call is made.
        expires_in: seconds after which silence is a refusal.
    """

    run_id: str
    request_id: str
    tenant: str
    user_id: str
    agent: str
    tool: str
    arguments: Mapping[str, Any]
    args_hash: str
    rule: str
    why: str
    policy_version: str
    expires_in: float


@dataclass(frozen=True, slots=True)
class ApprovalAnswer:
    """What a person said.

    Attributes:
        approved: whether the call may be made.
        by: who said so.
        reason: why, in their words.
        args_hash: the arguments they saw; an answer about others is none.
        arguments: other arguments to make the call with, where they changed them.
    """

    approved: bool
    by: str
    reason: str = ""
    args_hash: str = ""
    arguments: Mapping[str, Any] | None = None


class Approver(Protocol):
    """Carries questions to people. Both methods may block; what they raise refuses the call."""

    def ask(self, request: ApprovalRequest) -> str:
        """Put the question and return its id."""

    def answer(self, approval_id: str) -> ApprovalAnswer | None:
        """Return what was said, or None while nobody has."""

    def withdraw(self, approval_id: str) -> None:
        """Take the question back: its time is up, or the run has ended."""
