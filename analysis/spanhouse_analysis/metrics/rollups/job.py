"""The roll-up job: parts of metrics are computed when an hour is over, and again when something in it changed."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from spanhouse_analysis.metrics.rollups import building, marks
from spanhouse_analysis.metrics.rollups.building import Bucket
from spanhouse_analysis.metrics.rollups.layout import DAY, HOUR, RUNS, VERSION
from spanhouse_analysis.metrics.rollups.stored import computed_until
from spanhouse_storage import Store, StoreUnavailableError, sql
from spanhouse_storage.reads.times import micros

log = logging.getLogger(__name__)

_PACKAGE: Final = "spanhouse_analysis"
_TICK_SECONDS: Final = 20.0
_DIRTY_A_TICK: Final = 500
_ANY: Final = 1 << 31
_DAYS_A_TICK: Final = 30
GRACE: Final = timedelta(minutes=2)
"""An hour is computed so long after its end: runs are published some seconds after they end."""
SETTLE: Final = timedelta(seconds=60)
"""Marks are made before what they are about; in so long it is done."""


class RollupJob:
    """Keeps the parts of metrics up to date.

    Ownership: the caller owns the store and stops the job before it closes it. ``publishing`` may be called from any
    thread, ``tick`` from one at a time; ``start`` ticks in a thread of the job's own.

    Failures: while the store does not answer, buckets stay as they are and are tried again. Buckets that are dirty or
    not computed yet are never read, so the job's failures make metrics slower, not wrong.

    Args:
        store: where runs are read and parts are written.
        clock: tells the time, UTC.
        settle: how long after a mark its bucket is computed.
    """

    def __init__(
        self, store: Store, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC), settle: timedelta = SETTLE
    ) -> None:
        self._store = store
        self._clock = clock
        self._settle = settle
        self._lock = threading.Lock()
        self._in_flight: Counter[Bucket] = Counter()
        self._version = 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def publishing(self, changes: Collection[tuple[str, datetime]]) -> Iterator[None]:
        """Hold parts of the tenants' hours back while runs or calls that ended then are written.

        Hours that are over are marked first, so that a process killed in between leaves a mark; the present hour has no
        parts that could be wrong.
        """
        current = int(self._clock().timestamp()) // HOUR * HOUR
        buckets = {(tenant, _hour(time)) for tenant, time in changes}
        with self._lock:
            self._in_flight.update(buckets)
        try:
            over = [(tenant, _time(hour)) for tenant, hour in buckets if hour < current]
            marks.write(self._store, over, self._stamp())
            yield
        finally:
            with self._lock:
                self._in_flight.subtract(buckets)
                self._in_flight = +self._in_flight

    def tick(self) -> int:
        """Compute what is due, at most a day of new hours at once; return how many hours and days were computed."""
        return self._renew() + self._extend()

    def start(self) -> None:
        """Tick in a thread until ``stop``; may be called again after that."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="spanhouse-rollups")
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the tick it is in."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while not self._stopping.is_set():
            pause = _TICK_SECONDS
            try:
                if self.tick():
                    # There may be more; queries and inserts of others get their turn in between.
                    pause = 0.05
            except StoreUnavailableError as error:
                log.warning("metric parts wait for the store: %s", error)
            except Exception:
                log.exception("metric parts could not be computed; trying again")
            self._stopping.wait(pause)

    def _extend(self) -> int:
        computed = computed_until(self._store)
        reached = computed.get(HOUR) or self._earliest()
        if reached is None:
            return 0
        end = min(_hour(self._clock() - GRACE), reached // DAY * DAY + DAY)
        version = self._stamp() + 1
        with self._lock:
            end = min([end, *(hour for _, hour in self._in_flight if hour >= reached)])
        if end > reached:
            building.hours(self._store, _time(reached), _time(end), version)
            self._reach(HOUR, end, version)
        days = self._extend_days(computed.get(DAY, reached // DAY * DAY), max(end, reached), version)
        return max(end - reached, 0) // HOUR + days

    def _extend_days(self, since: int, until: int, version: int) -> int:
        """Compute the days that are over, up to the first of which an hour is dirty; return how many."""
        given = {"source": RUNS.source, "since": since, "until": until}
        dirty = self._store.query(sql.load(_PACKAGE, "parts_dirty"), given).to_pylist()
        waiting = [row["bucket"] // DAY * DAY for row in dirty if row["level"] == HOUR]
        end = min([until // DAY * DAY, since + _DAYS_A_TICK * DAY, *waiting])
        days = range(since, end, DAY)
        if days:
            building.days(self._store, days, version)
            self._reach(DAY, end, version)
        return len(days)

    def _renew(self) -> int:
        version = self._stamp() + 1
        before = 2 * micros(self._clock() - self._settle)
        found = self._dirty(before, _DIRTY_A_TICK)
        with self._lock:
            busy = set(self._in_flight)
        hours: dict[int, set[Bucket]] = {}
        for level, tenant, bucket in found:
            if level == HOUR and (tenant, bucket) not in busy:
                hours.setdefault(bucket // DAY * DAY, set()).add((tenant, bucket))
        for only in hours.values():
            first, last = min(hour for _, hour in only), max(hour for _, hour in only)
            tenants = sorted({tenant for tenant, _ in only})
            building.hours(self._store, _time(first), _time(last + HOUR), version, tenants, only=only)
        return self._renew_days(found, version) + sum(map(len, hours.values()))

    def _renew_days(self, found: list[tuple[int, str, int]], version: int) -> int:
        """Compute marked days anew, but for those with hours that are still dirty."""
        days = {(tenant, bucket) for level, tenant, bucket in found if level == DAY}
        if not days:
            return 0
        still = {(tenant, bucket // DAY * DAY) for level, tenant, bucket in self._dirty(version, _ANY) if level == HOUR}
        reached = computed_until(self._store).get(HOUR, 0)
        ready = {(tenant, day) for tenant, day in days - still if day + DAY <= reached}
        for day in sorted({day for _, day in ready}):
            only = {bucket for bucket in ready if bucket[1] == day}
            building.days(self._store, [day], version, sorted({tenant for tenant, _ in only}), only=only)
        return len(ready)

    def _dirty(self, before: int, limit: int) -> list[tuple[int, str, int]]:
        rows = self._store.query(sql.load(_PACKAGE, "parts_marked"), {"before": before, "limit": limit})
        return [(row["level"], row["tenant"], row["bucket"]) for row in rows.to_pylist()]

    def _earliest(self) -> int | None:
        rows = self._store.query(sql.load(_PACKAGE, "parts_earliest")).to_pylist()
        return int(rows[0]["first"]) if rows else None

    def _reach(self, level: int, until: int, version: int) -> None:
        given = {"layout": VERSION, "level": level, "until": until, "version": version}
        self._store.execute(sql.load(_PACKAGE, "parts_reach"), given)

    def _stamp(self) -> int:
        """Return an even version above all this job gave before; what is computed from then on has the next odd one."""
        with self._lock:
            self._version = self._version or marks.newest(self._store)
            self._version = max(2 * micros(self._clock()), self._version + 2)
            return self._version


def _hour(time: datetime) -> int:
    return int(time.timestamp()) // HOUR * HOUR


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
