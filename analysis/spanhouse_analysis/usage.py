"""What runs used and cost: sums over what counts, unknown where anything that must be known is not."""

from __future__ import annotations

from typing import Final

import polars as pl

from spanhouse_analysis.classes import TOOL
from spanhouse_analysis.counting import USAGE
from spanhouse_analysis.groups import Groups

PARTIAL: Final = "partial"
"""``cost_source`` of a run of which some calls have a price and some have none."""
MIXED: Final = "mixed"
"""``cost_source`` of a run whose calls take their cost from different sources."""


def totals(groups: Groups) -> pl.DataFrame:
    """Return token sums, ``cost_usd``, ``cost_source`` and ``unpriced_models``, one row a run in order of number.

    Tokens are null where nothing that counts has them. Cost is the sum of the calls' costs and of what tools declare;
    null where nothing has a cost or where any call that must have cost something has none.
    """
    rows = groups.rows.select(
        "run", *USAGE, "cost_usd", "cost_source", "status", "replayed", "span_class", model=model_name()
    ).with_columns(usage=pl.Series(groups.counted.usage), tool=pl.Series(groups.counted.executed))
    # Retrieval and other helpers may declare what they cost too, but a call nested in a counted one is in its cost.
    tokens = (
        rows.filter("usage")
        .group_by("run")
        .agg(*(pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).alias(name) for name in USAGE))
    )
    priced = _priced(rows.filter(pl.col("usage") | pl.col("tool")))
    return (
        groups.keys.select("run")
        .join(tokens, on="run", how="left")
        .join(priced, on="run", how="left")
        .with_columns(pl.col("cost_source").fill_null(""), pl.col("unpriced_models").fill_null([]))
    )


def _used() -> pl.Expr:
    return pl.any_horizontal(*(pl.col(name).fill_null(0) > 0 for name in USAGE))


def unpriced() -> pl.Expr:
    """Whether a row that counts must have cost something and nobody says how much."""
    # A call that failed or was answered from an earlier one, and reports no use, cost nothing.
    free = ~_used() & ((pl.col("status") == "error") | pl.col("replayed"))
    return (pl.col("span_class") != TOOL) & pl.col("cost_usd").is_null() & ~free


def _priced(rows: pl.DataFrame) -> pl.DataFrame:
    unknown, used = unpriced(), _used()
    known = pl.col("cost_usd").is_not_null()
    sources = pl.col("cost_source").filter(known & (pl.col("cost_source") != "")).unique()
    per_run = (
        rows.with_columns(unknown=unknown, known=known, used=used)
        .group_by("run")
        .agg(
            total=pl.col("cost_usd").sum(),
            known=pl.col("known").any(),
            unknown=pl.col("unknown").any(),
            used=pl.col("used").any(),
            source=sources.first(),
            sources=sources.len(),
            unpriced_models=pl.col("model").filter(pl.col("unknown") & (pl.col("model") != "")).unique().sort(),
        )
    )
    source = (
        pl.when(pl.col("unknown") & pl.col("known"))
        .then(pl.lit(PARTIAL))
        .when(~pl.col("known") | pl.col("unknown"))
        .then(pl.lit(""))
        .when(pl.col("sources") > 1)
        .then(pl.lit(MIXED))
        .otherwise(pl.col("source").fill_null(""))
    )
    nothing_said = ~pl.col("known") & ~pl.col("used")
    return per_run.select(
        "run",
        cost_usd=pl.when(pl.col("known") & ~pl.col("unknown")).then(pl.col("total")),
        cost_source=source,
        unpriced_models=pl.when(nothing_said).then(pl.lit([], dtype=pl.List(pl.String))).otherwise("unpriced_models"),
    )


def model_name() -> pl.Expr:
    """The model that answered, else the model that was asked."""
    return pl.when(pl.col("response_model") != "").then(pl.col("response_model")).otherwise(pl.col("request_model"))
