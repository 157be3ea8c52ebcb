"""What the loop guard says about what it has just seen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class LoopAction(StrEnum):
    """What to do about it."""

    NONE = "none"
    WARN = "warn"
    STOP = "stop"


class LoopPattern(StrEnum):
    """The ways a run goes round in circles."""

    REPEAT = "repeat"
    """Equal calls in a row."""
    CYCLE = "cycle"
    """A repeating pattern of different calls: A B A B A B."""
    EQUAL_ERROR = "equal_error"
    """The same error again and again, whatever is called."""
    RETRY_STORM = "retry_storm"
    """Many failed attempts of one tool in a short time."""
    NO_PROGRESS = "no_progress"
    """Calls that bring back nothing that has not been seen before."""
    REPEATED_TEXT = "repeated_text"
    """The model says the same again, or repeats itself within one answer."""
    GOAL_DRIFT = "goal_drift"
    """A judge finds that what the run does no longer serves its task."""


@dataclass(frozen=True, slots=True)
class LoopVerdict:
    """What the guard makes of it.

    Attributes:
        action: none, warn or stop.
        pattern: which; None for none.
        length: calls of the pattern (of a cycle), else how often it has come by now.
        times: how often the pattern stands in a row; for all but cycles the same as ``length``.
    """

    action: LoopAction
    pattern: LoopPattern | None = None
    length: int = 0
    times: int = 0

    @property
    def words(self) -> str:
        """The pattern in words."""
        return _WORDS[self.pattern].format(length=self.length) if self.pattern else ""

    @property
    def advice(self) -> str:
        """What the model is told when it is warned."""
        if self.pattern is None:
            return ""
        threat = _THREATS.get(self.pattern, "if this goes on, the run ends.")
        return f"{_ADVICE[self.pattern].format(length=self.length)} Do something else or give your answer: {threat}"


NONE: Final = LoopVerdict(LoopAction.NONE)
_THREATS: Final = {
    LoopPattern.REPEAT: "the next such call ends the run.",
    LoopPattern.CYCLE: "the next call of the circle ends the run.",
}
_WORDS: Final = {
    LoopPattern.REPEAT: "the same call {length} times in a row",
    LoopPattern.CYCLE: "a circle of {length} calls",
    LoopPattern.EQUAL_ERROR: "the same error {length} times in a row",
    LoopPattern.RETRY_STORM: "{length} failed attempts within a minute",
    LoopPattern.NO_PROGRESS: "{length} calls in a row that brought nothing new",
    LoopPattern.REPEATED_TEXT: "the same text {length} times",
    LoopPattern.GOAL_DRIFT: "away from its task at {length} looks in a row",
}
_ADVICE: Final = {
    LoopPattern.REPEAT: "You have made the same call {length} times in a row; its answer will not change.",
    LoopPattern.CYCLE: "You are repeating the same {length} calls in a circle.",
    LoopPattern.EQUAL_ERROR: "You have met the same error {length} times in a row, whatever you tried.",
    LoopPattern.RETRY_STORM: "This tool has failed {length} times within a minute; trying again at once will not help.",
    LoopPattern.NO_PROGRESS: "Your last {length} calls brought back nothing you had not seen before.",
    LoopPattern.REPEATED_TEXT: "You have said the same {length} times.",
    LoopPattern.GOAL_DRIFT: "What you do no longer serves the task you were given.",
}


class Warned:
    """A warning first, a stop if it goes on, a clean slate once it is broken."""

    def __init__(self) -> None:
        self._warned = False

    def about(self, pattern: LoopPattern, length: int, times: int = 0, *, patient: bool = False) -> LoopVerdict:
        """Return the verdict on a pattern that stands now; a patient guard warns again instead of stopping."""
        action = LoopAction.STOP if self._warned and not patient else LoopAction.WARN
        self._warned = True
        return LoopVerdict(action, pattern, length, times or length)

    def broken(self) -> LoopVerdict:
        """Return the verdict where no pattern stands, and forget the warning."""
        self._warned = False
        return NONE
