"""The last answer of a run that stopped: what is done and saved, what is not, and what is unavailable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from spanhouse.stop_reasons import StopCode, StopReason
from spanhouse_runtime.result import Tally

_WORDS: Final[Mapping[StopCode, str]] = {
    StopCode.MAX_STEPS: "it took more steps than allowed",
    StopCode.MAX_TOOL_CALLS: "it made as many tool calls as allowed",
    StopCode.MAX_SECONDS: "its time was up",
    StopCode.MAX_USD: "the money set aside for it was used up",
    StopCode.MAX_TOKENS: "it took as much text as allowed",
    StopCode.POLICY_DENY: "it asked for something it may not do",
    StopCode.APPROVAL_DENIED: "somebody refused what it asked for",
    StopCode.APPROVAL_TIMEOUT: "nobody answered what it asked for",
    StopCode.TOOL_TIMEOUT: "a tool did not answer in time",
    StopCode.TOOL_ERROR_EXHAUSTED: "a tool failed again and again",
    StopCode.TOOL_UNHEALTHY: "a tool is out of order",
    StopCode.RATE_LIMITED: "a tool is too busy",
    StopCode.DISABLED: "it was switched off",
    StopCode.LOOP_DETECTED: "it went in circles",
    StopCode.GOAL_DRIFT: "it lost sight of the task",
    StopCode.CONTEXT_OVERFLOW: "the conversation became too long",
    StopCode.MODEL_ERROR: "the model could not answer",
    StopCode.ESCALATED: "it is with a person now",
    StopCode.OPERATOR_KILL: "an operator stopped it",
    StopCode.CANCELLED: "it was cancelled",
}
_AWAY: Final = frozenset(
    {StopCode.TOOL_TIMEOUT, StopCode.TOOL_ERROR_EXHAUSTED, StopCode.TOOL_UNHEALTHY, StopCode.RATE_LIMITED}
)


@dataclass(frozen=True, slots=True)
class Stopped:
    """What a last answer is made of.

    Attributes:
        reason, detail: why the run stopped.
        steps: turns of the loop.
        tools: how the calls went, by tool.
        said: the last thing the model said; empty for nothing.
        request_id: by which somebody finds the run; empty where it has none.
    """

    reason: StopReason
    detail: str
    steps: int
    tools: Mapping[str, Tally]
    said: str = ""
    request_id: str = ""

    @property
    def done(self) -> dict[str, int]:
        """Calls whose effect is there, by tool; those answered from the record of an earlier one too."""
        counts = {name: tally.ok + tally.replayed for name, tally in self.tools.items()}
        return {name: count for name, count in counts.items() if count}

    @property
    def undone(self) -> dict[str, int]:
        """Calls that were asked for and have no result, by tool."""
        counts = {name: tally.failed + tally.denied for name, tally in self.tools.items()}
        return {name: count for name, count in counts.items() if count}

    @property
    def unsure(self) -> list[str]:
        """Tools with a call that was under way: whether it had its effect is not known."""
        return [name for name, tally in self.tools.items() if tally.interrupted or tally.left_running]

    @property
    def unavailable(self) -> str:
        """What does not answer at present: a tool, or the model; empty where all do."""
        if self.reason.code is StopCode.MODEL_ERROR:
            return "the model"
        if self.reason.code is StopCode.DISABLED:
            return self.reason.subject
        return self.reason.subject if self.reason.code in _AWAY else ""


Answer = Callable[[Stopped], str]
"""Makes the last answer of a run that stopped."""


def plain_answer(stopped: Stopped) -> str:
    """Return the last answer: why it stopped, what is done and saved, what is not, what is unavailable, whom to ask."""
    if stopped.reason.code is StopCode.ESCALATED:
        head = f"Handed over to a person: {stopped.detail.rstrip('.') or 'no reason given'}."
    else:
        words = _WORDS.get(stopped.reason.code, "something went wrong")
        head = f"Stopped before the task was finished: {words} ({stopped.reason}" + (
            f"; {stopped.detail}).".replace("..", ".") if stopped.detail else ")."
        )
    steps = f"{stopped.steps} {'step' if stopped.steps == 1 else 'steps'}"
    done = f"Done and saved, in {steps}: {_counted(stopped.done)}." if stopped.done else f"Nothing was done in {steps}."
    lines = [head, done]
    if stopped.undone:
        lines.append(f"Not done: {_counted(stopped.undone)}.")
    if stopped.unsure:
        lines.append(f"Not known whether it had its effect: {', '.join(stopped.unsure)}.")
    if stopped.unavailable:
        lines.append(f"Unavailable at present: {stopped.unavailable}.")
    if stopped.request_id:
        lines.append(f"If you need help, name the request {stopped.request_id}.")
    if stopped.said:
        lines.append(f"Last said: {stopped.said}")
    return "\n".join(lines)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(name if count == 1 else f"{name} ({count} times)" for name, count in counts.items())
