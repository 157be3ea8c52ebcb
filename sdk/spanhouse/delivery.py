"""A bounded queue that gives every record to the server or counts it as lost.

The stock batch processor takes a batch off its queue before it knows the outcome and drops the batch on failure. Here
records stay until the server has acknowledged them, are tried again for as long as memory allows, and every record
that goes missing is counted with its reason.
"""

from __future__ import annotations

import os
import random
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from opentelemetry import context as otel_context
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY

from spanhouse.notices import warn_once
from spanhouse.transport import Answer, Verdict

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is held and how it is sent: records, bytes, records a request, seconds of linger and of backoff."""

    records: int = 50_000
    size: int = 64 * 1024 * 1024
    batch_records: int = 512
    batch_size: int = 4 * 1024 * 1024
    linger: float = 0.2
    first_backoff: float = 0.25
    longest_backoff: float = 10.0


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the records of one signal so far.

    Attributes:
        acknowledged: the server has them.
        rejected: the server left them out of a batch it took, and said why.
        lost: never reached the server: refused for good, no room in memory, or not sent before shutdown.
        waiting: still held here.
    """

    acknowledged: int = 0
    rejected: int = 0
    lost: int = 0
    waiting: int = 0


class Delivery(Generic[T]):
    """Sends records of one signal in the background.

    Args:
        name: what the records are called in warnings: "spans" or "logs".
        encode: the request body for a batch.
        send: posts one body; see ``spanhouse.transport``.
        size: rough bytes one record takes in memory.
        limits: bounds and pace.
    """

    def __init__(
        self,
        name: str,
        *,
        encode: Callable[[Sequence[T]], bytes],
        send: Callable[[bytes], Answer],
        size: Callable[[T], int],
        limits: Limits = Limits(),
    ) -> None:
        self._name = name
        self._encode = encode
        self._send = send
        self._size = size
        self._limits = limits
        self._reset()
        self_ref = weakref.WeakMethod(self._reset)
        os.register_at_fork(after_in_child=lambda: (reset := self_ref()) and reset())

    def _reset(self) -> None:
        # A forked child starts empty: its parent still holds these records and sends them itself.
        self._changed = threading.Condition()
        self._queue: deque[tuple[T, int]] = deque()
        self._held = 0
        self._in_flight = 0
        self._urgent = False
        self._closing = False
        self._thread: threading.Thread | None = None
        self._acknowledged = self._rejected = self._lost = 0
        self._missing_at_flush = 0

    def put(self, record: T) -> None:
        """Queue one record. Returns at once; where there is no room, the oldest records are counted as lost."""
        size = self._size(record)
        with self._changed:
            if self._closing:
                self._lose(1, "they were made after shutdown")
                return
            self._queue.append((record, size))
            self._held += size
            while len(self._queue) > self._limits.records or self._held > self._limits.size:
                self._held -= self._queue.popleft()[1]
                self._lose(1, "the server is away and memory for waiting records is full")
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"spanhouse-{self._name}", daemon=True)
                self._thread.start()
            if len(self._queue) in {1, self._limits.batch_records}:
                self._changed.notify_all()

    def flush(self, deadline: float) -> bool:
        """Send what is held now; True where all put since the last flush was acknowledged within ``deadline`` s."""
        with self._changed:
            self._urgent = True
            self._changed.notify_all()
            empty = self._changed.wait_for(lambda: not self._queue and not self._in_flight, deadline)
            self._urgent = False
            missing = self._lost + self._rejected
            clean = missing == self._missing_at_flush
            self._missing_at_flush = missing
            return empty and clean

    def close(self, deadline: float) -> bool:
        """Flush, then stop the worker. What could not be sent in time is counted as lost."""
        flushed = self.flush(deadline)
        with self._changed:
            self._closing = True
            left = len(self._queue) + self._in_flight
            if left:
                self._lose(left, "they could not be sent before shutdown")
            self._queue.clear()
            self._held = 0
            self._changed.notify_all()
        return flushed

    def counts(self) -> Counts:
        """Return what became of the records so far."""
        with self._changed:
            waiting = 0 if self._closing else len(self._queue) + self._in_flight
            return Counts(self._acknowledged, self._rejected, self._lost, waiting)

    def _lose(self, records: int, reason: str) -> None:
        self._lost += records
        warn_once(f"lost-{self._name}-{reason}", f"telemetry lost: {records} or more {self._name}, because {reason}")

    def _work(self) -> None:
        # What sending itself would make (HTTP client spans, debug logs) must not become telemetry again.
        otel_context.attach(otel_context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        while (batch := self._take()) is not None:
            self._deliver(batch)
            with self._changed:
                self._in_flight = 0
                self._changed.notify_all()

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
            self._in_flight = len(batch)
            return batch

    def _deliver(self, batch: list[T]) -> None:
        try:
            body = self._encode(batch)
        except Exception as error:  # noqa: BLE001 - one record that cannot be encoded must not cost its neighbours
            self._divide(batch, f"they cannot be encoded ({type(error).__name__}: {error})")
            return
        answer = self._send_until_settled(body)
        if answer is None:
            return
        if answer.verdict is Verdict.SPLIT:
            self._divide(batch, answer.reason)
            return
        with self._changed:
            if self._closing:
                return
            if answer.verdict is Verdict.REFUSED:
                self._lose(len(batch), answer.reason)
                return
            self._rejected += min(answer.rejected, len(batch))
            self._acknowledged += len(batch) - min(answer.rejected, len(batch))
        if answer.rejected:
            warn_once(f"rejected-{self._name}", f"the server rejected {answer.rejected} {self._name}: {answer.reason}")

    def _divide(self, batch: list[T], reason: str) -> None:
        if len(batch) == 1:
            with self._changed:
                if not self._closing:
                    self._lose(1, reason)
            return
        middle = len(batch) // 2
        self._deliver(batch[:middle])
        self._deliver(batch[middle:])

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
            warn_once(f"retry-{self._name}", f"{self._name} wait in memory: {answer.reason}; trying again")
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
