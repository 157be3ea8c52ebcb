"""Inserting a decoded batch: every table once, whatever the store does meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import pyarrow as pa

from spanhouse_collector import ledger
from spanhouse_collector.batches import Batch, BatchLog
from spanhouse_collector.decoder import Decoded
from spanhouse_collector.ledger import Ledger, Rejected
from spanhouse_collector.metrics import Metrics
from spanhouse_collector.parts import Lost, Part, PartDecoder
from spanhouse_collector.records import TRACES_SCHEMA
from spanhouse_collector.retry import until_it_works
from spanhouse_storage import QueryError

_NOT_THE_ROWS: Final = frozenset({10, 16, 47, 60, 81, 164, 497, 516})
"""ClickHouse codes of a refusal that no row is to blame for: a missing table, column or database (the store is not
migrated), a missing grant. Waiting for an operator keeps everything; setting rows aside would set all of them aside."""


class Sink(Protocol):
    """The part of the store contract that the collector needs."""

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Store all rows before returning; the same rows under the same token are stored once."""
        ...


@dataclass(frozen=True, slots=True)
class Stored:
    """What a batch brought into the store.

    Attributes:
        traces: the traces it touched, as ``records.TRACES_SCHEMA``.
        spans: its rows of ``spans``; None where the store refused some rows, so that others of theirs may be in it.
    """

    traces: pa.Table
    spans: Sequence[pa.Table] | None


class BatchWriter:
    """Inserts batches, waiting for a store that is away and parting rows that it refuses from their neighbours.

    Args:
        stopping: ends the waiting.
    """

    def __init__(
        self, store: Sink, batches: BatchLog, parts: PartDecoder, metrics: Metrics, stopping: threading.Event
    ) -> None:
        self._store, self._batches, self._parts = store, batches, parts
        self._metrics, self._stopping = metrics, stopping
        self._ledger = Ledger()
        self._away_since: float | None = None

    def away_seconds(self) -> float:
        """Return for how long inserts have failed; 0 where the last one worked. For any thread."""
        since = self._away_since
        return 0.0 if since is None else time.monotonic() - since

    def insert(self, batch: Batch, parts: Sequence[Part | Lost]) -> Stored:
        """Store the batch; return what it touched.

        Raises:
            StoppedError: the pipeline stops before the store took everything.
        """
        traces: list[pa.Table] = [TRACES_SCHEMA.empty_table()]
        decoded: list[Decoded] = []
        rejected: list[Rejected] = []
        whole = True
        waiting = list(parts)
        while waiting:
            part = waiting.pop(0)
            if isinstance(part, Lost):
                rejected.append(part.rejected)
                continue
            try:
                self._insert_part(batch, part)
            except QueryError as error:
                waiting[:0] = self._parts.without_culprit(part.entries, part.name, str(error))
                whole = False
                continue
            traces.append(part.decoded.traces.cast(TRACES_SCHEMA))
            decoded.append(part.decoded)
            rejected.extend(part.refused)
        self._write_ledger(batch, decoded, rejected)
        spans = [each.tables["spans"] for each in decoded if "spans" in each.tables]
        return Stored(pa.concat_tables(traces), spans if whole else None)

    def _insert_part(self, batch: Batch, part: Part) -> None:
        for table, rows in part.decoded.tables.items():
            token = self._batches.token(batch, table, part.name)
            self._insert(table, rows, token, unless=_blames_the_rows)

    def _write_ledger(self, batch: Batch, decoded: Sequence[Decoded], rejected: Sequence[Rejected]) -> None:
        lines, hashes = self._ledger.of_batch(decoded, rejected)
        if lines.is_empty():
            return
        # A batch stored again may have fared otherwise, so its row is a new one, which takes the place of the old.
        version = time.time_ns() // 1000
        rows = ledger.row(lines, self._batches.token(batch, "ledger"), version)
        self._insert("ledger", rows, self._batches.token(batch, "ledger", str(version)), unless=lambda _: False)
        self._ledger.remember(hashes)
        self._metrics.count_ledger(lines)

    def _insert(self, table: str, rows: pa.Table, token: str, unless: Callable[[Exception], bool]) -> None:
        until_it_works(
            f"insert {rows.num_rows} rows into {table}",
            lambda: self._store.insert(table, rows, token),
            self._stopping,
            unless=unless,
            on_retry=self._note_retry,
        )
        self._away_since = None
        self._metrics.stored.labels(table).inc(rows.num_rows)

    def _note_retry(self) -> None:
        self._metrics.insert_retries.inc()
        self._away_since = self._away_since or time.monotonic()


def _blames_the_rows(error: Exception) -> bool:
    return isinstance(error, QueryError) and error.code not in _NOT_THE_ROWS
