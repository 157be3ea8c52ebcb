"""The facts job: traces with new spans become rows of ``runs`` and ``steps``, soon after they fall quiet."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa
from sqlalchemy import Engine

from spanhouse_analysis import frames
from spanhouse_analysis.dirty import DirtyTraces, Touched
from spanhouse_analysis.facts import LEASE_SECONDS, Facts
from spanhouse_analysis.fresh import FreshSpans
from spanhouse_analysis.known import KnownRuns
from spanhouse_analysis.published import Published, as_published, changes, tombstones
from spanhouse_analysis.reading import Trace, facts_of_spans, facts_of_traces
from spanhouse_analysis.sampling import Sampler
from spanhouse_analysis.seen import MARGIN, SeenTraces
from spanhouse_storage import Store, StoreUnavailableError, sql
from spanhouse_storage.reads import traces_received_since
from spanhouse_storage.reads.times import micros
from spanhouse_storage.state import get_watermark, set_watermark

log = logging.getLogger(__name__)

WATERMARK: Final = "facts"
TRACES_A_PASS: Final = 3_000
"""More in one pass save little and take memory: some four copies of their spans stand at once."""
_SWEEP_EVERY: Final = timedelta(seconds=60)
_REORDER: Final = timedelta(seconds=60)
"""Several collectors store spans this much out of the order they were received in."""
_SEEN_BACK: Final = timedelta(minutes=15)
"""A trace whose spans start within this time before the process is known to have spans from before, or to have none."""
_PERIOD: Final = timedelta(days=7)
_TICK_SECONDS: Final = 0.25
_BUSY_TICK_SECONDS: Final = 1.0
"""Rest after a pass of many runs, unless as many wait: what a run costs falls by half between passes of 240 and of 960,
as a pass computes and inserts at fixed costs."""
_BUSY_RUNS: Final = 200


Publishing: TypeAlias = Callable[[Collection[tuple[str, datetime]]], AbstractContextManager[None]]


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
        sampler: decides which ended runs are kept; all where there is none.
        publishing: entered with the tenants and times of what changes while that is written.
    """

    def __init__(
        self,
        store: Store,
        state: Engine,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        lease_seconds: float = LEASE_SECONDS,
        quiet_seconds: float = 1.0,
        sampler: Sampler | None = None,
        publishing: Publishing | None = None,
    ) -> None:
        self._store = store
        self._state = state
        self._clock = clock
        self._lease = lease_seconds
        self._sampler = sampler
        self._publishing = publishing or (lambda _changes: nullcontext())
        self._dirty = DirtyTraces(quiet_seconds)
        self._known = KnownRuns(store)
        self._seen = SeenTraces()
        self._fresh = FreshSpans(self._seen)
        self._keeping = self._recovered = False
        self._lock = threading.Lock()
        self._progress: datetime | None = None
        self._swept = self._watermark = datetime.fromtimestamp(0, UTC)
        self._version = 0
        self._computing = 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def stored(self, traces: pa.Table, spans: Sequence[pa.Table] | None = None) -> None:
        """Take the traces of a stored batch, and its spans, so that those of new traces need not be read back.

        Args:
            traces: ``tenant, trace_id, first_start, last_start, rooted``.
            spans: all rows of ``spans`` that the batch stored; None where they are not known whole.
        """
        if spans is None:
            self.touch(traces)
            return
        touched = _touched(traces)
        with self._lock:
            old = self._known.old(list(touched.select("tenant", "trace_id").iter_rows()))
            self._fresh.add(touched, spans, old)
        self._note(touched)

    def touch(self, traces: pa.Table) -> None:
        """Note traces of which spans changed in the store, which are read from there. Columns as for ``stored``."""
        touched = _touched(traces)
        with self._lock:
            self._fresh.note(touched)
        self._note(touched)

    def forget(self) -> None:
        """Keep no span received so far: rows were deleted from the store, and what is left there is read again."""
        with self._lock:
            self._fresh.clear()

    def _note(self, traces: pl.DataFrame) -> None:
        now = self._clock()
        columns = ("tenant", "trace_id", "first_start", "last_start", "rooted")
        with self._lock:
            for tenant, trace_id, first, last, rooted in traces.select(columns).iter_rows():
                published = self._known.remembered((tenant, trace_id))
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

    def renew(self) -> None:
        """Forget what was published before, as another process may have published since; `recover` comes next."""
        with self._lock:
            self._known = KnownRuns(self._store)
            self._seen = SeenTraces()
            self._fresh = FreshSpans(self._seen)
            self._keeping = self._recovered = False

    def recover(self) -> int:
        """Make dirty whatever was received since the watermark, before the first ``tick``; return how many traces."""
        if self._sampler is not None:
            self._sampler.recover(self._clock())
        stored = get_watermark(self._state, WATERMARK)
        since = datetime.fromisoformat(stored) if stored else datetime.fromtimestamp(0, UTC)
        self._progress = self._watermark = since
        # A clock that was set back must not make new facts older than those that are there.
        newest = self._store.query(sql.load("spanhouse_analysis", "newest_version"))
        self._version = max(self._version, int(newest["version"][0].as_py()))
        found = traces_received_since(self._store, since)
        now = self._clock()
        with self._lock:
            for tenant, trace_id in zip(found["tenant"].to_pylist(), found["trace_id"].to_pylist(), strict=True):
                # Earlier spans of the trace may lie at any time before those that came since.
                key = (tenant, trace_id)
                self._dirty.touch(key, now, first_start=None, last_start=None, rooted=True, floor=since)
        self._recovered = True
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
        self._known.refresh(now)
        self._keep_spans(now)
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
        if self._sampler is not None:
            with self._lock:
                busy = self._dirty.traces()
            self._sampler.sweep(now, busy)
        return published

    def start(self) -> None:
        """Tick in a thread until ``stop``; recover first where that was not done."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="spanhouse-facts")
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the pass it is in. What is dirty then is found again by ``recover``."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while not self._stopping.is_set():
            pause = _TICK_SECONDS
            try:
                if not self._recovered:
                    self.recover()
                if _BUSY_RUNS <= self.tick() < TRACES_A_PASS // 2:
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
                with self._lock:
                    self._fresh.drop(traces)
                return 0
        # One trace that cannot be computed must not take its neighbours with it.
        parts = list(traces.items())
        half = len(parts) // 2
        return self._pass(dict(parts[:half]), now) + self._pass(dict(parts[half:]), now)

    def _publish(self, traces: Mapping[Trace, Touched], now: datetime) -> int:
        with self._lock:
            fresh = set(self._fresh.among(traces))
            spans = self._fresh.spans(fresh)
            new = {trace for trace in fresh if self._fresh.is_new(trace)}
        before = self._known.of(traces, new)
        found = self._facts(traces, before, fresh, spans, now)
        received = [self._progress, found.runs["received_at"].max()]
        decisions = None
        if self._sampler is not None:
            found, decisions = self._sampler.decide(found, list(traces), before)
        self._version = max(micros(now), self._version + 1)
        version = pl.lit(self._version, dtype=pl.UInt64).alias("version")
        after = as_published(found, traces)
        gone = tombstones(before, after, self._version, now)
        runs = pl.concat([found.runs.with_columns(version), gone.runs])
        with self._publishing(changes(found, before)):
            # Steps first: a run that is seen has its steps.
            self._insert("steps", pl.concat([found.steps.with_columns(version), gone.steps]))
            self._insert("runs", runs)
        if self._sampler is not None and decisions is not None:
            self._sampler.note(decisions, now)
        self._known.remember(after)
        running = [trace for trace, runs in after.items() if not all(run.ended for run in runs)]
        with self._lock:
            self._fresh.computed(traces, running)
        self._progress = max((time for time in received if isinstance(time, datetime)), default=None)
        return found.runs.height

    def _facts(
        self,
        traces: Mapping[Trace, Touched],
        before: Mapping[Trace, Sequence[Published]],
        fresh: set[Trace],
        spans: pl.DataFrame,
        now: datetime,
    ) -> Facts:
        """Return the facts of the fresh traces from the spans at hand, and those of the others from the store."""
        parts = []
        if fresh:
            since, until = _bounds({trace: traces[trace] for trace in fresh}, before)
            parts.append(facts_of_spans(self._store, spans, now, lease_seconds=self._lease, since=since, until=until))
        rest = {trace: touched for trace, touched in traces.items() if trace not in fresh}
        if rest:
            since, until = _bounds(rest, before)
            parts.append(
                facts_of_traces(self._store, list(rest), now, lease_seconds=self._lease, since=since, until=until)
            )
        return Facts(
            pl.concat([part.runs for part in parts]), pl.concat([part.steps for part in parts]), pl.DataFrame()
        )

    def _keep_spans(self, now: datetime) -> None:
        """Begin to keep spans of new traces, once it is known which are new; others may write to a server's store."""
        if self._keeping or self._store.info.kind != "embedded":
            return
        since = now - _SEEN_BACK
        statement = sql.load("spanhouse_analysis", "recent_traces")
        found = self._store.query(statement, {"since": micros(since) // 1_000_000})
        with self._lock:
            self._seen.complete(found["sum"].to_numpy().astype(np.uint32), since)
        self._keeping = True

    def _insert(self, table: str, rows: pl.DataFrame) -> None:
        if rows.is_empty():
            return
        arrow = frames.to_table(rows, table)
        digest = hashlib.sha256()
        for batch in arrow.to_batches():
            digest.update(batch.serialize())
        self._store.insert(table, arrow, f"{table}-{digest.hexdigest()[:32]}")

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


def _touched(traces: pa.Table) -> pl.DataFrame:
    return frames.from_table(traces).with_columns(pl.col("first_start", "last_start").cast(pl.Datetime("us", "UTC")))


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
    started = [run.started_at for trace in traces for run in before.get(trace, ())]
    since = min([*(first for first in firsts if first), *started]) - MARGIN
    # What was published of a running run does not say how late its last span starts: after it, any time is read.
    until = None if started else max(last for last in lasts if last) + MARGIN
    return since, until
