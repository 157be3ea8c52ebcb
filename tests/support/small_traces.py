"""Small traces written by hand, and what the analysis makes of them."""

from __future__ import annotations

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


def put(store: Store, job: Touched | None, *spans: Row) -> None:
    """Store spans as the collector does, and tell the job of their traces."""
    full = []
    for number, row in enumerate(spans):
        own = {name: value for name, value in row.items() if name not in {"trace_id", "span_id"}}
        version = (int(row["is_final"]) << 60) + number
        full.append(stored_span(row["trace_id"], row["span_id"], **{"version": version, **own}))
    store.insert("spans", stored_rows("spans", *full), f"batch-{hash(str(full))}")
    if job is None:
        return
    frame = pl.DataFrame(
        [{**row, "rooted": row["is_final"] and not row["parent_span_id"]} for row in spans], infer_schema_length=None
    )
    touched = frame.group_by("tenant", "trace_id").agg(
        first_start=pl.col("start").min(), last_start=pl.col("start").max(), rooted=pl.col("rooted").any()
    )
    job.touch(touched.to_arrow())
