"""Adds up what calls cost and used, those of running runs included; the store does the sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from spanhouse_analysis import frames
from spanhouse_analysis.metrics.definitions import Metric
from spanhouse_analysis.metrics.reductions import COUNT, FIRST, OF, SAMPLED, SQUARE, SUM
from spanhouse_storage import Store, sql
from spanhouse_storage.reads import RunFilter
from spanhouse_storage.reads.filters import where_steps

_PACKAGE: Final = "spanhouse_analysis"
_ENDED: Final = "toUnixTimestamp64Nano(ended_at)"
_OF_RUN: Final = {"type": "run_type"}

BUCKET: Final = "bucket"


def sums(
    store: Store, wanted: RunFilter, by: Sequence[str], step: int | None, metrics: Sequence[Metric]
) -> pl.DataFrame:
    """Return one row a group and time bucket with the sums of each metric over the calls that ended in the window.

    Columns: the groups, ``bucket`` (its start in nanoseconds, null without ``step``), and the parts as in `reductions`.

    What runs spent that were sampled out is stored, so these sums need no weights and are exact. Only a filter on what
    is known of runs alone (why they stopped, how they came out) has to do with those kept, and weighs them.
    """
    weight = "weight" if by_runs(wanted) else "1."
    bucket = f"intDiv({_ENDED}, {step}) * {step}" if step else "CAST(NULL AS Nullable(Int64))"
    columns = [*(f"{_OF_RUN.get(name, name)} AS `by_{name}`" for name in by), f"{bucket} AS bucket_ns"]
    columns += [f"min({_ENDED}) AS {FIRST}", f"max({weight} != 1) AS {SAMPLED}"]
    for metric in metrics:
        known = f"if(isNull({metric.spend}), 0., {weight})"
        weighted = f"ifNull(toFloat64({metric.spend}), 0.) * {weight}"
        columns += [
            f"sum({weighted}) AS `{metric.name}{SUM}`",
            f"sum({known}) AS `{metric.name}{OF}`",
            f"toFloat64(count({metric.spend})) AS `{metric.name}{COUNT}`",
            f"sum({weighted} * {weighted}) AS `{metric.name}{SQUARE}`",
        ]
    groups = ", ".join([*(f"`by_{name}`" for name in by), "bucket_ns"])
    found = _read(store, wanted, "spend_sums", columns=", ".join(columns), groups=groups)
    table = found.rename({**{f"by_{name}": name for name in by}, "bucket_ns": BUCKET})
    return table.with_columns(pl.col(SAMPLED).cast(pl.Boolean))


def by_runs(wanted: RunFilter) -> bool:
    """Return whether a filter asks what only rows of ``runs`` tell, beside what calls tell of themselves."""
    return "FROM runs " in where_steps(wanted)[0]


def largest_runs(store: Store, wanted: RunFilter, metric: Metric, limit: int) -> list[str]:
    """Return ids of the runs, running ones included, whose calls in the window add most to the metric."""
    assert metric.spend is not None
    found = _read(store, wanted, "spend_runs", value=metric.spend, parameters={"limit": limit})
    return found["run_id"].to_list()


def _read(
    store: Store, wanted: RunFilter, statement: str, *, parameters: dict[str, Any] | None = None, **parts: str
) -> pl.DataFrame:
    condition, bound = where_steps(wanted)
    window, _ = where_steps(RunFilter(since=wanted.since, until=wanted.until))
    started = "1"
    if wanted.since is not None or wanted.until is not None:
        # The start of the run decides where a call is kept; when it was is known of the calls of the window alone.
        text = sql.compose(_PACKAGE, "spend_starts", where=window)
        [starts] = store.query(text, {name: value for name, value in bound.items() if f"{{{name}:" in text}).to_pylist()
        started = "run_started_at BETWEEN fromUnixTimestamp64Nano({first:Int64}, 'UTC') AND "
        started += "fromUnixTimestamp64Nano({last:Int64}, 'UTC')"
        bound = {**bound, "first": starts["first"], "last": starts["last"]}
    text = sql.compose(_PACKAGE, statement, where=condition, started=started, **parts)
    return frames.from_table(store.query(text, {**bound, **(parameters or {})}))
