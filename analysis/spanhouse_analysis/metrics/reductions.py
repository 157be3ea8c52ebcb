"""What rows add to each metric: the one place where the additive parts are defined.

Rows carry a weight: how many runs theirs stands for. Parts of two sets of rows, added up, are the parts of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from spanhouse_analysis.metrics.definitions import ENDED, Metric, Parts

WEIGHT: Final = "weight"
FIRST: Final = "first_ns"
SAMPLED: Final = "sampled"

SUM, OF, SQUARE, COUNT = ":sum", ":of", ":square", ":count"
"""Ends of the names of parts: what is counted or summed, out of how many, squares of weights or of weighted values, and
how many rows."""
VALUES, WEIGHTS = ":values", ":weights"


def base(metric: Metric) -> str:
    """Return the name that the metric's parts have: quantiles of one distribution share theirs."""
    return metric.name.rpartition("_p")[0] if metric.kind == "quantile" else metric.name


def parts_of(metric: Metric, *, from_steps: bool) -> Parts:
    """Return what one row adds, the row being a tool call or a run."""
    parts = metric.tool if from_steps else metric.run
    assert parts is not None
    return parts


def scalars(metric: Metric, *, from_steps: bool) -> dict[str, pl.Expr]:
    """Return the additive parts of a metric by name, each a sum over rows; `lists` has values of distributions."""
    parts, weight, name = parts_of(metric, from_steps=from_steps), pl.col(WEIGHT), base(metric)
    value = parts.numerator
    if metric.kind == "ratio":
        assert parts.denominator is not None
        of = parts.denominator.cast(pl.Float64)
        return {
            name + SUM: (value.cast(pl.Float64) * weight).sum(),
            name + OF: (of * weight).sum(),
            name + SQUARE: (of * weight * weight).sum(),
        }
    if metric.kind == "sum":
        weighted = value.cast(pl.Float64) * weight
        return {
            name + SUM: weighted.sum(),
            name + OF: weight.filter(value.is_not_null()).sum(),
            name + COUNT: value.count().cast(pl.Float64),
            name + SQUARE: (weighted * weighted).sum(),
        }
    if metric.kind == "quantile":
        known = weight.filter(value.is_not_null())
        return {name + OF: known.sum(), name + SQUARE: (known * known).sum()}
    counted = weight.filter(value.is_first_distinct()) if from_steps else weight
    return {name + SUM: counted.sum(), name + SQUARE: (counted * counted).sum()}


def lists(metric: Metric, *, from_steps: bool) -> dict[str, pl.Expr]:
    """Return the values of a distribution and what each stands for, as lists; nothing of other metrics."""
    if metric.kind != "quantile":
        return {}
    value, name = parts_of(metric, from_steps=from_steps).numerator.cast(pl.Float64), base(metric)
    known = value.is_not_null()
    return {name + VALUES: value.filter(known), name + WEIGHTS: pl.col(WEIGHT).filter(known)}


def common() -> dict[str, pl.Expr]:
    """Return what is known of every group: its earliest end, and whether some of its runs stand for others."""
    return {FIRST: pl.col(ENDED).min(), SAMPLED: (pl.col(WEIGHT) != 1).any()}


def reduce(rows: pl.DataFrame, metrics: Sequence[Metric], keys: Sequence[str], *, from_steps: bool) -> pl.DataFrame:
    """Return one row a group with the parts of each metric."""
    named = common()
    for metric in metrics:
        named |= scalars(metric, from_steps=from_steps) | lists(metric, from_steps=from_steps)
    return rows.group_by(keys).agg(**named)


def merged(frames: Sequence[pl.DataFrame], keys: Sequence[str]) -> pl.DataFrame:
    """Return the groups of several frames of parts as one, their parts added up."""
    whole = pl.concat(frames)
    if len(frames) == 1:
        return whole
    named: dict[str, pl.Expr] = {FIRST: pl.col(FIRST).min(), SAMPLED: pl.col(SAMPLED).any()}
    for name in whole.columns:
        if name.endswith((VALUES, WEIGHTS)):
            named[name] = pl.col(name).explode(keep_nulls=False, empty_as_null=False)
        elif name not in keys and name not in named:
            named[name] = pl.col(name).sum()
    return whole.group_by(keys).agg(**named)
