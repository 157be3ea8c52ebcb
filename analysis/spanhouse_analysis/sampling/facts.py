"""Facts as a decision leaves them: runs weighed or withdrawn, spending kept, what came too late said to be a part."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

import polars as pl

from spanhouse_analysis.facts import Facts
from spanhouse_analysis.reading import Trace
from spanhouse_analysis.sampling.decisions import KEPT, Decisions, Record
from spanhouse_analysis.steps import USAGE

_RUN: Final = ["tenant", "run_id"]
_SPENT_SEQ: Final = 1 << 31
"""Rows that hold what sampled-out runs spent are numbered from here, by a hash of their span."""


def decided(found: Facts, decisions: Decisions, records: Mapping[Trace, Record]) -> Facts:
    """Return the facts to publish.

    What a run spent that is sampled out stays, so that spending is exact: a row of ``steps`` a call, under the trace's
    id, of weight 0. It has the same key whenever and from whatever spans it is made.
    """
    traces = found.runs.select(*_RUN, "trace_id")
    weighted = _weighted(found, decisions)
    dropped = pl.DataFrame(list(decisions.dropped), schema={"tenant": pl.String, "run_id": pl.String}, orient="row")
    kept = [trace for trace, record in decisions.records.items() if record.state == KEPT]
    back = pl.DataFrame(kept, schema={"tenant": pl.String, "trace_id": pl.String}, orient="row")
    parts = [
        weighted.steps.join(dropped, on=_RUN, how="anti"),
        spent(weighted.steps.join(dropped, on=_RUN, how="semi"), traces),
        # What is published of a run that is kept after all says itself what it spent.
        spent(
            weighted.steps.join(traces.join(back, on=["tenant", "trace_id"], how="semi"), on=_RUN, how="semi"), traces
        ).with_columns(is_deleted=pl.lit(1, dtype=pl.UInt8)),
    ]
    runs = weighted.runs.join(dropped, on=_RUN, how="anti", maintain_order="left")
    lost = {**records, **decisions.records}
    partial = {trace: record for trace, record in lost.items() if record.state == KEPT and record.spans}
    return replace(found, runs=_partial(runs, weighted.steps, partial), steps=pl.concat(parts))


def spent(steps: pl.DataFrame, traces: pl.DataFrame) -> pl.DataFrame:
    """Return what these steps spent as rows of no run."""
    rows = steps.filter(
        pl.col("kind").is_in(["model", USAGE]) | ((pl.col("kind") == "tool") & pl.col("cost_usd").is_not_null()),
        pl.col("status") != "denied",
    ).join(traces, on=_RUN, how="left", maintain_order="left")
    numbers = [_SPENT_SEQ + (zlib.crc32(span_id.encode()) >> 1) for span_id in rows["span_id"]]
    return rows.with_columns(
        run_id="trace_id",
        seq=pl.Series(numbers, dtype=pl.UInt32),
        run_started_at="started_at",
        run_ended_at=pl.lit(None, dtype=steps.schema["run_ended_at"]),
        error_message=pl.lit(""),
        args_hash=pl.lit(""),
        weight=pl.lit(0.0),
    ).select(steps.columns)


def _weighted(found: Facts, decisions: Decisions) -> Facts:
    if not decisions.weights:
        return found
    rows = [(tenant, run_id, weight) for (tenant, run_id), weight in decisions.weights.items()]
    weights = pl.DataFrame(
        rows, schema={"tenant": pl.String, "run_id": pl.String, "new_weight": pl.Float64}, orient="row"
    )

    def weighed(frame: pl.DataFrame) -> pl.DataFrame:
        joined = frame.join(weights, on=_RUN, how="left", maintain_order="left")
        return joined.with_columns(weight=pl.coalesce("new_weight", "weight")).drop("new_weight")

    return replace(found, runs=weighed(found.runs), steps=weighed(found.steps))


def _partial(runs: pl.DataFrame, steps: pl.DataFrame, records: Mapping[Trace, Record]) -> pl.DataFrame:
    """Say of runs of which spans were deleted that they are over and not complete."""
    if not records:
        return runs
    rows = [
        (*trace, run_id, record.spans) for trace, record in records.items() for run_id in _runs_of(runs, trace, record)
    ]
    schema = {"tenant": pl.String, "trace_id": pl.String, "run_id": pl.String, "deleted": pl.UInt32}
    lost = pl.DataFrame(rows, schema=schema, orient="row")
    last = steps.group_by(_RUN).agg(last_end=pl.col("ended_at").max())
    joined = runs.join(lost, on=["tenant", "trace_id", "run_id"], how="left", maintain_order="left").join(
        last, on=_RUN, how="left", maintain_order="left"
    )
    deleted = pl.col("deleted").is_not_null()
    endless = deleted & ((pl.col("status") == "running") | (pl.col("stop_code") == "abandoned"))
    end = pl.coalesce("ended_at", "last_end", "started_at")
    unknown = {
        "status": pl.lit("ended"),
        "stop_reason": pl.lit("unknown"),
        "stop_code": pl.lit("unknown"),
        "stop_subject": pl.lit(""),
        "stop_reason_source": pl.lit("inferred"),
        "completed": pl.lit(value=False),
        "ended_at": end,
    }
    named = {name: pl.when(endless).then(value).otherwise(name).alias(name) for name, value in unknown.items()}
    whole = (pl.col("deleted") + pl.col("spans_stored")).cast(pl.UInt32)
    return joined.with_columns(
        *named.values(),
        spans_expected=pl.when(deleted).then(pl.max_horizontal("spans_expected", whole)).otherwise("spans_expected"),
    ).select(runs.columns)


def _runs_of(runs: pl.DataFrame, trace: Trace, record: Record) -> Collection[str]:
    """Return the trace's runs that lack spans: those withdrawn, and parts whose root was deleted."""
    mine = runs.filter((pl.col("tenant") == trace[0]) & (pl.col("trace_id") == trace[1]))
    return mine.filter(pl.col("run_id").is_in(record.runs) | (pl.col("root_span_id") == ""))["run_id"].to_list()
