"""Inserting a decoded batch: every table once, whatever the store does meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final, Protocol

import pyarrow as pa

from spanhouse_collector.batches import Batch, BatchLog
from spanhouse_collector.metrics import Metrics
from spanhouse_collector.parts import Part, PartDecoder
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

    def insert(self, batch: Batch, parts: Sequence[Part]) -> pa.Table:
        """Store the batch; return the traces it touched.

        Raises:
            StoppedError: the pipeline stops before the store took everything.
        """
        traces: list[pa.Table] = [TRACES_SCHEMA.empty_table()]
        waiting = list(parts)
        while waiting:
            part = waiting.pop(0)
            try:
                self._insert_part(batch, part)
            except QueryError as error:
                waiting[:0] = self._parts.without_culprit(part.entries, part.name, str(error))
                continue
            traces.append(part.decoded.traces.cast(TRACES_SCHEMA))
        return pa.concat_tables(traces)

    def _insert_part(self, batch: Batch, part: Part) -> None:
        for table, rows in part.decoded.tables.items():
            token = self._batches.token(batch, table, part.name)
            until_it_works(
                f"insert {rows.num_rows} rows into {table}",
                lambda table=table, rows=rows, token=token: self._store.insert(table, rows, token),  # type: ignore[misc]
                self._stopping,
                unless=_blames_the_rows,
                on_retry=self._metrics.insert_retries.inc,
            )
            self._metrics.stored.labels(table).inc(rows.num_rows)


def _blames_the_rows(error: Exception) -> bool:
    return isinstance(error, QueryError) and error.code not in _NOT_THE_ROWS
