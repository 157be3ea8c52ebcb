"""Reads kept parts as the frames that finishing takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import polars as pl

from spanhouse_analysis import frames
from spanhouse_analysis.metrics import sketch
from spanhouse_analysis.metrics.definitions import Metric
from spanhouse_analysis.metrics.finishing import BUCKET
from spanhouse_analysis.metrics.reductions import FIRST, SAMPLED, VALUES, WEIGHTS, base
from spanhouse_analysis.metrics.rollups import covered, planning
from spanhouse_analysis.metrics.rollups.layout import HOUR, SKETCH_WIDTH, VERSION, Layout
from spanhouse_analysis.metrics.rollups.planning import Plan
from spanhouse_storage import Store, sql
from spanhouse_storage.reads import RunFilter
from spanhouse_storage.reads.times import micros

_PACKAGE: Final = "spanhouse_analysis"
_NANOS: Final = 1_000_000_000
_LAST: Final = 1 << 53


def plan(store: Store, wanted: RunFilter, step: int | None, layout: Layout, now: datetime) -> Plan | None:
    """Return which parts to read for a query, None where it is answered from runs and calls themselves."""
    if wanted.since is not None and (wanted.until or now) - wanted.since < planning.SMALL:
        return None
    computed = computed_until(store)
    if not computed or _is_small(store, wanted):
        return None
    since = wanted.since
    if since is None:
        [row] = store.query(sql.load(_PACKAGE, "parts_first"), {"source": layout.source}).to_pylist()
        since = datetime.fromtimestamp(row["first"], UTC) if row["first"] else None
    bounds = {"since": int(since.timestamp()) if since else 0, "until": computed.get(HOUR, 0)}
    dirty = store.query(sql.load(_PACKAGE, "parts_dirty"), {"source": layout.source, **bounds}).to_pylist()
    found = planning.plan(since, wanted.until, step, computed, {(row["level"], row["bucket"]) for row in dirty})
    if found is None or wanted.since is not None:
        return found
    # Of all time the first piece is what ended before any bucket that is kept, which is nothing.
    return replace(found, exact=tuple(piece for piece in found.exact if piece[0] != since))


def _is_small(store: Store, wanted: RunFilter) -> bool:
    """Return whether so few runs ended in the window that reading them costs less than reading parts."""
    since = micros(wanted.since) if wanted.since else 0
    until = micros(wanted.until) if wanted.until else _LAST
    [row] = store.query(sql.load(_PACKAGE, "parts_size"), {"since": since, "until": until}).to_pylist()
    return int(row["runs"]) < planning.FEW_RUNS


def covers(layout: Layout, wanted: RunFilter, by: Sequence[str], metrics: Sequence[Metric]) -> bool:
    """Return whether a layout has the parts of all these metrics, by these groups and under this filter."""
    has = {base(metric) for metric in layout.metrics} >= {base(metric) for metric in metrics}
    known = covered.condition(layout, wanted) is not None
    return has and known and covered.groups_of_query(layout, list(by)) is not None


def computed_until(store: Store) -> dict[int, int]:
    """Return up to when the buckets of each level are computed, in seconds; nothing where none are."""
    rows = store.query(sql.load(_PACKAGE, "parts_until"), {"layout": VERSION}).to_pylist()
    return {row["level"]: row["until"] for row in rows}


def read(
    store: Store,
    chosen: Plan,
    wanted: RunFilter,
    by: Sequence[str],
    step: int | None,
    layout: Layout,
    metrics: Sequence[Metric],
) -> pl.DataFrame:
    """Return the parts of the plan's buckets as one row a group and time bucket asked for."""
    condition, parameters = covered.condition(layout, wanted) or ("0", {})
    groups = covered.groups_of_query(layout, list(by)) or []
    bucket = f"intDiv(toInt64(toUnixTimestamp(bucket)) * {_NANOS}, {step}) * {step}" if step else "NULL"
    named = [f"{text} AS by_{number}" for number, text in enumerate(groups)]
    named.append(f"CAST({bucket} AS Nullable(Int64)) AS at")
    keys = [*(f"by_{number}" for number in range(len(groups))), "at"]
    numbers = list(dict.fromkeys(name for metric in metrics for name in layout.names(metric)))
    sums = [f"sum(v[{layout.sums.index(name) + 1}]) AS sum_{place}" for place, name in enumerate(numbers)]
    given: dict[str, Any] = {
        **parameters,
        "source": layout.source,
        "layout": layout.version,
        "days": list(chosen.days),
        "hours": list(chosen.hours),
    }
    parts = {"keys": ", ".join(named), "by": ", ".join(keys), "condition": condition}
    found = frames.from_table(store.query(sql.compose(_PACKAGE, "parts_sums", sums=", ".join(sums), **parts), given))
    renamed = {**dict(zip(keys, [*by, BUCKET], strict=True)), **{f"sum_{n}": name for n, name in enumerate(numbers)}}
    table = found.rename(renamed).with_columns(pl.col(SAMPLED).cast(pl.Boolean))
    distributions = list(dict.fromkeys(base(metric) for metric in metrics if metric.kind == "quantile"))
    if distributions:
        places = {"places": [layout.sketch_place(name) // SKETCH_WIDTH for name in distributions]}
        counts = frames.from_table(store.query(sql.compose(_PACKAGE, "parts_sketch", **parts), {**given, **places}))
        counts = counts.rename(dict(zip(keys, [*by, BUCKET], strict=True)))
    for name in distributions:
        around = layout.sketch_place(name)
        mine = counts.filter(pl.col("k") // SKETCH_WIDTH == around // SKETCH_WIDTH)
        values = sketch.values((mine["k"].to_numpy() - around).astype(np.float64))
        lists = (
            mine.with_columns(pl.Series(name + VALUES, values))
            .group_by([*by, BUCKET])
            .agg(pl.col(name + VALUES), pl.col("w").alias(name + WEIGHTS))
        )
        empty = pl.lit([], dtype=pl.List(pl.Float64))
        table = table.join(lists, on=[*by, BUCKET], how="left", nulls_equal=True).with_columns(
            pl.col(name + VALUES, name + WEIGHTS).fill_null(empty)
        )
    return table.select([*by, BUCKET, FIRST, SAMPLED, *numbers, *_lists(metrics)])


def _lists(metrics: Sequence[Metric]) -> list[str]:
    names = dict.fromkeys(base(metric) for metric in metrics if metric.kind == "quantile")
    return [name + part for name in names for part in (VALUES, WEIGHTS)]
