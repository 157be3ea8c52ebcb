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
    spans = frames.from_table(table)
    spoken = _spoken(store, spans, since, until)
    found = facts.compute(_with_output_evidence(store, spans, spoken), now, lease_seconds)
    if found.runs.is_empty():
        return found
    ids = _preview_spans(found.previews)
    payload = _rows_of_spans(store, "previews", ids, since, until)
    return _with_previews(store, found, payload)


def facts_of_spans(
    store: Store,
    spans: pl.DataFrame,
    now: datetime,
    *,
    lease_seconds: float = facts.LEASE_SECONDS,
    since: datetime | None = None,
    until: datetime | None = None,
) -> facts.Facts:
    """Return the facts of traces whose spans are at hand, the same as ``facts_of_traces`` reads of the store.

    Args:
        store: where messages of log records are, and texts that are not at hand.
        spans: all spans of the traces: ``frames.FACT_COLUMNS``, ``has_output``, and ``input`` and ``output``, which are
            null where the text is in the store alone.
        now: the time of computing.
        lease_seconds: see ``facts.compute``.
        since: no span of the traces starts earlier.
        until: no span of the traces starts later.
    """
    # The newest of several versions of a span counts, as where it is read from the store.
    spans = spans.sort("version", maintain_order=True).unique(frames.IDENTITY, keep="last", maintain_order=True)
    spoken = spans.filter(frames.HAS_OUTPUT)
    found = facts.compute(_with_output_evidence(store, spans, spoken), now, lease_seconds)
    if found.runs.is_empty():
        return found
    texts = spans.select(*frames.IDENTITY, "input", "output")
    held = texts.join(_preview_spans(found.previews), on=list(frames.IDENTITY), how="semi", maintain_order="left")
    lacking = _lacking(found.previews, held)
    if not lacking.is_empty():
        read = _rows_of_spans(store, "previews", lacking, since, until)
        held = pl.concat([held.join(lacking, on=list(frames.IDENTITY), how="anti"), read.select(held.columns)])
    return _with_previews(store, found, held)


def _preview_spans(wanted: pl.DataFrame) -> pl.DataFrame:
    roles = ["root_span", "first_call", "last_call"]
    ids = wanted.unpivot(roles, index=["tenant", "trace_id"], value_name="span_id")
    return ids.drop_nulls("span_id").select(frames.IDENTITY)


def _lacking(wanted: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Return the spans of which a preview may need a text that is not at hand."""
    needed = {"root_span": ("input", "output"), "first_call": ("input",), "last_call": ("output",)}
    found = [
        wanted.select("tenant", "trace_id", span_id=role)
        .join(held, on=list(frames.IDENTITY))
        .filter(pl.any_horizontal(pl.col(text).is_null() for text in texts))
        .select(frames.IDENTITY)
        for role, texts in needed.items()
    ]
    return pl.concat(found).unique(maintain_order=True)


def _with_previews(store: Store, found: facts.Facts, payload: pl.DataFrame) -> facts.Facts:
    if payload.is_empty():
        return found
    return replace(found, runs=with_previews(found.runs, found.previews, contents.with_messages(store, payload)))


def _spoken(store: Store, spans: pl.DataFrame, since: datetime | None, until: datetime | None) -> pl.DataFrame:
    """Return which spans hold output messages, of those where nothing else tells of an answer."""
    silent = _silent(spans)
    if silent.is_empty():
        return silent
    return _rows_of_spans(store, "spoken", silent.select(frames.IDENTITY), since, until)


def _silent(spans: pl.DataFrame) -> pl.DataFrame:
    """Return the model spans that show no sign of an answer but maybe its text; most show one."""
    return spans.filter(
        (pl.col("span_class") == MODEL)
        & pl.col("is_final")
        & (pl.col("response_id") == "")
        & (pl.col("finish_reasons").list.len() == 0)
        & (pl.col("input_tokens").fill_null(0) + pl.col("output_tokens").fill_null(0) == 0)
    )


def _with_output_evidence(store: Store, spans: pl.DataFrame, spoken: pl.DataFrame) -> pl.DataFrame:
    """Mark the model spans that show no other sign of an answer and have its text, or a log record has it."""
    slim = spans.drop(frames.HAS_OUTPUT, strict=False)
    silent = _silent(slim)
    if silent.is_empty():
        return slim.with_columns(pl.lit(value=False).alias(frames.HAS_OUTPUT))
    told = contents.answered(store, list(silent.select("tenant", "trace_id").unique().iter_rows()))
    marked = (
        pl.concat([spoken.select(frames.IDENTITY), told])
        .unique()
        .join(silent.select(frames.IDENTITY), on=list(frames.IDENTITY), how="semi")
        .with_columns(pl.lit(value=True).alias(frames.HAS_OUTPUT))
    )
    return slim.join(marked, on=list(frames.IDENTITY), how="left").with_columns(
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
