"""Which traces have new spans and when each is due to be computed again: a pure structure over an explicit clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from spanhouse_analysis.reading import Trace

ROOTLESS_QUIET_SECONDS: Final = 5.0
"""A run whose root has not come is first shown after so long without a new span."""
RUNNING_SECONDS: Final = 5.0
"""A run that keeps sending is computed again so often, so that what it spends is seen while it goes on."""
RUNNING_SECONDS_AT_MOST: Final = 60.0
RUNNING_SHARE: Final = 0.25
"""Computing running runs again may take this share of the time: with more of them they wait longer, up to the most."""


@dataclass(slots=True)
class Touched:
    """A trace with spans that no pass has seen.

    Attributes:
        first_start: earliest start among those spans; None where any time is possible.
        last_start: latest start among them.
        rooted: a finished root or run span is among them.
        since: when the first of them was stored.
        last: when the latest of them was stored.
        floor: everything received before was computed when the trace was first touched.
        again: the trace was computed before.
    """

    first_start: datetime | None
    last_start: datetime | None
    rooted: bool
    since: datetime
    last: datetime
    floor: datetime | None
    again: bool = False


class DirtyTraces:
    """The traces to compute, each once, however many batches touch it. Not thread-safe: the owner locks."""

    def __init__(self, quiet_seconds: float = 1.0) -> None:
        self._quiet = timedelta(seconds=quiet_seconds)
        self._seconds_a_trace = 0.0
        self._traces: dict[Trace, Touched] = {}

    def __len__(self) -> int:
        return len(self._traces)

    def traces(self) -> set[Trace]:
        """Return the traces that wait to be computed."""
        return set(self._traces)

    def touch(
        self,
        trace: Trace,
        now: datetime,
        *,
        first_start: datetime | None,
        last_start: datetime | None,
        rooted: bool,
        floor: datetime | None,
        again: bool = False,
    ) -> None:
        """Note new spans of a trace; bounds of ``None`` say that its spans may lie at any time."""
        known = self._traces.get(trace)
        if known is None:
            self._traces[trace] = Touched(first_start, last_start, rooted, now, now, floor, again)
            return
        known.first_start = _either(min, known.first_start, first_start)
        known.last_start = _either(max, known.last_start, last_start)
        known.rooted = known.rooted or rooted
        known.last = max(known.last, now)

    def due(self, now: datetime, limit: int) -> dict[Trace, Touched]:
        """Return the traces to compute now, those that wait longest first, and forget them."""
        every = timedelta(seconds=self.running_seconds())
        # Those that are nearly due go with those that are: few large passes cost less than many small ones.
        overdue = any(now - touched.since >= every for touched in self._traces.values() if not touched.rooted)
        wait = every / 2 if overdue else every
        ready = [(touched.since, trace) for trace, touched in self._traces.items() if self._is_due(touched, now, wait)]
        ready.sort()
        return {trace: self._traces.pop(trace) for _, trace in ready[:limit]}

    def took(self, seconds: float, traces: int) -> None:
        """Note how long a pass over so many traces took, running ones among them."""
        self._seconds_a_trace = seconds / max(traces, 1)

    def running_seconds(self) -> float:
        """Return how long running runs wait for their next pass, as many as there are and as long as passes take."""
        running = sum(not touched.rooted for touched in self._traces.values())
        needed = running * self._seconds_a_trace / RUNNING_SHARE
        return min(max(needed, RUNNING_SECONDS), RUNNING_SECONDS_AT_MOST)

    def put_back(self, traces: Iterable[tuple[Trace, Touched]]) -> None:
        """Take traces back whose pass failed."""
        for trace, touched in traces:
            self.touch(
                trace,
                touched.last,
                first_start=touched.first_start,
                last_start=touched.last_start,
                rooted=touched.rooted,
                floor=touched.floor,
                again=touched.again,
            )
            # The trace may have been touched anew during the pass; what the pass was to compute is still not computed.
            again = self._traces[trace]
            again.since = min(again.since, touched.since)
            again.floor = _either(min, again.floor, touched.floor)

    def floors(self) -> list[datetime | None]:
        """Return up to which receive time all was computed when each of the traces was touched."""
        return [touched.floor for touched in self._traces.values()]

    def _is_due(self, touched: Touched, now: datetime, wait: timedelta) -> bool:
        quiet = now - touched.last
        if touched.rooted and quiet >= self._quiet:
            return True
        if not touched.again and quiet >= max(self._quiet, timedelta(seconds=ROOTLESS_QUIET_SECONDS)):
            return True
        return now - touched.since >= wait


def _either(
    choose: Callable[[datetime, datetime], datetime], one: datetime | None, other: datetime | None
) -> datetime | None:
    return None if one is None or other is None else choose(one, other)
