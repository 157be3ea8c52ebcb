"""Frames with the columns of the tables: which span columns the facts need, and rows made ready to be stored."""

from __future__ import annotations

from typing import Final

import polars as pl
import pyarrow as pa

from spanhouse_storage.tables import SCHEMAS

IDENTITY: Final = ("tenant", "trace_id", "span_id")

FACT_COLUMNS: Final = (
    *IDENTITY,
    *("parent_span_id", "start", "end", "duration_ns", "is_final", "version", "received_at", "name", "span_class"),
    *("convention", "status", "status_message", "error_type", "exception_type", "service_name", "environment"),
    *("run_hint", "request_id", "session_id", "user_id", "agent", "agent_version", "task", "task_type", "variant"),
    *("run_type", "step", "step_kind", "tool_name", "tool_call_id", "args_hash", "attempt", "polling", "replayed"),
    *("decision", "request_model", "response_model", "response_id", "finish_reasons", "input_tokens", "output_tokens"),
    *("cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cost_usd", "cost_source", "stop_reason"),
    *("outcome", "state", "escalated", "resumes", "steps", "spans_expected", "audit_expected", "budget", "flags"),
)
"""The columns of ``spans`` that facts are computed from; payload text is not among them."""

HAS_OUTPUT: Final = "has_output"
"""Boolean column a slim read adds: the span holds output text. Read in place of the text itself."""


def _polars_schema(table: str) -> pl.Schema:
    frame = pl.from_arrow(SCHEMAS[table].empty_table())
    assert isinstance(frame, pl.DataFrame)
    return frame.schema


SPANS: Final = _polars_schema("spans")
RUNS: Final = _polars_schema("runs")
STEPS: Final = _polars_schema("steps")


NULLABLE: Final = frozenset(field.name for table in ("runs", "steps") for field in SCHEMAS[table] if field.nullable)
"""Columns of the facts that are null where not known; all others have an empty value."""


def from_table(table: pa.Table) -> pl.DataFrame:
    """Return the rows of a query as a frame."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def prepare(spans: pl.DataFrame) -> pl.DataFrame:
    """Return the spans as the rules need them: one row a span, the newest version, in order of start.

    Columns of ``FACT_COLUMNS`` that are absent become empty (text), false, zero or null, as the table would hold
    them, so a partial frame can be computed. Columns beyond those are left out; ``has_output`` is made from output text
    where the frame has that.
    """
    columns = [_column(name, spans) for name in FACT_COLUMNS]
    if HAS_OUTPUT in spans.columns:
        columns.append(pl.col(HAS_OUTPUT).cast(pl.Boolean).fill_null(value=False))
    elif "output" in spans.columns:
        columns.append(pl.col("output").str.starts_with("[").fill_null(value=False).alias(HAS_OUTPUT))
    else:
        columns.append(pl.lit(value=False).alias(HAS_OUTPUT))
    return (
        spans.select(columns)
        # A span's start may differ between two records of it, so the newest is chosen before they are ordered by it.
        .sort("version", maintain_order=True)
        .unique(subset=IDENTITY, keep="last", maintain_order=True)
        .sort("tenant", "trace_id", "start", "span_id")
    )


def _column(name: str, spans: pl.DataFrame) -> pl.Expr:
    dtype = SPANS[name]
    if name in spans.columns:
        column = pl.col(name) if spans.schema[name] == dtype else pl.col(name).cast(dtype)
        return column.fill_null("") if dtype == pl.String else column
    if name == "duration_ns" and {"start", "end"} <= set(spans.columns):
        return (pl.col("end") - pl.col("start")).dt.total_nanoseconds().clip(lower_bound=0).cast(dtype).alias(name)
    return pl.lit(_empty(dtype), dtype=dtype).alias(name)


def _empty(dtype: pl.DataType) -> object:
    if dtype == pl.String:
        return ""
    if dtype == pl.Boolean:
        return False
    if isinstance(dtype, pl.List):
        return []
    return None


def to_table(frame: pl.DataFrame, table: str) -> pa.Table:
    """Return the frame as Arrow rows with the columns and types of the named table, ready to be inserted."""
    schema = SCHEMAS[table]
    return frame.select(schema.names).to_arrow().cast(schema)
