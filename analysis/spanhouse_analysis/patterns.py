"""Loops, retries and retry storms of many runs at once, found the way the guard in the runtime finds them."""

from __future__ import annotations

from typing import Final

import polars as pl

from spanhouse.loops import cycle_length, loops

STORM_ATTEMPTS: Final = 3
STORM_SECONDS: Final = 60
"""Three failed attempts of one tool that start within a minute are a retry storm."""


def of_runs(calls: pl.DataFrame) -> pl.DataFrame:
    """Return ``run``, ``loops``, ``cycle_length``, ``retries`` and ``retry_storm``, one row a run that made tool calls.

    Args:
        calls: executed tool calls in start order: ``run``, ``start``, ``span_id``, ``tool_name``, ``args_hash``,
            ``polling``, ``failed`` and ``attempt`` (from 1, null where not said).
    """
    # Arguments nobody recorded are not known to be equal: such a call is like no other.
    unknown = pl.col("args_hash") == ""
    signed = calls.with_columns(pl.when(unknown).then(pl.col("span_id")).otherwise(pl.col("args_hash")).alias("args"))
    after_failure = pl.col("failed").shift(1).over("run", "tool_name", "args").fill_null(value=False)
    retried = signed.with_columns(retry=after_failure | (pl.col("attempt").fill_null(1) > 1))
    counted = retried.group_by("run").agg(retries=pl.col("retry").sum().cast(pl.UInt32)).sort("run")
    return (
        counted.join(_storms(calls), on="run", how="left")
        .join(_loops(signed.filter(~pl.col("polling"))), on="run", how="left")
        .with_columns(
            pl.col("retry_storm").fill_null(value=False),
            pl.col("loops", "cycle_length").fill_null(0),
        )
    )


def _storms(calls: pl.DataFrame) -> pl.DataFrame:
    failed = calls.filter("failed").sort("run", "tool_name", "start")
    earliest = pl.col("start").shift(STORM_ATTEMPTS - 1).over("run", "tool_name")
    near = (pl.col("start") - earliest) <= pl.duration(seconds=STORM_SECONDS)
    return failed.filter(near.fill_null(value=False)).select("run", retry_storm=pl.lit(value=True)).unique()


def _loops(calls: pl.DataFrame) -> pl.DataFrame:
    made = (
        calls.with_columns(signature=pl.struct("tool_name", "args").rank("dense"))
        .group_by("run")
        .agg("signature")
        # A loop needs equal calls, so most runs need no look at all.
        .filter(pl.col("signature").list.n_unique() < pl.col("signature").list.len())
    )
    found = [(run, loops(calls), cycle_length(calls)) for run, calls in made.iter_rows()]
    return pl.DataFrame(found, schema={"run": pl.Int64, "loops": pl.UInt32, "cycle_length": pl.UInt32}, orient="row")
