"""The facts job: traces with new spans become rows of ``runs`` and ``steps``, soon after they fall quiet."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl
import pyarrow as pa
from sqlalchemy import Engine

from spanhouse_analysis import frames
from spanhouse_analysis.dirty import DirtyTraces, Touched
from spanhouse_analysis.facts import LEASE_SECONDS
from spanhouse_analysis.old_traces import OldTraces
from spanhouse_analysis.published import Memory, Published, as_published, tombstones
from spanhouse_analysis.reading import Trace, facts_of_traces
from spanhouse_storage import Store, StoreUnavailableError, sql
from spanhouse_storage.reads import traces_received_since
from spanhouse_storage.reads.times import micros, nanos
from spanhouse_storage.state import get_watermark, set_watermark

log = logging.getLogger(__name__)

WATERMARK: Final = "facts"
TRACES_A_PASS: Final = 10_000
_SWEEP_EVERY: Final = timedelta(seconds=60)
_MARGIN: Final = timedelta(minutes=5)
"""Spans of one trace start this close to one another across batches, as far as reading them cheaply goes."""
_REORDER: Final = timedelta(seconds=60)
"""Several collectors store spans this much out of the order they were received in."""
_LOOK_BACK: Final = timedelta(days=1)
"""A trace not in memory is looked for among the runs of the day before its new spans, and further back if it is old."""
_PERIOD: Final = timedelta(days=7)
_TICK_SECONDS: Final = 0.25
_BUSY_TICK_SECONDS: Final = 1.0
"""Rest after a pass of many runs: what a run costs falls to a third between passes of 150 and of 1,000 traces, as spans
of one trace lie among thousands of others that must be read with them."""
_BUSY_RUNS: Final = 200


class FactsJob:
    """Computes facts of the traces it is told of, and publishes them.

    Ownership: the caller owns store and state engine and stops the job before it closes them. ``touch`` may be called
    from any thread; ``tick`` and ``recover`` from one at a time. ``start`` runs them in a thread of the job's own.

    Failures: while the store does not answer the traces stay dirty and are tried again. A trace that cannot be computed
    is logged and left until it is touched again; its neighbours are computed.

    Args:
        store: where spans are read and facts are written.
        state: keeps the watermark: everything received up to it is in the facts.
        clock: tells the time, UTC.
        lease_seconds: see ``facts.compute``.
        quiet_seconds: how long a finished trace must send nothing before it is computed.
    """

    def __init__(
        self,
        store: Store,
        state: Engine,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        lease_seconds: float = LEASE_SECONDS,
        quiet_seconds: float = 1.0,
    ) -> None:
        self._store = store
        self._state = state
        self._clock = clock
        self._lease = lease_seconds
        self._dirty = DirtyTraces(quiet_seconds)
        self._memory = Memory()
        self._old = OldTraces()
        self._lock = threading.Lock()
        self._progress: datetime | None = None
        self._swept = self._watermark = datetime.fromtimestamp(0, UTC)
        self._version = 0
        self._computing = 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def touch(self, traces: pa.Table) -> None:
        """Note traces whose new spans are stored: ``tenant, trace_id, first_start, last_start, rooted``."""
        now = self._clock()
        columns = (traces.column(name) for name in ("tenant", "trace_id", "first_start", "last_start", "rooted"))
        with self._lock:
            for tenant, trace_id, first, last, rooted in zip(*(_values(c) for c in columns), strict=True):
                published = self._memory.get((tenant, trace_id))
                # A span that comes late to an ended run need not wait for an end.
                over = bool(published) and all(run.ended for run in published or [])
                self._dirty.touch(
                    (tenant, trace_id),
                    now,
                    first_start=first,
                    last_start=last,
                    rooted=rooted or over,
                    floor=self._progress,
                    again=bool(published),
                )

    def pending(self) -> int:
        """Return how many traces wait to be computed, those of the pass under way included."""
        with self._lock:
            return len(self._dirty) + self._computing

    def recover(self) -> int:
        """Make dirty whatever was received since the watermark, before the first ``tick``; return how many traces."""
        stored = get_watermark(self._state, WATERMARK)
        since = datetime.fromisoformat(stored) if stored else datetime.fromtimestamp(0, UTC)
        self._progress = self._watermark = since
        # A clock that was set back must not make new facts older than those that are there.
        newest = self._store.query(sql.load("spanhouse_analysis", "newest_version"))
        self._version = max(self._version, int(newest["version"][0].as_py()))
        found = traces_received_since(self._store, since)
        now = self._clock()
        with self._lock:
            for tenant, trace_id in zip(_values(found["tenant"]), _values(found["trace_id"]), strict=True):
                # Earlier spans of the trace may lie at any time before those that came since.
                key = (tenant, trace_id)
                self._dirty.touch(key, now, first_start=None, last_start=None, rooted=True, floor=since)
        return int(found.num_rows)

    def tick(self) -> int:
        """Compute and publish the traces that are due; return how many runs were published."""
        now = self._clock()
        if now - self._swept >= _SWEEP_EVERY:
            self._sweep(now)
            self._swept = now
        with self._lock:
            due = self._dirty.due(now, TRACES_A_PASS)
            self._computing = len(due)
        self._old.refresh(self._store, now)
        published = 0
        began = time.perf_counter()
        waiting = _periods(due)
        try:
            while waiting:
                published += self._pass(waiting[0], now)
                waiting.pop(0)
        finally:
            with self._lock:
                for part in waiting:
                    self._dirty.put_back(part.items())
                if any(not touched.rooted for touched in due.values()):
                    self._dirty.took(time.perf_counter() - began, len(due))
                self._computing = 0
        self._advance()
        return published

    def start(self) -> None:
        """Recover, then tick in a thread until ``stop``."""
        self._thread = threading.Thread(target=self._run, name="spanhouse-facts")
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the pass it is in. What is dirty then is found again by ``recover``."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        recovered = False
        while not self._stopping.is_set():
            pause = _TICK_SECONDS
            try:
                if not recovered:
                    self.recover()
                    recovered = True
                if self.tick() >= _BUSY_RUNS:
                    pause = _BUSY_TICK_SECONDS
            except StoreUnavailableError as error:
                log.warning("run facts wait for the store: %s", error)
                pause = 4 * _TICK_SECONDS
            except Exception:
                log.exception("run facts could not be computed; trying again")
                pause = 4 * _TICK_SECONDS
            self._stopping.wait(pause)

    def _pass(self, traces: Mapping[Trace, Touched], now: datetime) -> int:
        try:
            return self._publish(traces, now)
        except StoreUnavailableError:
            raise
        except Exception:
            if len(traces) == 1:
                log.exception("no facts of trace %s until it is touched again", next(iter(traces)))
                return 0
        # One trace that cannot be computed must not take its neighbours with it.
        parts = list(traces.items())
        half = len(parts) // 2
        return self._pass(dict(parts[:half]), now) + self._pass(dict(parts[half:]), now)

    def _publish(self, traces: Mapping[Trace, Touched], now: datetime) -> int:
        before = self._published(traces)
        since, until = _bounds(traces, before)
        found = facts_of_traces(self._store, list(traces), now, lease_seconds=self._lease, since=since, until=until)
        self._version = max(micros(now), self._version + 1)
        version = pl.lit(self._version, dtype=pl.UInt64).alias("version")
        after = as_published(found, traces)
        gone = tombstones(before, after, self._version, now)
        runs = pl.concat([found.runs.with_columns(version), gone.runs])
        # Steps first: a run that is seen has its steps.
        self._insert("steps", pl.concat([found.steps.with_columns(version), gone.steps]))
        self._insert("runs", runs)
        with self._lock:
            self._memory.remember(after)
        received = [self._progress, found.runs["received_at"].max()]
        self._progress = max((time for time in received if isinstance(time, datetime)), default=None)
        return found.runs.height

    def _insert(self, table: str, rows: pl.DataFrame) -> None:
        if rows.is_empty():
            return
        arrow = frames.to_table(rows, table)
        digest = hashlib.sha256()
        for batch in arrow.to_batches():
            digest.update(batch.serialize())
        self._store.insert(table, arrow, f"{table}-{digest.hexdigest()[:32]}")

    def _published(self, traces: Mapping[Trace, Touched]) -> dict[Trace, list[Published]]:
        """Return what was published of the traces, asking the store about those that are not in memory."""
        with self._lock:
            known = {trace: runs for trace in traces if (runs := self._memory.get(trace)) is not None}
        unknown = [trace for trace in traces if trace not in known]
        starts = [traces[trace].first_start for trace in unknown]
        since = min((start for start in starts if start), default=None) if None not in starts else None
        known.update(self._stored(unknown, since - _LOOK_BACK if since else None))
        # A run may have begun longer ago: one that was waiting for days, or whose verdict came late.
        known.update(self._stored(self._old.among([trace for trace in unknown if trace not in known]), None))
        return known

    def _stored(self, traces: Sequence[Trace], since: datetime | None) -> dict[Trace, list[Published]]:
        found: dict[Trace, list[Published]] = {}
        bounds, parameters = _since(since)
        statement = sql.compose(
            "spanhouse_analysis",
            "published_runs",
            bounds=bounds.format(time="started_at"),
            step_bounds=bounds.format(time="run_started_at"),
        )
        for first in range(0, len(traces), 1_000):
            rows = self._store.query(statement, {**parameters, "traces": traces[first : first + 1_000]})
            for tenant, trace, *run in frames.from_table(rows).iter_rows():
                found.setdefault((tenant, trace), []).append(Published(run[0], run[1], bool(run[2]), run[3]))
        return found

    def _sweep(self, now: datetime) -> None:
        """Look again at running runs that fell silent: those past the lease are abandoned."""
        until = now - timedelta(seconds=self._lease)
        rows = self._store.query(sql.load("spanhouse_analysis", "silent_runs"), {"until": micros(until)})
        with self._lock:
            for tenant, trace in frames.from_table(rows).iter_rows():
                key = (tenant, trace)
                self._dirty.touch(key, until, first_start=None, last_start=None, rooted=True, floor=self._progress)

    def _advance(self) -> None:
        with self._lock:
            floors = self._dirty.floors()
        if None in floors or self._progress is None:
            return
        reached = min([self._progress, *(floor for floor in floors if floor)]) - _REORDER
        if reached > self._watermark:
            set_watermark(self._state, WATERMARK, reached.isoformat())
            self._watermark = reached


def _values(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", "UTC"), safe=False)
    values: list[Any] = column.to_pylist()
    return values


def _periods(traces: Mapping[Trace, Touched]) -> list[dict[Trace, Touched]]:
    """Split a pass by week, so that one imported trace of long ago does not widen every read."""
    parts: dict[int, dict[Trace, Touched]] = {}
    for trace, touched in traces.items():
        week = -1 if touched.first_start is None else int(touched.first_start.timestamp() // _PERIOD.total_seconds())
        parts.setdefault(week, {})[trace] = touched
    return list(parts.values())


def _bounds(
    traces: Mapping[Trace, Touched], before: Mapping[Trace, Sequence[Published]]
) -> tuple[datetime | None, datetime | None]:
    firsts = [touched.first_start for touched in traces.values()]
    lasts = [touched.last_start for touched in traces.values()]
    if None in firsts or None in lasts:
        return None, None
    started = [run.started_at for runs in before.values() for run in runs]
    since = min([*(first for first in firsts if first), *started]) - _MARGIN
    # What was published of a running run does not say how late its last span starts: after it, any time is read.
    until = None if started else max(last for last in lasts if last) + _MARGIN
    return since, until


def _since(since: datetime | None) -> tuple[str, dict[str, int]]:
    if since is None:
        return "1", {}
    return "{time} >= fromUnixTimestamp64Nano({{since:Int64}}, 'UTC')", {"since": nanos(since)}
