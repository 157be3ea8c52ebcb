"""Notice a run that goes in circles: warn its model first, and stop the run if it goes on.

The patterns and lengths are those of ``spanhouse.loops``, so that what stopped a run is also what the metrics count.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum

from spanhouse.loops import CYCLE_REPEATS, LOOP_LENGTH, MAX_CYCLE, cycle_length, longest_streak


class LoopAction(StrEnum):
    """What to do about the call that was just asked for."""

    NONE = "none"
    WARN = "warn"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class LoopVerdict:
    """What the guard makes of a call.

    Attributes:
        action: none, warn or stop.
        pattern: ``repeat`` (equal calls in a row), ``cycle`` (a repeating pattern of different calls), or empty.
        length: equal calls in a row for a repeat; calls in the pattern for a cycle; 0 for none.
    """

    action: LoopAction
    pattern: str = ""
    length: int = 0


_NONE = LoopVerdict(LoopAction.NONE)


class LoopGuard:
    """Watches the tool calls of one run in the order they are asked for.

    The call that completes a pattern is let through with a warning; the next call that keeps the pattern going is to be
    stopped. A call that breaks the pattern clears the warning.
    """

    def __init__(self, *, length: int = LOOP_LENGTH, repeats: int = CYCLE_REPEATS) -> None:
        self._length = length
        self.repeats = repeats
        self._calls: deque[Hashable] = deque(maxlen=max(length, MAX_CYCLE * repeats))
        self._streak = 0
        self._warned = False

    def observe(self, tool: str, args_hash: str, *, polling: bool = False) -> LoopVerdict:
        """Return the verdict on the next call. Calls of polling tools are not looked at and break no pattern."""
        if polling:
            return _NONE
        call = (tool, args_hash)
        self._streak = self._streak + 1 if self._calls and self._calls[-1] == call else 1
        self._calls.append(call)
        pattern, length = self._pattern()
        if not pattern:
            self._warned = False
            return _NONE
        action = LoopAction.STOP if self._warned else LoopAction.WARN
        self._warned = True
        return LoopVerdict(action, pattern, length)

    def _pattern(self) -> tuple[str, int]:
        calls = list(self._calls)
        if longest_streak(calls[-self._length :]) >= self._length:
            return "repeat", self._streak
        for size in range(2, MAX_CYCLE + 1):
            # Only a pattern that stands at the very end is going on now; an older one is history.
            tail = calls[-size * self.repeats :]
            if len(tail) == size * self.repeats and cycle_length(tail, self.repeats, size) == size:
                return "cycle", size
        return "", 0
