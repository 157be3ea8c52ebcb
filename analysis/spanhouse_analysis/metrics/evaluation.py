"""Computes metrics from rows: the one place where a definition becomes a number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import numpy as np
import polars as pl

from spanhouse_analysis.metrics import source, spend
from spanhouse_analysis.metrics.definitions import ENDED, Metric
from spanhouse_analysis.metrics.intervals import quantile, quantile_interval, sum_interval, wilson
from spanhouse_analysis.metrics.query import MetricQuery, Point
from spanhouse_storage import Store

_BUCKET: Final = "bucket"
_STOP: Final = ("stop_code", "stop_subject")
_NANOS: Final = 1_000_000_000
Group: TypeAlias = tuple[Any, ...]
"""Values of the groups asked for, then the bucket's start in nanoseconds or None."""


def evaluate(store: Store, query: MetricQuery, *, now: datetime | None = None) -> list[Point]:
    """Return one point a metric, group and time bucket, in the order of the metrics asked for.

    Args:
        store: where run facts are kept.
        query: what is asked.
        now: the end of a window that has none; the present by default.

    Raises:
        MetricError: a metric or group is unknown, or the two do not go together.
    """
    metrics, wanted = query.metrics(), query.wanted()
    window = _Window(query, now or datetime.now(UTC))
    of_runs = [metric for metric in metrics if metric.run and not query.from_steps(metric)]
    of_calls = [metric for metric in metrics if query.from_steps(metric)]
    points: dict[str, list[Point]] = {}
    if of_runs:
        columns = [*query.by, *(column for metric in of_runs if metric.run for column in metric.run.columns)]
        points.update(points_of(source.ended_runs(store, wanted, columns), of_runs, query, window))
    if of_calls:
        columns = [*query.by, *(column for metric in of_calls if metric.tool for column in metric.tool.columns)]
        points.update(points_of(source.tool_calls(store, wanted, columns), of_calls, query, window))
    of_spend = [metric for metric in metrics if metric.spend]
    if of_spend:
        sums = spend.sums(store, wanted, query.by, query.step_nanoseconds(), of_spend)
        points.update(_summed(sums, of_spend, query, window))
    for metric in metrics:
        if metric.kind == "gauge":
            points[metric.name] = _gauge(source.active_runs(store, wanted, query.by), metric, query, window)
    return [point for metric in metrics for point in points[metric.name]]


@dataclass(frozen=True, slots=True)
class _Window:
    """The time a query is about.

    Attributes:
        earliest: the first end of a run found; where an unbounded window begins.
    """

    query: MetricQuery
    now: datetime
    earliest: datetime | None = None

    def bounds(self, bucket: int | None) -> tuple[datetime | None, datetime | None]:
        """Return start and end of a bucket, or of the window."""
        length = self.query.step_nanoseconds()
        if bucket is not None and length:
            return _time(bucket), _time(bucket + length)
        wanted = self.query.wanted()
        return wanted.since or self.earliest, wanted.until or self.now

    def empty_groups(self, found: set[Group]) -> Iterator[Group]:
        """Yield the buckets of a bounded window in which nothing ended; one for a query without groups."""
        length, wanted = self.query.step_nanoseconds(), self.query.wanted()
        if self.query.by:
            return
        if not length:
            yield from {(None,)} - found
        elif wanted.since is not None:
            first = int(wanted.since.timestamp()) * _NANOS // length * length
            last = int((wanted.until or self.now).timestamp()) * _NANOS
            yield from sorted({(bucket,) for bucket in range(first, last, length)} - found)


def points_of(
    rows: pl.DataFrame, metrics: Sequence[Metric], query: MetricQuery, window: _Window
) -> dict[str, list[Point]]:
    """Return the points of each metric, from rows that hold its columns, the groups and ``ended_ns``."""
    length = query.step_nanoseconds()
    bucket = pl.col(ENDED) // length * length if length else pl.lit(None, dtype=pl.Int64)
    keys = [*query.by, _BUCKET]
    placed = rows.with_columns(bucket.alias(_BUCKET))
    from_steps = bool(metrics) and query.from_steps(metrics[0])
    table = placed.group_by(keys).agg(
        expression for metric in metrics for expression in _reductions(metric, from_steps=from_steps)
    )
    if rows.height:
        window = replace(window, earliest=_time(rows.select(pl.col(ENDED).min()).item()))
    scalars = table.select(pl.exclude(pl.List))
    # Distributions stay columns: half a million values are too many for Python lists.
    lists = {name: table[name] for name in table.columns if name not in scalars.columns}
    reduced = {
        row[: len(keys)]: {
            **dict(zip(scalars.columns, row, strict=True)),
            **{name: column[number].to_numpy() for name, column in lists.items()},
        }
        for number, row in enumerate(scalars.iter_rows())
    }
    result: dict[str, list[Point]] = {}
    for metric in metrics:
        if metric.kind == "share":
            result[metric.name] = _shares(placed, metric, query, window)
        else:
            result[metric.name] = _filled(reduced, metric, query, window)
    return result


def _summed(
    sums: pl.DataFrame, metrics: Sequence[Metric], query: MetricQuery, window: _Window
) -> dict[str, list[Point]]:
    """Return the points of metrics that the store has added up, see ``spend.sums``."""
    if sums.height:
        window = replace(window, earliest=_time(sums.select(pl.col(spend.FIRST).min()).item()))
    width = len(query.by) + 1
    reduced = {row[:width]: dict(zip(sums.columns, row, strict=True)) for row in sums.iter_rows()}
    return {metric.name: _filled(reduced, metric, query, window) for metric in metrics}


def _filled(
    reduced: Mapping[Group, dict[str, Any]], metric: Metric, query: MetricQuery, window: _Window
) -> list[Point]:
    """Return one point a group, and one where a bounded window without groups has nothing."""
    filled = [*reduced.items(), *((group, {}) for group in window.empty_groups(set(reduced)))]
    filled.sort(key=lambda item: tuple((value is not None, value) for value in item[0]))
    return [_point(metric, group, parts, query, window) for group, parts in filled]


def _reductions(metric: Metric, *, from_steps: bool) -> Iterator[pl.Expr]:
    parts = metric.tool if from_steps else metric.run
    assert parts is not None
    name, value = metric.name, parts.numerator
    if metric.kind == "ratio":
        assert parts.denominator is not None
        yield value.cast(pl.Float64).sum().alias(f"{name}:sum")
        yield parts.denominator.cast(pl.Float64).sum().alias(f"{name}:of")
    elif metric.kind == "sum":
        yield value.sum().alias(f"{name}:sum")
        yield value.count().alias(f"{name}:of")
        yield value.std().alias(f"{name}:deviation")
    elif metric.kind == "quantile":
        yield value.cast(pl.Float64).drop_nulls().sort().alias(f"{name}:values")
    elif metric.kind in {"count", "rate"}:
        yield (value.n_unique() if from_steps else pl.len()).alias(f"{name}:sum")


def _point(metric: Metric, group: Group, parts: dict[str, Any], query: MetricQuery, window: _Window) -> Point:
    start, end = window.bounds(group[-1])
    total, of = parts.get(f"{metric.name}:sum") or 0, parts.get(f"{metric.name}:of") or 0
    value: float | None = None
    numerator: float | None = float(total)
    denominator: float | None = float(of)
    low = high = None
    if metric.kind == "ratio":
        value = total / of if of else None
        low, high = wilson(total, of)
    elif metric.kind == "sum":
        value = float(total) if of else None
        low, high = sum_interval(total, of, parts.get(f"{metric.name}:deviation"))
    elif metric.kind == "quantile":
        ordered = np.asarray(parts.get(f"{metric.name}:values", ()), dtype=np.float64)
        assert metric.quantile is not None
        value, numerator, denominator = quantile(ordered, metric.quantile), None, float(ordered.size)
        low, high = quantile_interval(ordered, metric.quantile)
    elif metric.kind == "count":
        value, denominator = (float(total) or None), None
    else:
        minutes = (end - start).total_seconds() / 60 if start and end else 0.0
        value, denominator = (total / minutes if total and minutes else None), minutes
    return Point(metric.name, _named(group, query), start, end, value, numerator, denominator, low, high, metric.unit)


def _shares(placed: pl.DataFrame, metric: Metric, query: MetricQuery, window: _Window) -> list[Point]:
    """Return how the runs of each group divide among stop reasons."""
    keys = [*query.by, _BUCKET]
    extra = [column for column in _STOP if column not in keys]
    totals = {row[:-1]: row[-1] for row in placed.group_by(keys).len().iter_rows()}
    order = [*keys, "len", *extra]
    counts = placed.group_by([*keys, *extra]).len()
    points = []
    for row in counts.sort(order, descending=[name == "len" for name in order]).iter_rows(named=True):
        group = tuple(row[key] for key in keys)
        count, of = row["len"], totals[group]
        start, end = window.bounds(group[-1])
        named = {**_named(group, query), **{name: row[name] for name in extra}}
        low, high = wilson(count, of)
        points.append(
            Point(metric.name, named, start, end, count / of, float(count), float(of), low, high, metric.unit)
        )
    return points


def _gauge(rows: pl.DataFrame, metric: Metric, query: MetricQuery, window: _Window) -> list[Point]:
    keys = list(query.by)
    counts = list(rows.group_by(keys).len().sort(keys).iter_rows()) if keys else [(rows.height,)]
    return [
        Point(
            metric.name,
            _named((*group, None), query),
            window.now,
            window.now,
            float(n),
            float(n),
            None,
            None,
            None,
            metric.unit,
        )
        for *group, n in counts
    ]


def _named(group: Group, query: MetricQuery) -> dict[str, str]:
    return dict(zip(query.by, (str(value) for value in group[:-1]), strict=True))


def _time(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / _NANOS, UTC)
