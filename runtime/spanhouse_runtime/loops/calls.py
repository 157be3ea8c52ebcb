"""Equal calls in a row, and patterns of calls that come again and again.

The patterns and lengths are those of ``spanhouse.loops``, so that what stopped a run is also what the metrics count.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from spanhouse.loops import MAX_CYCLE, cycle_length, longest_streak
from spanhouse_runtime.loops.settings import LoopSettings
from spanhouse_runtime.loops.verdict import NONE, LoopPattern, LoopVerdict, Warned


class CallPatterns:
    """Watches the tool calls of one run in the order they are asked for.

    The call that completes a pattern is let through with a warning; the next call that keeps the pattern going is to be
    stopped. A call that breaks the pattern clears the warning. While the results of the repeated calls change,
    something goes on: then the guard goes on warning, up to ``patience`` times the threshold.
    """

    def __init__(self, settings: LoopSettings) -> None:
        self._settings = settings
        most = max(settings.equal_calls, *settings.tools.values(), MAX_CYCLE * settings.cycle_repeats)
        self._calls: deque[Hashable] = deque(maxlen=most)
        self._results: deque[str | None] = deque(maxlen=most)
        self._streak = 0
        self._since = 0
        self._warned = Warned()

    def asked(self, tool: str, args_hash: str, *, polling: bool = False) -> LoopVerdict:
        """Return the verdict on the next call. Calls of polling tools are not looked at and break no pattern."""
        threshold = self._settings.calls_of(tool)
        if polling or threshold == 0:
            return NONE
        call = (tool, args_hash)
        self._streak = self._streak + 1 if self._calls and self._calls[-1] == call else 1
        self._calls.append(call)
        self._results.append(None)
        pattern, length, span = self._pattern(threshold)
        if pattern is None:
            self._since = 0
            return self._warned.broken()
        self._since += 1
        patient = self._changing(span) and self._since <= (self._settings.patience - 1) * threshold
        times = self._settings.cycle_repeats if pattern is LoopPattern.CYCLE else length
        return self._warned.about(pattern, length, times, patient=patient)

    def answered(self, tool: str, args_hash: str, result: str) -> None:
        """Note what came back for the newest call like this; ``result`` is any digest of it."""
        call = (tool, args_hash)
        for place in range(len(self._calls) - 1, -1, -1):
            if self._calls[place] == call and self._results[place] is None:
                self._results[place] = result
                return

    def _pattern(self, threshold: int) -> tuple[LoopPattern | None, int, int]:
        calls = list(self._calls)
        if longest_streak(calls[-threshold:]) >= threshold:
            return LoopPattern.REPEAT, self._streak, 1
        repeats = self._settings.cycle_repeats
        for size in range(2, MAX_CYCLE + 1):
            # Only a pattern that stands at the very end is going on now; an older one is history.
            tail = calls[-size * repeats :]
            if len(tail) == size * repeats and cycle_length(tail, repeats, size) == size:
                return LoopPattern.CYCLE, size, size
        return None, 0, 0

    def _changing(self, span: int) -> bool:
        """Return whether the last result of each call of the pattern differs from the one a round before."""
        results = list(self._results)[:-1]
        if len(results) < 2 * span:
            return False
        last, before = results[-span:], results[-2 * span : -span]
        # A pattern goes on as soon as one of its calls brings something new; what was refused brought nothing.
        return any(a is not None and a != b for a, b in zip(last, before, strict=True))
