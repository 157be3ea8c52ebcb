"""Small traces written by hand, and what the analysis makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import polars as pl
import pyarrow as pa
from tests.support.rows import rows as stored_rows
from tests.support.rows import span as stored_span

from spanhouse_analysis import facts, frames
from spanhouse_storage import Store

EPOCH = datetime(2026, 1, 5, 12, tzinfo=UTC)
NOW = EPOCH + timedelta(minutes=5)

Row = dict[str, Any]


def span(
    span_id: str, span_class: str, parent: str = "", *, at: float = 0.0, seconds: float = 1.0, **columns: Any
) -> Row:
    """Return one span; `at` and `seconds` are its start after EPOCH and its length."""
    start, end = EPOCH + timedelta(seconds=at), EPOCH + timedelta(seconds=at + seconds)
    return {
        "tenant": "default",
        "trace_id": "t1",
        "span_id": span_id,
        "parent_span_id": parent,
        "span_class": span_class,
        "name": span_id,
        "start": start,
        "end": end,
        "is_final": True,
        "received_at": end,
        **columns,
    }


def frame(rows: list[Row]) -> pl.DataFrame:
    """Return the rows as a frame of spans; a column only some have is empty on the others."""
    names = dict.fromkeys(name for row in rows for name in row)
    schema = {name: frames.SPANS[name] for name in names}
    return pl.DataFrame([{name: row.get(name, _empty(schema[name])) for name in names} for row in rows], schema=schema)


def _empty(dtype: pl.DataType) -> object:
    if isinstance(dtype, pl.List):
        return []
    return {pl.String: "", pl.Boolean: False}.get(type(dtype))


def compute(*rows: Row, now: datetime = NOW) -> list[Row]:
    """Return the run rows of the spans, in order of start."""
    return facts.compute(frame(list(rows)), now).runs.sort("started_at", "run_id").to_dicts()


def steps(*rows: Row, now: datetime = NOW) -> list[Row]:
    """Return the step rows of the spans."""
    return facts.compute(frame(list(rows)), now).steps.sort("run_id", "seq").to_dicts()


class Touched(Protocol):
    """What is told of traces with new spans."""

    def touch(self, traces: pa.Table) -> None:
        """Note the traces."""


class Keeping(Protocol):
    """What is told of stored batches, spans and all."""

    def stored(self, traces: pa.Table, spans: Sequence[pa.Table] | None) -> None:
        """Take the batch."""


def put(store: Store, job: Touched | None, *spans: Row) -> None:
    """Store spans as the collector does, and tell the job of their traces."""
    _store(store, spans)
    if job is not None:
        job.touch(traces_of(spans))


def put_batch(store: Store, job: Keeping, *spans: Row) -> None:
    """Store spans as the collector does, and hand the job the whole batch."""
    rows = _store(store, spans)
    job.stored(traces_of(spans), [rows])


def traces_of(spans: Sequence[Row]) -> pa.Table:
    """Return the traces of the spans as the collector tells of them."""
    frame = pl.DataFrame(
        [
            {
                **{name: row[name] for name in ("tenant", "trace_id", "start")},
                "rooted": row["is_final"] and not row["parent_span_id"],
            }
            for row in spans
        ],
        infer_schema_length=None,
    )
    touched = frame.group_by("tenant", "trace_id").agg(
        first_start=pl.col("start").min(), last_start=pl.col("start").max(), rooted=pl.col("rooted").any()
    )
    return touched.to_arrow()


def _store(store: Store, spans: Sequence[Row]) -> pa.Table:
    full = []
    for number, row in enumerate(spans):
        own = {name: value for name, value in row.items() if name not in {"trace_id", "span_id"}}
        version = (int(row["is_final"]) << 60) + number
        full.append(stored_span(row["trace_id"], row["span_id"], **{"version": version, **own}))
    rows = stored_rows("spans", *full)
    store.insert("spans", rows, f"batch-{hash(str(full))}")
    return rows
