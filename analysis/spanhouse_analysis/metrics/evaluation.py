"""Computes metrics: from the rows of runs and calls, or over long windows from the parts kept of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import polars as pl

from spanhouse_analysis.metrics import finishing, source, spend
from spanhouse_analysis.metrics.definitions import ENDED, Metric
from spanhouse_analysis.metrics.finishing import BUCKET, STOP, Window
from spanhouse_analysis.metrics.query import MetricQuery, Point
from spanhouse_analysis.metrics.reductions import WEIGHT, merged, parts_of, reduce
from spanhouse_analysis.metrics.rollups import stored
from spanhouse_analysis.metrics.rollups.layout import CALLS, RUNS, SPEND, STOPS, Layout
from spanhouse_storage import Store
from spanhouse_storage.reads import RunFilter


def evaluate(store: Store, query: MetricQuery, *, now: datetime | None = None) -> list[Point]:
    """Return one point a metric, group and time bucket, in the order of the metrics asked for.

    Args:
        store: where run facts are kept.
        query: what is asked.
        now: the end of a window that has none; the present by default.

    Raises:
        MetricError: a metric or group is unknown, or the two do not go together.
    """
    metrics = query.metrics()
    window = Window(query, now or datetime.now(UTC))
    points: dict[str, list[Point]] = {}
    kinds: list[tuple[Layout, list[Metric]]] = [
        (RUNS, [metric for metric in metrics if metric.run and not query.from_steps(metric)]),
        (CALLS, [metric for metric in metrics if query.from_steps(metric)]),
        (SPEND, [metric for metric in metrics if metric.spend]),
    ]
    for layout, chosen in kinds:
        plain = [metric for metric in chosen if metric.kind != "share"]
        if plain:
            points.update(finishing.points(_parts(store, query, layout, plain, query.by, window.now), plain, window))
        for metric in chosen:
            if metric.kind == "share":
                by = [*query.by, *(name for name in STOP if name not in query.by)]
                points[metric.name] = finishing.shares(
                    _parts(store, query, layout, [metric], by, window.now), metric, window
                )
    for metric in metrics:
        if metric.kind == "gauge":
            points[metric.name] = finishing.gauge(source.active_runs(store, query.wanted(), query.by), metric, window)
    return [point for metric in metrics for point in points[metric.name]]


def _parts(
    store: Store, query: MetricQuery, layout: Layout, metrics: Sequence[Metric], by: Sequence[str], now: datetime
) -> pl.DataFrame:
    """Return the parts of the metrics by group and bucket, read from as few rows as will do."""
    wanted, step = query.wanted(), query.step_nanoseconds()
    if not query.exact and layout is RUNS and not stored.covers(layout, wanted, by, metrics):
        layout = STOPS
    plan = None
    if not query.exact and stored.covers(layout, wanted, by, metrics):
        plan = stored.plan(store, wanted, step, layout, now)
    if plan is None:
        return _exact(store, wanted, layout, metrics, by, step)
    edges = (replace(wanted, since=since, until=until) for since, until in plan.exact)
    frames = [stored.read(store, plan, wanted, by, step, layout, metrics)]
    frames += [_exact(store, edge, layout, metrics, by, step) for edge in edges]
    schema = frames[0].schema
    return merged(
        [frame.select(pl.col(name).cast(kind) for name, kind in schema.items()) for frame in frames], _keys(by)
    )


def _exact(
    store: Store, wanted: RunFilter, layout: Layout, metrics: Sequence[Metric], by: Sequence[str], step: int | None
) -> pl.DataFrame:
    if layout is SPEND:
        return spend.sums(store, wanted, by, step, metrics)
    from_steps = layout is CALLS
    columns = [column for metric in metrics for column in parts_of(metric, from_steps=from_steps).columns]
    read = source.tool_calls if from_steps else source.ended_runs
    rows = read(store, wanted, [*by, WEIGHT, *columns])
    placed = rows.with_columns(bucket_of(step))
    return reduce(placed, metrics, _keys(by), from_steps=from_steps)


def bucket_of(step: int | None) -> pl.Expr:
    """Return the start of the bucket in which a row's run ended; null where the window is not cut."""
    return (pl.col(ENDED) // step * step if step else pl.lit(None, dtype=pl.Int64)).alias(BUCKET)


def _keys(by: Sequence[str]) -> list[str]:
    return [*by, BUCKET]
