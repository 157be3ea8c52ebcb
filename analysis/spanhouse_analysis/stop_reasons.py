"""Why a run ended, where nobody said so: an ordered list of small rules over signs, the first that speaks wins."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from spanhouse.errors import ErrorType
from spanhouse.stop_reasons import StopCode, StopReason
from spanhouse_analysis.classes import GUARDRAIL, MODEL, TOOL

HANDOVER_TOOLS: Final = ("transfer_to_human*",)
"""Tools that hand the run to a person, as shell patterns."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failing span.

    Attributes:
        types: exception and error type as the span said them, one text.
        name: the tool's name on a tool span, else the span's own.
    """

    span_class: str = ""
    name: str = ""
    types: str = ""
    message: str = ""

    @property
    def text(self) -> str:
        """Everything the span said about its failure."""
        return f"{self.types} {self.message}"


@dataclass(frozen=True, slots=True)
class Signs:
    """What an ended run shows of its end.

    Attributes:
        reported: the stop reason the run span carries, else empty.
        root: the run span's own failure, None where it is fine.
        innermost: the last failing span below the root that nothing went on after, the root where there is none.
        finish_reasons: of the last counted model call.
        handed_over: the last tool call made hands the run to a person.
        guardrail: name of a failing guardrail span, else empty.
    """

    reported: str = ""
    root: Failure | None = None
    innermost: Failure | None = None
    finish_reasons: tuple[str, ...] = ()
    handed_over: bool = False
    guardrail: str = ""

    @property
    def text(self) -> str:
        """Everything the root and the innermost failing span said."""
        return " ".join(failure.text for failure in (self.root, self.innermost) if failure)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The one stop reason of an ended run and who said it: ``reported`` or ``inferred``."""

    reason: StopReason
    source: str


Rule: TypeAlias = Callable[[Signs], StopReason | None]

_STEPS = re.compile(
    r"max_?turns|graph_?recursion|recursion limit|max(imum)?[ _]?(number of )?(iterations|steps|turns)", re.IGNORECASE
)
_LIMIT = re.compile(r"usage_?limit|budget_?exceeded|token_?limit", re.IGNORECASE)
_CONTEXT = re.compile(r"context[ _]?(length|window)|prompt is too long|maximum context|context_overflow", re.IGNORECASE)
_GUARD = re.compile(r"guardrail|tripwire|blocked by policy|policy[ _]?(denied|violation)", re.IGNORECASE)
_DENIED = re.compile(r"permission[ _]?denied|permissionerror", re.IGNORECASE)
_CANCELLED = re.compile(r"cancell?ed|keyboard_?interrupt", re.IGNORECASE)
_TIMEOUT = re.compile(r"time[d _-]*out|deadline[ _]?exceeded", re.IGNORECASE)
_NAMED_LIMITS: Final = (
    (re.compile(r"tool[ _]?calls?", re.IGNORECASE), StopCode.MAX_TOOL_CALLS),
    (re.compile(r"requests?[ _]?limit|steps?\b|turns?\b|iterations?", re.IGNORECASE), StopCode.MAX_STEPS),
    (re.compile(r"usd|dollar|cost|spend|\$", re.IGNORECASE), StopCode.MAX_USD),
    (re.compile(r"second|duration|wall.?clock", re.IGNORECASE), StopCode.MAX_SECONDS),
)
_ERROR_TYPES: Final = (
    (re.compile(r"rate[ _]?limit|too many requests|quota|\b429\b", re.IGNORECASE), ErrorType.RATE_LIMIT),
    (re.compile(r"content[ _]?(filter|policy)|safety", re.IGNORECASE), ErrorType.CONTENT_FILTER),
    (re.compile(r"auth|api[ _]?key|permission|forbidden|\b40[13]\b", re.IGNORECASE), ErrorType.AUTH),
    (_TIMEOUT, ErrorType.TIMEOUT),
    (
        re.compile(r"unavailable|overloaded|internal ?server|bad gateway|connection|\b5\d\d\b", re.IGNORECASE),
        ErrorType.UNAVAILABLE,
    ),
    (re.compile(r"malformed|json|parse|decod|unexpected ?model", re.IGNORECASE), ErrorType.MALFORMED),
    (re.compile(r"invalid|bad ?request|validation|unprocessable|\b4(00|22)\b", re.IGNORECASE), ErrorType.INVALID_INPUT),
)


def error_type_of(text: str) -> ErrorType:
    """Return which of the closed error types a failure's text names; ``other`` where it names none."""
    if text.strip().lower() in set(ErrorType):
        return ErrorType(text.strip().lower())
    return next((kind for pattern, kind in _ERROR_TYPES if pattern.search(text)), ErrorType.OTHER)


def _too_many_steps(signs: Signs) -> StopReason | None:
    return StopReason(StopCode.MAX_STEPS) if signs.root and _STEPS.search(signs.text) else None


def _limit_used_up(signs: Signs) -> StopReason | None:
    if not signs.root or not _LIMIT.search(signs.text):
        return None
    message = " ".join(failure.message for failure in (signs.root, signs.innermost) if failure)
    return StopReason(next((code for pattern, code in _NAMED_LIMITS if pattern.search(message)), StopCode.MAX_TOKENS))


def _context_full(signs: Signs) -> StopReason | None:
    return StopReason(StopCode.CONTEXT_OVERFLOW) if signs.root and _CONTEXT.search(signs.text) else None


def _refused(signs: Signs) -> StopReason | None:
    if not signs.root:
        return None
    inner = signs.innermost or signs.root
    # A provider that refuses the key says "permission denied" too; that is an error of the model call.
    if not _GUARD.search(signs.text) and (inner.span_class == MODEL or not _DENIED.search(signs.text)):
        return None
    named = inner.name if inner.span_class in {TOOL, GUARDRAIL} else signs.guardrail
    return StopReason(StopCode.POLICY_DENY, named or "guardrail")


def _cancelled(signs: Signs) -> StopReason | None:
    return StopReason(StopCode.CANCELLED) if signs.root and _CANCELLED.search(signs.text) else None


def _timed_out(signs: Signs) -> StopReason | None:
    if not signs.root or not _TIMEOUT.search(signs.text):
        return None
    if signs.innermost and signs.innermost.span_class == TOOL:
        return StopReason(StopCode.TOOL_TIMEOUT, signs.innermost.name)
    return StopReason(StopCode.MAX_SECONDS)


def _model_failed(signs: Signs) -> StopReason | None:
    if not signs.root or not signs.innermost or signs.innermost.span_class != MODEL:
        return None
    return StopReason(StopCode.MODEL_ERROR, error_type_of(signs.innermost.text).value)


def _tool_failed(signs: Signs) -> StopReason | None:
    if not signs.root or not signs.innermost or signs.innermost.span_class != TOOL:
        return None
    return StopReason(StopCode.TOOL_ERROR_EXHAUSTED, signs.innermost.name)


def _failed(signs: Signs) -> StopReason | None:
    if not signs.root:
        return None
    types = signs.root.types.split() or (signs.innermost.types.split() if signs.innermost else [])
    return StopReason(StopCode.ERROR, types[0].rpartition(".")[2] if types else ErrorType.OTHER.value)


def _answer_cut(signs: Signs) -> StopReason | None:
    if "length" in signs.finish_reasons:
        return StopReason(StopCode.MAX_TOKENS)
    if "content_filter" in signs.finish_reasons:
        return StopReason(StopCode.MODEL_ERROR, ErrorType.CONTENT_FILTER.value)
    return None


def _handed_over(signs: Signs) -> StopReason | None:
    return StopReason(StopCode.ESCALATED) if signs.handed_over else None


RULES: Final[tuple[Rule, ...]] = (
    _too_many_steps,
    _limit_used_up,
    _context_full,
    _refused,
    _cancelled,
    _timed_out,
    _model_failed,
    _tool_failed,
    _failed,
    _answer_cut,
    _handed_over,
)
"""The inference rules in their order; a run that none speaks for did ``finish``."""


def judge(signs: Signs) -> Verdict:
    """Return the one stop reason of an ended run; a legible reported one always wins."""
    if signs.reported:
        # A foreign word for the end is no stop code; it stays on the span, and the signs decide.
        with contextlib.suppress(ValueError):
            return Verdict(StopReason.parse(signs.reported), "reported")
    spoken = (rule(signs) for rule in RULES)
    reason = next((reason for reason in spoken if reason is not None), StopReason(StopCode.FINISH))
    return Verdict(reason, "inferred")


ABANDONED: Final = Verdict(StopReason(StopCode.ABANDONED), "inferred")
"""A run without an end that gave no sign of life for the lease."""
