"""Span rows made from log records, put in their place beside real spans: docs/adr/0007-log-only-agents.md.

A record tells of a call that a span may tell of too. The span stays, and takes from the record what it lacks (often the
cost). What no span tells of hangs on the run of its time, and that run ends with the last of its records.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from spanhouse_analysis.classes import AGENT, AGENTIC, MODEL, STEP, TOOL
from spanhouse_storage.derived import FROM_LOG

_TRACE: Final = ["tenant", "trace_id"]
_SPAN: Final = [*_TRACE, "span_id"]
_CALL_IDS: Final = {MODEL: "response_id", TOOL: "tool_call_id"}
_NUMBERS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_TEXTS: Final = ("decision", "request_model", "response_model", "user_id", "session_id")
_ROLLED_UP: Final = "claude_code"
"""Convention whose tool spans leave their failure to a step below them."""


def settled(spans: pl.DataFrame) -> pl.DataFrame:
    """Return the spans without records that tell of what a span tells, the other records under their runs.

    A pure function of the spans, the same in any order of arrival; without such records nothing changes.

    Args:
        spans: prepared spans, see ``frames.prepare``.
    """
    if (spans["convention"] == _ROLLED_UP).any():
        spans = _with_failed_steps(spans)
    from_log = (spans["flags"].fill_null(0).cast(pl.Int64) & FROM_LOG) != 0
    if not from_log.any():
        return spans
    real, told = spans.filter(~from_log), _once(spans.filter(from_log))
    if real.height:
        real, told = _joined(real, told)
    told = _under_runs(told, real)
    return pl.concat([real, _ended(told)]).sort("tenant", "trace_id", "start", "span_id")


def _with_failed_steps(spans: pl.DataFrame) -> pl.DataFrame:
    said = ["status_message", "error_type", "exception_type"]
    failed = (
        spans.filter((pl.col("span_class") == STEP) & (pl.col("status") == "error"))
        .select(*_TRACE, *(pl.col(name).alias(f"step_{name}") for name in said), span_id="parent_span_id")
        .unique(_SPAN, keep="last", maintain_order=True)
    )
    mended = (pl.col("span_class") == TOOL) & (pl.col("status") == "unset") & pl.col("step_error_type").is_not_null()
    joined = spans.join(failed, on=_SPAN, how="left", maintain_order="left")
    return joined.with_columns(
        pl.when(mended).then(pl.lit("error")).otherwise("status").alias("status"),
        *(pl.when(mended).then(f"step_{name}").otherwise(name).alias(name) for name in said),
    ).select(spans.columns)


def _once(told: pl.DataFrame) -> pl.DataFrame:
    """Keep one row of those that tell of one call: the refusal of a tool's use before its outcome."""
    order = told.sort(*_TRACE, pl.col("decision") != "deny", "start", "span_id")
    call = pl.coalesce(
        *(
            pl.when((pl.col("span_class") == span_class) & (pl.col(key) != "")).then(pl.col(key))
            for span_class, key in _CALL_IDS.items()
        ),
        "span_id",
    )
    # A failed try and the one that worked are two calls under one request.
    status = pl.when(pl.col("span_class") == MODEL).then("status").otherwise(pl.lit(""))
    return (
        order.with_columns(call=call, kind_of_end=status)
        .unique([*_TRACE, "span_class", "call", "kind_of_end"], keep="first", maintain_order=True)
        .select(told.columns)
    )


def _joined(real: pl.DataFrame, told: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Fill real spans from the records of the same call and leave those records out.

    Records are of the same call by its id, or where they were made within the call's span. One without an id is left
    out wherever its trace has spans of its class, and a run's wherever its trace has a run's span.
    """
    matches = []
    for span_class, key in _CALL_IDS.items():
        mine = told.filter(pl.col("span_class") == span_class).select(*_TRACE, "parent_span_id", key, record="span_id")
        theirs = real.filter(pl.col("span_class") == span_class).select(*_TRACE, "span_id", key)
        named = mine.filter(pl.col(key) != "").join(theirs.filter(pl.col(key) != ""), on=[*_TRACE, key])
        within = mine.join(theirs, left_on=[*_TRACE, "parent_span_id"], right_on=_SPAN, how="semi").with_columns(
            span_id="parent_span_id"
        )
        matches += [found.select(*_TRACE, "span_id", "record") for found in (named, within)]
    pairs = pl.concat(matches).unique([*_TRACE, "record"], keep="first", maintain_order=True)
    records = told.select(
        *_TRACE,
        *(pl.col(name).alias(f"told_{name}") for name in (*_NUMBERS, *_TEXTS, "cost_usd", "cost_source")),
        record="span_id",
    )
    filling = pairs.join(records, on=[*_TRACE, "record"]).sort(*_TRACE, "record").drop("record")
    filling = filling.unique(_SPAN, keep="first", maintain_order=True)
    filled = real.join(filling, on=_SPAN, how="left", maintain_order="left").with_columns(
        *(pl.coalesce(name, f"told_{name}").alias(name) for name in _NUMBERS),
        *(
            pl.when(pl.col(name) == "").then(pl.col(f"told_{name}").fill_null("")).otherwise(name).alias(name)
            for name in _TEXTS
        ),
        # What the agent itself says a call cost is worth more than what a price list makes of it.
        *_cost(),
    )
    classes = real.select(*_TRACE, "span_class").unique()
    agents = real.filter(pl.col("span_class").is_in(AGENTIC)).select(_TRACE).unique()
    left = told.join(pairs.select(*_TRACE, span_id="record"), on=_SPAN, how="anti", maintain_order="left")
    nameless = (pl.col("span_class").is_in(list(_CALL_IDS))) & (
        pl.when(pl.col("span_class") == MODEL).then("response_id").otherwise("tool_call_id") == ""
    )
    doubtful = left.filter(nameless).join(classes, on=[*_TRACE, "span_class"], how="semi").select(_SPAN)
    runs = left.filter(pl.col("span_class") == AGENT).join(agents, on=_TRACE, how="semi").select(_SPAN)
    return filled.select(real.columns), left.join(
        pl.concat([doubtful, runs]), on=_SPAN, how="anti", maintain_order="left"
    )


def _cost() -> list[pl.Expr]:
    better = pl.col("told_cost_usd").is_not_null() & (
        pl.col("cost_usd").is_null()
        | ((pl.col("told_cost_source") == "reported") & (pl.col("cost_source") == "computed"))
    )
    return [pl.when(better).then(f"told_{name}").otherwise(name).alias(name) for name in ("cost_usd", "cost_source")]


def _under_runs(told: pl.DataFrame, real: pl.DataFrame) -> pl.DataFrame:
    """Hang records whose parent is not there on the last run record of their trace that came before they ended."""
    present = pl.concat([told.select(_SPAN), real.select(_SPAN)]).rename({"span_id": "parent_span_id"})
    runs = (
        told.filter(pl.col("span_class") == AGENT)
        .select(*_TRACE, at="start", run_span="span_id")
        .sort("at", "run_span")
    )
    orphans = told.filter(pl.col("span_class") != AGENT).join(present, on=[*_TRACE, "parent_span_id"], how="anti")
    placed = (
        orphans.select(*_SPAN, at="end")
        .sort("at")
        .join_asof(runs, on="at", by=_TRACE, strategy="backward", check_sortedness=False)
        .select(*_SPAN, "run_span")
    )
    return (
        told.join(placed, on=_SPAN, how="left", maintain_order="left")
        .with_columns(parent_span_id=pl.coalesce("run_span", "parent_span_id"))
        .select(told.columns)
    )


def _ended(told: pl.DataFrame) -> pl.DataFrame:
    """Let each run record last until the last record under it, and fail where the last model call failed for good."""
    calls = told.filter(pl.col("span_class") != AGENT).sort("end", "span_id")
    last = calls.group_by(*_TRACE, "parent_span_id", maintain_order=True).agg(
        last_end=pl.col("end").max(),
        **{
            f"last_{name}": pl.col(name).filter(pl.col("span_class") == MODEL).last()
            for name in ("status", "status_message", "error_type")
        },
    )
    joined = told.join(
        last.rename({"parent_span_id": "span_id"}), on=_SPAN, how="left", maintain_order="left"
    ).with_columns(end=pl.max_horizontal("end", "last_end"))
    failed = (pl.col("span_class") == AGENT) & (pl.col("last_status") == "error")
    return joined.with_columns(
        (pl.col("end") - pl.col("start"))
        .dt.total_nanoseconds()
        .clip(lower_bound=0)
        .cast(pl.UInt64)
        .alias("duration_ns"),
        *(
            pl.when(failed).then(f"last_{name}").otherwise(name).alias(name)
            for name in ("status", "status_message", "error_type")
        ),
    ).select(told.columns)
