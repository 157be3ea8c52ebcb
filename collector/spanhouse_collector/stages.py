"""The two threads that move batches: one decodes the next while the other inserts the last."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import pyarrow as pa

from spanhouse_collector.backlog import Backlog, Work
from spanhouse_collector.batches import Batch, BatchLog
from spanhouse_collector.journal import Journal
from spanhouse_collector.metrics import Metrics
from spanhouse_collector.parts import Lost, Part, PartDecoder
from spanhouse_collector.retry import StoppedError, until_it_works
from spanhouse_collector.writer import BatchWriter, Stored
from spanhouse_storage import give_back

_log = logging.getLogger(__name__)

OnStored: TypeAlias = Callable[[pa.Table, Sequence[pa.Table] | None], None]
"""Is told of a stored batch: see ``writer.Stored``."""

_AHEAD: Final = 1
"""Batches that wait decoded while one is inserted and another is decoded; more would only hold memory."""


@dataclass(frozen=True, slots=True)
class _Decoded:
    work: Work
    batch: Batch
    parts: list[Part | Lost]


class Stages:
    """Plans, decodes, inserts and settles batches, in order, until the backlog is stopped.

    Args:
        on_stored: told of every stored batch.
    """

    def __init__(
        self,
        *,
        backlog: Backlog,
        batches: BatchLog,
        journal: Journal,
        parts: PartDecoder,
        writer: BatchWriter,
        metrics: Metrics,
        on_stored: OnStored,
    ) -> None:
        self._backlog, self._batches, self._journal = backlog, batches, journal
        self._parts, self._writer, self._metrics, self._on_stored = parts, writer, metrics, on_stored
        self._decoded: queue.Queue[_Decoded | None] = queue.Queue(_AHEAD)
        self._threads = [
            threading.Thread(target=self._decode_all, name="spanhouse-decode"),
            threading.Thread(target=self._insert_all, name="spanhouse-insert"),
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait for the threads, which end soon after the backlog is stopped."""
        for thread in self._threads:
            thread.join()

    def _decode_all(self) -> None:
        try:
            until_it_works("start the decode child", self._parts.warm_up, self._backlog.stopping)
            for batch in tuple(self._batches.unsettled):
                self._decode(self._backlog.take_until(batch.end), batch)
            while work := self._backlog.take():
                self._decode(work, self._plan(work))
        except StoppedError as stopped:
            _log.info("%s; the journal keeps it for the next start", stopped)
        finally:
            self._decoded.put(None)

    def _plan(self, work: Work) -> Batch:
        start, end = work.entries[0].position, work.entries[-1].end
        return until_it_works("write down a batch", lambda: self._batches.plan(start, end), self._backlog.stopping)

    def _decode(self, work: Work, batch: Batch) -> None:
        parts = until_it_works("decode a batch", lambda: list(self._parts.decode(work.entries)), self._backlog.stopping)
        self._decoded.put(_Decoded(work, batch, parts))

    def _insert_all(self) -> None:
        # After a stop the queue is still emptied, so that the decoding thread never waits for room.
        while decoded := self._decoded.get():
            if self._backlog.stopping.is_set():
                continue
            try:
                self._insert(decoded)
            except StoppedError as stopped:
                _log.info("%s; the journal keeps it for the next start", stopped)
            # A batch holds the files it is mapped from; the next may be long in coming.
            del decoded
            give_back()

    def _insert(self, decoded: _Decoded) -> None:
        batch, stopping = decoded.batch, self._backlog.stopping
        # Inserting again from the start is safe: the tokens are the same.
        stored = until_it_works("store a batch", lambda: self._writer.insert(batch, decoded.parts), stopping)
        settled = self._batches.settled
        until_it_works("note a stored batch", lambda: self._batches.stored(batch), stopping)
        if self._batches.settled.segment > settled.segment:
            until_it_works("trim the journal", self._trim, stopping)
        # The listener hears first: what is stored but not yet told of still counts as waiting.
        if stored.traces.num_rows:
            self._tell(stored)
        self._backlog.done(decoded.work)
        self._metrics.batch_rows.observe(decoded.work.items)
        self._metrics.batch_seconds.observe(time.monotonic() - decoded.work.since)

    def _trim(self) -> None:
        self._batches.sync()
        self._journal.discard(self._batches.settled)

    def _tell(self, stored: Stored) -> None:
        try:
            self._on_stored(stored.traces, stored.spans)
        except Exception:  # noqa: BLE001 - logged and counted
            # The rows are stored; a failing listener must not hold up the next batch.
            self._metrics.callback_errors.inc()
            _log.exception("what is called after a batch is stored failed on %d traces", stored.traces.num_rows)
