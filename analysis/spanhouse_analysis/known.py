"""What was published of traces: of those computed last from memory, of all others from the store."""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from spanhouse_analysis import frames
from spanhouse_analysis.dirty import Touched
from spanhouse_analysis.old_traces import OldTraces
from spanhouse_analysis.published import Memory, Published, Runs
from spanhouse_analysis.reading import Trace
from spanhouse_storage import Store, sql
from spanhouse_storage.reads.times import nanos

_LOOK_BACK: Final = timedelta(days=1)
"""A trace not in memory is looked for among the runs of the day before its new spans, and further back if it is old."""
_TRACES_A_QUERY: Final = 1_000


class KnownRuns:
    """Knows the published runs of traces; safe for threads.

    Failures: raises what the store raises.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._memory = Memory()
        self._old = OldTraces()
        self._lock = threading.Lock()

    def refresh(self, now: datetime) -> None:
        """Load anew which traces have runs at all, where that is some hours old."""
        self._old.refresh(self._store, now)

    def old(self, traces: Sequence[Trace]) -> list[Trace]:
        """Return those of the traces that may have had runs at the last refresh."""
        return self._old.among(traces)

    def remembered(self, trace: Trace) -> list[Published] | None:
        """Return what was published of the trace lately, None where that is not in memory."""
        with self._lock:
            return self._memory.get(trace)

    def remember(self, traces: Runs) -> None:
        """Note what was just published of the traces."""
        with self._lock:
            self._memory.remember(traces)

    def of(self, traces: Mapping[Trace, Touched], new: Container[Trace]) -> dict[Trace, list[Published]]:
        """Return the runs published of the traces, asking the store about those that are neither new nor in memory."""
        with self._lock:
            known = {trace: runs for trace in traces if (runs := self._memory.get(trace)) is not None}
        unknown = [trace for trace in traces if trace not in known and trace not in new]
        starts = [traces[trace].first_start for trace in unknown]
        since = min((start for start in starts if start), default=None) if None not in starts else None
        known.update(self._stored(unknown, since - _LOOK_BACK if since else None))
        # A run may have begun longer ago: one that was waiting for days, or whose verdict came late.
        known.update(self._stored(self._old.among([trace for trace in unknown if trace not in known]), None))
        return known

    def _stored(self, traces: Iterable[Trace], since: datetime | None) -> dict[Trace, list[Published]]:
        asked = list(traces)
        found: dict[Trace, list[Published]] = {}
        bounds, parameters = _since(since)
        statement = sql.compose(
            "spanhouse_analysis",
            "published_runs",
            bounds=bounds.format(time="started_at"),
            step_bounds=bounds.format(time="run_started_at"),
        )
        for first in range(0, len(asked), _TRACES_A_QUERY):
            rows = self._store.query(statement, {**parameters, "traces": asked[first : first + _TRACES_A_QUERY]})
            for tenant, trace, *run in frames.from_table(rows).iter_rows():
                found.setdefault((tenant, trace), []).append(Published(run[0], run[1], bool(run[2]), *run[3:]))
        return found


def _since(since: datetime | None) -> tuple[str, dict[str, int]]:
    if since is None:
        return "1", {}
    return "{time} >= fromUnixTimestamp64Nano({{since:Int64}}, 'UTC')", {"since": nanos(since)}
