"""The steps of runs: one row a counted model call, a requested tool call, a plan or a wait, in start order.

Behind a run's steps stand its rows of kind ``usage``: figures on a span that stands for calls nobody recorded. They are
no steps, and only they and the steps together hold all that a run cost.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from spanhouse_analysis.classes import AGENTIC, MODEL, TOOL
from spanhouse_analysis.groups import Groups
from spanhouse_analysis.usage import model_name, unpriced

MODEL_STEP: Final = "model"
TOOL_STEP: Final = "tool"
USAGE: Final = "usage"
_OWN_KINDS: Final = ("plan", "wait")


def rows_of(groups: Groups) -> pl.DataFrame:
    """Return what the spans say about each step: ``run``, ``seq`` from 1 a run, and the columns of ``steps``.

    ``status`` is ``denied`` for a tool call that was asked for and never made, ``error`` for a failed one, else ``ok``.
    ``ended_at`` is never later than the span's receipt: the clock of the agent's machine may run ahead, and what was
    spent was spent by then. Rows of kind ``usage`` are numbered after the steps.
    """
    counted = groups.counted
    of_class = pl.col("span_class")
    own_kind = pl.col("step_kind").is_in(_OWN_KINDS) & ~of_class.is_in([MODEL, TOOL, *AGENTIC]) & pl.col("is_final")
    rows = groups.rows.with_columns(
        counted=pl.Series(counted.model | counted.requested),
        executed=pl.Series(counted.executed),
        bare=pl.Series(counted.usage & ~counted.model),
        unpriced=unpriced() & pl.Series(counted.usage),
    ).filter(pl.col("counted") | pl.col("bare") | own_kind)
    failed = pl.col("status") == "error"
    ended = pl.max_horizontal("start", "end")
    return rows.sort("run", "bare", "start", "span_id").select(
        "run",
        "span_id",
        "step",
        "executed",
        "polling",
        seq=pl.int_range(1, pl.len() + 1, dtype=pl.UInt32).over("run"),
        kind=pl.when("bare")
        .then(pl.lit(USAGE))
        .when(of_class == MODEL)
        .then(pl.lit(MODEL_STEP))
        .when(of_class == TOOL)
        .then(pl.lit(TOOL_STEP))
        .otherwise("step_kind"),
        tool=pl.when(of_class == TOOL)
        .then(pl.when(pl.col("tool_name") != "").then("tool_name").otherwise("name"))
        .otherwise(pl.lit("")),
        model=pl.when((of_class == MODEL) | pl.col("bare")).then(model_name()).otherwise(pl.lit("")),
        started_at="start",
        ended_at=pl.min_horizontal(ended, pl.col("received_at").cast(groups.rows.schema["end"])),
        ms=(pl.col("duration_ns") / 1e6).round(6),
        status=pl.when((of_class == TOOL) & (pl.col("decision") == "deny"))
        .then(pl.lit("denied"))
        .when(failed)
        .then(pl.lit("error"))
        .otherwise(pl.lit("ok")),
        error_type=pl.when(pl.col("error_type") != "").then("error_type").otherwise("exception_type"),
        error_message=pl.col("status_message").str.split("\n").list.first().str.slice(0, 500).fill_null(""),
        decision="decision",
        args_hash="args_hash",
        attempt="attempt",
        replayed="replayed",
        input_tokens="input_tokens",
        output_tokens="output_tokens",
        cost_usd="cost_usd",
        unpriced="unpriced",
    )
