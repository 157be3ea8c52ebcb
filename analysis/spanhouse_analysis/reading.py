"""Facts of traces straight from their spans in the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from spanhouse_analysis import contents, facts, frames
from spanhouse_analysis.classes import MODEL
from spanhouse_analysis.previews import with_previews
from spanhouse_storage import Store, sql
from spanhouse_storage.reads import spans_of_traces
from spanhouse_storage.reads.times import micros

_PACKAGE: Final = "spanhouse_analysis"
_TRACES_A_QUERY: Final = 1_000

Trace = tuple[str, str]
"""A tenant and a trace id."""


def facts_of_traces(
    store: Store,
    traces: Sequence[Trace],
    now: datetime,
    *,
    lease_seconds: float = facts.LEASE_SECONDS,
    since: datetime | None = None,
    until: datetime | None = None,
) -> facts.Facts:
    """Return the facts of the traces, previews included, computed from the spans that are stored now.

    Args:
        store: where the spans are.
        traces: ``(tenant, trace_id)`` pairs.
        now: the time of computing.
        lease_seconds: see ``facts.compute``.
        since: no span of the traces starts earlier; makes the read cheap.
        until: no span of the traces starts later.
    """
    table = spans_of_traces(store, traces, columns=frames.FACT_COLUMNS, since=since, until=until)
    spans = _with_output_evidence(store, frames.from_table(table), since, until)
    found = facts.compute(spans, now, lease_seconds)
    if found.runs.is_empty():
        return found
    wanted = found.previews
    ids = wanted.unpivot(["root_span", "first_call", "last_call"], index=["tenant", "trace_id"], value_name="span_id")
    payload = _rows_of_spans(store, "previews", ids.drop_nulls("span_id"), since, until)
    if payload.is_empty():
        return found
    return replace(found, runs=with_previews(found.runs, wanted, contents.with_messages(store, payload)))


def _with_output_evidence(
    store: Store, spans: pl.DataFrame, since: datetime | None, until: datetime | None
) -> pl.DataFrame:
    """Look at the text only of model spans that show no other sign of an answer; most show one."""
    silent = spans.filter(
        (pl.col("span_class") == MODEL)
        & pl.col("is_final")
        & (pl.col("response_id") == "")
        & (pl.col("finish_reasons").list.len() == 0)
        & (pl.col("input_tokens").fill_null(0) + pl.col("output_tokens").fill_null(0) == 0)
    )
    if silent.is_empty():
        return spans.with_columns(pl.lit(value=False).alias(frames.HAS_OUTPUT))
    spoken = _rows_of_spans(store, "spoken", silent.select(frames.IDENTITY), since, until)
    told = contents.answered(store, list(silent.select("tenant", "trace_id").unique().iter_rows()))
    spoken = pl.concat([spoken.select(frames.IDENTITY), told]).unique()
    marked = spoken.select(frames.IDENTITY).with_columns(pl.lit(value=True).alias(frames.HAS_OUTPUT))
    return spans.join(marked, on=list(frames.IDENTITY), how="left").with_columns(
        pl.col(frames.HAS_OUTPUT).fill_null(value=False)
    )


def _rows_of_spans(
    store: Store, statement: str, ids: pl.DataFrame, since: datetime | None, until: datetime | None
) -> pl.DataFrame:
    """Run one of our statements over some spans, a thousand traces at a time."""
    bounds, parameters = _bounds(since, until)
    text = sql.compose(_PACKAGE, statement, bounds=bounds)
    by_trace = ids.group_by("tenant", "trace_id").agg("span_id")
    tables = []
    for part in by_trace.iter_slices(_TRACES_A_QUERY):
        traces = list(part.select("tenant", "trace_id").iter_rows())
        chosen = part["span_id"].explode().unique().to_list()
        tables.append(frames.from_table(store.query(text, {**parameters, "traces": traces, "spans": chosen})))
    return pl.concat(tables)


def _bounds(since: datetime | None, until: datetime | None) -> tuple[str, dict[str, int]]:
    conditions, parameters = ["1"], {}
    if since is not None:
        conditions.append("bucket >= fromUnixTimestamp({since:Int64})")
        parameters["since"] = micros(since) // 1_000_000
    if until is not None:
        conditions.append("bucket <= fromUnixTimestamp({until:Int64})")
        parameters["until"] = micros(until + timedelta(seconds=1)) // 1_000_000
    return f"({' AND '.join(conditions)} OR bucket = fromUnixTimestamp(0))", parameters
