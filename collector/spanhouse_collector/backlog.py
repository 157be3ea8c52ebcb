"""What is acknowledged and not yet stored: which records wait, which are under way, and when the next batch is due."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from spanhouse_collector.batching import BatchLimits, Pending
from spanhouse_collector.segment import Entry, Position


@dataclass(frozen=True, slots=True)
class Lag:
    """What is acknowledged and not yet stored.

    Attributes:
        records: export requests.
        items: spans and log records.
        bytes: journal bytes of those requests.
        seconds: age of the oldest; 0 where there is none.
        journal_bytes: bytes of all journal files, those of stored records included.
    """

    records: int
    items: int
    bytes: int
    seconds: float
    journal_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """Records on their way into the store, and when the first of them was acknowledged (monotonic seconds)."""

    entries: Sequence[Entry]
    since: float

    @property
    def items(self) -> int:
        """Spans and log records in it."""
        return sum(entry.items for entry in self.entries)

    @property
    def bytes(self) -> int:
        """Journal bytes of it."""
        return sum(entry.length for entry in self.entries)


class Backlog:
    """Hands acknowledged records out as batches and knows what is not stored yet; safe for threads.

    Attributes:
        stopping: set by `stop`.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self._pending = Pending(limits)
        self._under_way: deque[Work] = deque()
        self._changed = threading.Condition()
        self._hurry = 0
        self.stopping = threading.Event()

    def add(self, entries: Sequence[Entry]) -> None:
        """Take records that were just acknowledged, in the journal's order."""
        with self._changed:
            self._pending.add(entries, time.monotonic())
            self._changed.notify_all()

    def take_until(self, end: Position) -> Work:
        """Return the records before a position, which are under way from now on."""
        with self._changed:
            since = self._pending.oldest()
            return self._begin(self._pending.take_until(end), since)

    def take(self) -> Work | None:
        """Wait until a batch is due and return it, under way from now on; None when stopping."""
        with self._changed:
            while not self.stopping.is_set():
                wait = self._pending.wait(time.monotonic())
                if wait == 0.0 or (self._hurry and wait is not None):
                    since = self._pending.oldest()
                    return self._begin(self._pending.take(), since)
                self._changed.wait(wait)
            return None

    def done(self, work: Work) -> None:
        """Note that the records are stored or set aside."""
        with self._changed:
            self._under_way.remove(work)
            self._changed.notify_all()

    def drain(self, timeout: float) -> bool:
        """Return whether everything was stored within the seconds; meanwhile batches wait for no more records."""
        with self._changed:
            self._hurry += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: not (len(self._pending) or self._under_way), timeout)
            finally:
                self._hurry -= 1

    def settled_through(self, segment: int, timeout: float) -> bool:
        """Return whether nothing of the journal's files up to this one waits any more, within the seconds."""

        def settled() -> bool:
            waiting = [*(entry for work in self._under_way for entry in work.entries), *self._pending.entries()]
            return all(entry.position.segment > segment for entry in waiting)

        with self._changed:
            self._hurry += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(settled, timeout)
            finally:
                self._hurry -= 1

    def stop(self) -> None:
        """Let `take` return None from now on."""
        with self._changed:
            self.stopping.set()
            self._changed.notify_all()

    def entries(self) -> list[Entry]:
        """Return the records that are not stored yet, in the order of the journal."""
        with self._changed:
            return [*(entry for work in self._under_way for entry in work.entries), *self._pending.entries()]

    def lag(self, journal_bytes: int) -> Lag:
        """Return how much is not stored yet."""
        with self._changed:
            work = list(self._under_way)
            records, items, size = len(self._pending), self._pending.items, self._pending.bytes
            since = work[0].since if work else self._pending.oldest()
        return Lag(
            records=records + sum(len(w.entries) for w in work),
            items=items + sum(w.items for w in work),
            bytes=size + sum(w.bytes for w in work),
            seconds=0.0 if since is None else time.monotonic() - since,
            journal_bytes=journal_bytes,
        )

    def _begin(self, entries: Sequence[Entry], since: float | None) -> Work:
        work = Work(entries, time.monotonic() if since is None else since)
        self._under_way.append(work)
        return work
