"""What each stop reason, outcome and span class means to a reader: a sentence, a family, an icon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spanhouse.stop_reasons import StopCode, StopReason

BadgeColor = Literal["red", "orange", "green", "violet", "blue", "gray"]


@dataclass(frozen=True, slots=True)
class Family:
    """Stop reasons that call for the same reaction; `color` is the badge's, `icon` says the same without colour."""

    name: str
    color: BadgeColor
    icon: str


FINISHED = Family("finished", "green", ":material/check_circle:")
LIMIT = Family("limit", "orange", ":material/speed:")
CONTROL = Family("control", "violet", ":material/shield:")
FAILED = Family("failed", "red", ":material/error:")
HANDED_OVER = Family("handed over", "blue", ":material/person_raised_hand:")
UNCLEAR = Family("unclear", "gray", ":material/help:")
FAMILIES = (FINISHED, LIMIT, CONTROL, FAILED, HANDED_OVER, UNCLEAR)


@dataclass(frozen=True, slots=True)
class Meaning:
    """One stop code's family and what happened, in a sentence; `{subject}` stands for the part after the colon."""

    family: Family
    sentence: str


STOP_MEANINGS: dict[StopCode, Meaning] = {
    StopCode.FINISH: Meaning(FINISHED, "The agent said it was done."),
    StopCode.MAX_STEPS: Meaning(LIMIT, "The run used all the steps it was allowed."),
    StopCode.MAX_TOOL_CALLS: Meaning(LIMIT, "The run used all the tool calls it was allowed."),
    StopCode.MAX_SECONDS: Meaning(LIMIT, "The run used all the time it was allowed."),
    StopCode.MAX_USD: Meaning(LIMIT, "The run used all the money it was allowed."),
    StopCode.MAX_TOKENS: Meaning(LIMIT, "The run used all the tokens it was allowed."),
    StopCode.POLICY_DENY: Meaning(CONTROL, "A policy refused {subject}, and the run stopped there."),
    StopCode.APPROVAL_DENIED: Meaning(CONTROL, "A person refused the call of {subject}."),
    StopCode.APPROVAL_TIMEOUT: Meaning(CONTROL, "Nobody approved the call of {subject} in time."),
    StopCode.TOOL_TIMEOUT: Meaning(FAILED, "{subject} did not answer in time."),
    StopCode.TOOL_ERROR_EXHAUSTED: Meaning(FAILED, "{subject} kept failing until no attempt was left."),
    StopCode.TOOL_UNHEALTHY: Meaning(FAILED, "The breaker of {subject} was open, so it was not called."),
    StopCode.RATE_LIMITED: Meaning(LIMIT, "{subject} was called more often than its rate limit allows."),
    StopCode.DISABLED: Meaning(CONTROL, "An operator had switched off {subject}."),
    StopCode.LOOP_DETECTED: Meaning(LIMIT, "The run repeated the same tool calls and was stopped by the loop guard."),
    StopCode.GOAL_DRIFT: Meaning(LIMIT, "The run moved away from its task and was stopped."),
    StopCode.CONTEXT_OVERFLOW: Meaning(LIMIT, "The conversation no longer fitted the model's context."),
    StopCode.MODEL_ERROR: Meaning(FAILED, "The model call failed: {subject}."),
    StopCode.ESCALATED: Meaning(HANDED_OVER, "The run was handed to a person."),
    StopCode.OPERATOR_KILL: Meaning(CONTROL, "An operator stopped the run."),
    StopCode.CANCELLED: Meaning(UNCLEAR, "The caller cancelled the run."),
    StopCode.ERROR: Meaning(FAILED, "The agent's own code failed: {subject}."),
    StopCode.ABANDONED: Meaning(UNCLEAR, "The run never reported its end, and no sign of life came for too long."),
    StopCode.UNKNOWN: Meaning(UNCLEAR, "Nothing in the record says why the run ended."),
}


def explain(stop_reason: str | None) -> Meaning:
    """Return the family of a stop reason such as `policy_deny:send_email` and its sentence with the subject filled in.

    None (the run has not ended) and a code this version does not know are in the family `unclear`.
    """
    if not stop_reason:
        return Meaning(UNCLEAR, "The run has not ended.")
    try:
        reason = StopReason.parse(stop_reason)
    except ValueError:
        return Meaning(UNCLEAR, "This version has no description of the reason.")
    meaning = STOP_MEANINGS[reason.code]
    return Meaning(meaning.family, meaning.sentence.replace("{subject}", reason.subject or "something unnamed"))


SPAN_ICONS: dict[str, str] = {
    "agent": ":material/smart_toy:",
    "workflow": ":material/account_tree:",
    "model": ":material/neurology:",
    "tool": ":material/build:",
    "retrieval": ":material/search:",
    "embedding": ":material/scatter_plot:",
    "guardrail": ":material/shield:",
    "evaluator": ":material/fact_check:",
    "step": ":material/linear_scale:",
    "other": ":material/circle:",
}


def span_class(value: str | None) -> str:
    """Return the class a span is drawn as: the API's, with `llm` read as `model` and the unheard-of as `other`."""
    name = "model" if value == "llm" else (value or "other")
    return name if name in SPAN_ICONS else "other"
