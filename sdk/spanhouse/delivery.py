"""A bounded queue that gives every record to the server or counts it as lost.

The stock batch processor takes a batch off its queue before it knows the outcome and drops the batch on failure. Here
one thread makes requests of records and keeps them, on disk where there is a spool; another sends them until the server
has acknowledged them. So a server that is slow or away delays neither the agent nor the way to the disk, and every
record that goes missing is counted with its reason.
"""

from __future__ import annotations

import os
import random
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from opentelemetry import context as otel_context
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY

from spanhouse.bodies import Halves
from spanhouse.notices import warn_once
from spanhouse.outbox import Entry, Keeper
from spanhouse.spool.streams import Segment
from spanhouse.transport import Answer, Verdict

T = TypeVar("T")
_LAST_WRITE = 2.0
"""Seconds that the end of the process gives the disk."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is held and how it is sent: records, bytes, records a request, seconds of linger and of backoff."""

    records: int = 50_000
    size: int = 64 * 1024 * 1024
    batch_records: int = 512
    batch_size: int = 4 * 1024 * 1024
    cached: int = 8 * 1024 * 1024
    linger: float = 0.1
    first_backoff: float = 0.25
    longest_backoff: float = 10.0


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the records of one signal so far.

    Attributes:
        acknowledged: the server has them.
        rejected: the server left them out of a batch it took, and said why.
        lost: never reached the server: refused for good, no room, or not sent before shutdown and not on disk.
        waiting: still held here, or on disk for the next start.
        reasons: of the lost, in one word each.
    """

    acknowledged: int = 0
    rejected: int = 0
    lost: int = 0
    waiting: int = 0
    reasons: dict[str, int] = field(default_factory=dict, compare=False)

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.acknowledged + other.acknowledged,
            self.rejected + other.rejected,
            self.lost + other.lost,
            self.waiting + other.waiting,
            dict(Counter(self.reasons) + Counter(other.reasons)),
        )


class Delivery(Generic[T]):
    """Keeps and sends records of one kind in the background.

    Args:
        name: what the records are called in warnings: "spans" or "logs".
        keep: makes requests of records and keeps them; see ``spanhouse.outbox``.
        send: posts one body; see ``spanhouse.transport``.
        size: rough bytes one record takes in memory.
        halve: cuts a body in two that is too large for the server; None where it holds one record.
        limits: bounds and pace.

    Attributes:
        on_start: called when the threads start, in this process or a forked one.
    """

    def __init__(
        self,
        name: str,
        *,
        keep: Keeper[T],
        send: Callable[[bytes], Answer],
        size: Callable[[T], int],
        halve: Callable[[bytes], Halves | None],
        limits: Limits = Limits(),
    ) -> None:
        self._name = name
        self._keep = keep
        self._send = send
        self._size = size
        self._halve = halve
        self._limits = limits
        self.on_start: Callable[[], None] = lambda: None
        self._reset()
        self_ref = weakref.WeakMethod(self._reset)
        os.register_at_fork(after_in_child=lambda: (reset := self_ref()) and reset())

    def _reset(self) -> None:
        # A forked child starts empty: its parent still holds these records and sends them itself.
        self._changed = threading.Condition()
        self._queue: deque[tuple[T, int]] = deque()
        self._held = 0
        self._keeping = 0
        self._outbox: deque[Entry] = deque()
        self._in_outbox = 0
        self._in_memory = 0
        self._in_flight = 0
        self._in_flight_kept = False
        self._urgent = False
        self._closing = False
        self._left = 0
        self._started = False
        self._acknowledged = self._rejected = 0
        self._lost: Counter[str] = Counter()
        self._missing_at_flush = 0

    def put(self, record: T) -> None:
        """Queue one record. Returns at once; where there is no room, the oldest records are counted as lost."""
        size = self._size(record)
        with self._changed:
            if self._closing:
                self._lose(1, "shutdown", "they were made after shutdown")
                return
            self._queue.append((record, size))
            self._held += size
            if len(self._queue) > self._limits.records or self._held > self._limits.size:
                self._make_room()
            starting = not self._started
            self._start()
            if len(self._queue) in {1, self._limits.batch_records}:
                self._changed.notify_all()
        if starting:
            self.on_start()

    def adopt(self, entries: Sequence[Entry], damaged: int = 0) -> None:
        """Send what a process that is gone has left, before what is here."""
        with self._changed:
            if self._closing:
                return
            self._outbox.extendleft(reversed(entries))
            self._in_outbox += sum(entry.records for entry in entries)
            if damaged:
                self._lose(damaged, "damaged", "what a process that died had left on disk was damaged")
            self._start()
            self._changed.notify_all()

    def dropped(self, segment: Segment) -> None:
        """Count what stood in a file that had to make room."""
        with self._changed:
            gone = [entry for entry in self._outbox if entry.place is not None and entry.place.segment is segment]
            for entry in gone:
                self._outbox.remove(entry)
                self._forget(entry)
                self._lose(entry.records, "no_room", "the server is away and the disk buffer is full")
            self._changed.notify_all()

    def flush(self, deadline: float) -> bool:
        """Send what is held now; True where all put since the last flush was acknowledged within ``deadline`` s."""
        with self._changed:
            self._urgent = True
            self._changed.notify_all()
            empty = self._changed.wait_for(lambda: not self._waiting(), deadline)
            self._urgent = False
            missing = self._lost.total() + self._rejected
            clean = missing == self._missing_at_flush
            self._missing_at_flush = missing
            return empty and clean

    def close(self, deadline: float) -> bool:
        """Flush, then stop. What could not be sent in time stays on disk, or is counted as lost where there is none."""
        flushed = self.flush(deadline)
        with self._changed:
            if self._keep.durable:
                self._urgent = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: not self._queue and not self._keeping, _LAST_WRITE)
            kept = sum(entry.records for entry in self._outbox if entry.place is not None)
            kept += self._in_flight if self._in_flight_kept else 0
            lost = self._waiting() - kept
            self._closing = True
            if lost:
                self._lose(lost, "shutdown", "they could not be sent before shutdown")
            self._left = kept
            self._queue.clear()
            self._outbox.clear()
            self._held = 0
            self._changed.notify_all()
        return flushed

    def counts(self) -> Counts:
        """Return what became of the records so far."""
        with self._changed:
            waiting = self._left if self._closing else self._waiting()
            return Counts(self._acknowledged, self._rejected, self._lost.total(), waiting, dict(self._lost))

    def _waiting(self) -> int:
        return len(self._queue) + self._keeping + self._in_outbox + self._in_flight

    def _start(self) -> None:
        if self._started:
            return
        self._started = True
        for work, what in ((self._write, "keep"), (self._ship, "send")):
            threading.Thread(target=work, name=f"spanhouse-{self._name}-{what}", daemon=True).start()

    def _lose(self, records: int, slug: str, reason: str) -> None:
        self._lost[slug] += records
        warn_once(f"lost-{self._name}-{reason}", f"telemetry lost: {records} or more {self._name}, because {reason}")

    def _make_room(self) -> None:
        reason = "the server is away and memory for waiting records is full"
        while len(self._queue) > self._limits.records or self._held > self._limits.size:
            self._held -= self._queue.popleft()[1]
            self._lose(1, "no_room", reason)

    def _write(self) -> None:
        # What sending itself would make (HTTP client spans, debug logs) must not become telemetry again.
        otel_context.attach(otel_context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        while (batch := self._take()) is not None:
            self._store(batch)
            with self._changed:
                self._keeping = 0
                self._changed.notify_all()
            self._keep.sync()

    def _take(self) -> list[T] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            # A short linger lets a burst share one request.
            self._changed.wait_for(
                lambda: self._closing or self._urgent or len(self._queue) >= self._limits.batch_records,
                self._limits.linger,
            )
            if self._closing:
                return None
            batch: list[T] = []
            size = 0
            while self._queue and len(batch) < self._limits.batch_records and size < self._limits.batch_size:
                record, record_size = self._queue.popleft()
                batch.append(record)
                size += record_size
            self._held -= size
            self._keeping = len(batch)
            return batch

    def _store(self, batch: list[T]) -> None:
        try:
            entries = self._keep.keep(batch)
        except Exception as error:  # noqa: BLE001 - one record that cannot be encoded must not cost its neighbours
            if len(batch) > 1:
                middle = len(batch) // 2
                self._store(batch[:middle])
                self._store(batch[middle:])
                return
            with self._changed:
                if not self._closing:
                    self._keeping -= 1
                    self._lose(1, "encoding", f"they cannot be encoded ({type(error).__name__}: {error})")
            return
        with self._changed:
            if self._closing:
                return
            for entry in entries:
                self._keeping -= entry.records
                self._in_outbox += entry.records
                before = len(self._outbox[-1].body or b"") if self._outbox else 0
                if self._outbox and self._outbox[-1].takes(entry):
                    self._in_memory -= before
                else:
                    self._outbox.append(entry)
                newest = self._outbox[-1]
                self._in_memory += len(newest.body or b"")
                self._trim_cache(newest)
            self._changed.notify_all()

    def _trim_cache(self, newest: Entry) -> None:
        if newest.place is not None:
            if self._in_memory > self._limits.cached and newest.body is not None:
                self._in_memory -= len(newest.body)
                newest.body = None
            return
        while self._in_outbox > self._limits.records or self._in_memory > self._limits.size:
            oldest = next((entry for entry in self._outbox if entry.place is None and entry is not newest), None)
            if oldest is None:
                return
            self._outbox.remove(oldest)
            self._forget(oldest)
            self._lose(oldest.records, "no_room", "the server is away and memory for waiting records is full")

    def _forget(self, entry: Entry) -> None:
        self._in_outbox -= entry.records
        self._in_memory -= len(entry.body or b"")

    def _ship(self) -> None:
        otel_context.attach(otel_context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._outbox or self._closing)
                if self._closing:
                    return
                entry = self._outbox.popleft()
                self._forget(entry)
                self._in_flight = entry.records
                self._in_flight_kept = entry.place is not None
            if not self._deliver(entry):
                return
            self._keep.release(entry)
            with self._changed:
                self._in_flight = 0
                self._changed.notify_all()

    def _deliver(self, entry: Entry) -> bool:
        try:
            body, missing = self._keep.load(entry)
        except Exception as error:  # noqa: BLE001 - the thread must live on whatever a file holds
            self._settle(entry.records, "damaged", f"they cannot be read back ({type(error).__name__}: {error})")
            return True
        if missing > 0:
            self._settle(missing, "damaged", "they cannot be read back or encoded")
        return not body or self._post(body, entry.records - missing)

    def _post(self, body: bytes, records: int) -> bool:
        answer = self._send_until_settled(body)
        if answer is None:
            return False
        if answer.verdict is Verdict.SPLIT:
            halves = self._halve(body)
            if halves is None:
                self._settle(records, "too_large", answer.reason)
                return True
            return all(self._post(half, part) for part, half in halves)
        if answer.verdict is Verdict.REFUSED:
            self._settle(records, "refused", answer.reason)
            return True
        with self._changed:
            if self._closing:
                return True
            self._in_flight -= records
            self._rejected += min(answer.rejected, records)
            self._acknowledged += records - min(answer.rejected, records)
        if answer.rejected:
            warn_once(f"rejected-{self._name}", f"the server rejected {answer.rejected} {self._name}: {answer.reason}")
        return True

    def _settle(self, records: int, slug: str, reason: str) -> None:
        with self._changed:
            if not self._closing:
                self._in_flight -= records
                self._lose(records, slug, reason)

    def _attempt(self, body: bytes) -> Answer:
        try:
            return self._send(body)
        except Exception as error:  # noqa: BLE001 - a worker that dies would leave every later record waiting for ever
            return Answer(Verdict.REFUSED, reason=f"sending failed with {type(error).__name__}: {error}")

    def _send_until_settled(self, body: bytes) -> Answer | None:
        backoff = self._limits.first_backoff
        while True:
            answer = self._attempt(body)
            if answer.verdict is not Verdict.RETRY:
                return answer
            where = "on disk" if self._in_flight_kept else "in memory"
            warn_once(f"retry-{self._name}", f"{self._name} wait {where}: {answer.reason}; trying again")
            pause = max(backoff * random.uniform(0.5, 1.0), min(answer.retry_after or 0.0, 30.0))  # noqa: S311
            until = time.monotonic() + pause
            backoff = min(backoff * 2, self._limits.longest_backoff)
            with self._changed:
                # A flush may not wait out a long backoff, nor may it hammer a server that is down.
                floor = self._limits.first_backoff
                self._changed.wait_for(lambda: self._closing, min(pause, floor))
                self._changed.wait_for(lambda: self._closing or self._urgent, max(0.0, until - time.monotonic()))
                if self._closing:
                    return None
