"""Makes points of parts: the one place where parts become figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import numpy as np
import polars as pl

from spanhouse_analysis.metrics.definitions import Metric
from spanhouse_analysis.metrics.intervals import (
    Interval,
    count_interval,
    deviation,
    effective,
    quantile,
    quantile_interval,
    sum_interval,
    wilson,
)
from spanhouse_analysis.metrics.query import MetricQuery, Point
from spanhouse_analysis.metrics.reductions import COUNT, FIRST, OF, SAMPLED, SQUARE, SUM, VALUES, WEIGHTS, base

BUCKET: Final = "bucket"
STOP: Final = ("stop_code", "stop_subject")
_NANOS: Final = 1_000_000_000
Group: TypeAlias = tuple[Any, ...]
"""Values of the groups asked for, then the bucket's start in nanoseconds or None."""


@dataclass(frozen=True, slots=True)
class Window:
    """The time a query is about.

    Attributes:
        earliest: the first end of a run found; where an unbounded window begins.
    """

    query: MetricQuery
    now: datetime
    earliest: datetime | None = None

    def beginning(self, table: pl.DataFrame) -> Window:
        """Return the window that begins, where it has no bound, with the first end in a frame of parts."""
        if not table.height:
            return self
        return replace(self, earliest=_time(table.select(pl.col(FIRST).min()).item()))

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


def points(table: pl.DataFrame, metrics: Sequence[Metric], window: Window) -> dict[str, list[Point]]:
    """Return the points of each metric from a frame of parts with the groups asked for and ``bucket``."""
    window = window.beginning(table)
    width = len(window.query.by) + 1
    single = table.select(pl.exclude(pl.List))
    # Distributions stay columns: half a million values are too many for Python lists.
    columns = {name: table[name] for name in table.columns if name not in single.columns}
    reduced: dict[Group, dict[str, Any]] = {
        row[:width]: {
            **dict(zip(single.columns, row, strict=True)),
            **{name: column[number].to_numpy() for name, column in columns.items()},
        }
        for number, row in enumerate(single.iter_rows())
    }
    filled = [*reduced.items(), *((group, {}) for group in window.empty_groups(set(reduced)))]
    filled.sort(key=lambda item: tuple((value is not None, value) for value in item[0]))
    return {metric.name: [_point(metric, group, parts, window) for group, parts in filled] for metric in metrics}


def shares(table: pl.DataFrame, metric: Metric, window: Window) -> list[Point]:
    """Return how the runs of each group divide among stop reasons, which are groups of the frame too."""
    window, query = window.beginning(table), window.query
    keys = [*query.by, BUCKET]
    extra = [column for column in STOP if column not in keys]
    count, squares = metric.name + SUM, metric.name + SQUARE
    totals = {
        row[:-3]: row[-3:]
        for row in table.group_by(keys)
        .agg(pl.col(count).sum(), pl.col(squares).sum(), pl.col(SAMPLED).any())
        .iter_rows()
    }
    order = [*keys, count, *extra]
    found = []
    for row in table.sort(order, descending=[name == count for name in order]).iter_rows(named=True):
        group = tuple(row[key] for key in keys)
        of, of_squares, sampled = totals[group]
        start, end = window.bounds(group[-1])
        low, high = wilson(row[count], of, effective(of, of_squares))
        named = {**_named(group, query), **{name: row[name] for name in extra}}
        figures = (row[count] / of, float(row[count]), float(of), low, high)
        found.append(Point(metric.name, named, start, end, *figures, metric.unit, sampled))
    return found


def gauge(rows: pl.DataFrame, metric: Metric, window: Window) -> list[Point]:
    """Return how many rows each group has now."""
    keys, now = list(window.query.by), window.now
    counts = list(rows.group_by(keys).len().sort(keys).iter_rows()) if keys else [(rows.height,)]
    return [
        Point(
            metric.name,
            _named((*group, None), window.query),
            now,
            now,
            float(n),
            float(n),
            None,
            None,
            None,
            metric.unit,
        )
        for *group, n in counts
    ]


def _point(metric: Metric, group: Group, parts: Mapping[str, Any], window: Window) -> Point:
    name = base(metric)
    start, end = window.bounds(group[-1])
    total, of, squares = (float(parts.get(name + part) or 0) for part in (SUM, OF, SQUARE))
    value: float | None
    numerator: float | None = total
    denominator: float | None = of
    low_high: Interval
    if metric.kind == "ratio":
        value = total / of if of else None
        low_high = wilson(total, of, effective(of, squares))
    elif metric.kind == "sum":
        value, count = total if of else None, int(parts.get(name + COUNT) or 0)
        low_high = sum_interval(total, count, deviation(total, count, squares))
    elif metric.kind == "quantile":
        value, numerator, low_high = _quantile(metric, parts, effective(of, squares))
    elif metric.kind == "count":
        value, denominator, low_high = total or None, None, count_interval(total, squares)
    else:
        minutes = (end - start).total_seconds() / 60 if start and end else 0.0
        value, denominator = (total / minutes if total and minutes else None), minutes
        low_high = _over(count_interval(total, squares), minutes)
    figures = (value, numerator, denominator, *low_high)
    named, sampled = _named(group, window.query), bool(parts.get(SAMPLED))
    return Point(metric.name, named, start, end, *figures, metric.unit, sampled)


def _quantile(metric: Metric, parts: Mapping[str, Any], size: float) -> tuple[float | None, None, Interval]:
    assert metric.quantile is not None
    values = np.asarray(parts.get(base(metric) + VALUES, ()), dtype=np.float64)
    weights = np.asarray(parts.get(base(metric) + WEIGHTS, ()), dtype=np.float64)
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    each = None if (weights == 1).all() else weights
    ends = quantile_interval(values, metric.quantile, each, size) if values.size else (None, None)
    return quantile(values, metric.quantile, each), None, ends


def _over(interval: Interval, minutes: float) -> Interval:
    low, high = interval
    if low is None or high is None or not minutes:
        return None, None
    return low / minutes, high / minutes


def _named(group: Group, query: MetricQuery) -> dict[str, str]:
    return dict(zip(query.by, (str(value) for value in group[:-1]), strict=True))


def _time(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / _NANOS, UTC)
