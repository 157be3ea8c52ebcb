"""Computes kept parts: rows of ``metric_parts`` from runs and calls, and those of a day from its hours."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import datetime
from typing import Final

import polars as pl
import pyarrow as pa

from spanhouse_analysis import frames
from spanhouse_analysis.metrics import sketch, source, spend
from spanhouse_analysis.metrics.definitions import ENDED
from spanhouse_analysis.metrics.reductions import FIRST, SAMPLED, WEIGHT, base, common, parts_of, scalars
from spanhouse_analysis.metrics.rollups.layout import CALLS, DAY, HOUR, LAYOUTS, SPEND, TENANT, Layout
from spanhouse_analysis.metrics.rollups.marks import TABLE
from spanhouse_storage import Store, sql
from spanhouse_storage.reads import RunFilter
from spanhouse_storage.tables import SCHEMAS

_PACKAGE: Final = "spanhouse_analysis"
_HOUR: Final = "hour"
_NANOS: Final = 1_000_000_000
_NO_SKETCHES: Final = {
    "sketch_keys": pl.lit([], dtype=pl.List(pl.Int64)),
    "sketch_weights": pl.lit([], dtype=pl.List(pl.Float64)),
}
Bucket = tuple[str, int]
"""A tenant and the start of a bucket in seconds."""


def hours(
    store: Store,
    since: datetime,
    until: datetime,
    version: int,
    tenants: Collection[str] = (),
    *,
    only: set[Bucket] | None = None,
) -> None:
    """Compute and store the parts of the hours between two whole hours.

    Args:
        store: where runs and calls are read and parts are written.
        since: the start of the first hour.
        until: the end of the last.
        version: of the rows written; what changes runs later has a higher one.
        tenants: whose; of all where none are named.
        only: the buckets to write, those without any run included; all that have runs where not given.
    """
    wanted = RunFilter(tenant=list(tenants), since=since, until=until)
    for layout in LAYOUTS:
        found = _spent(store, wanted, layout) if layout is SPEND else _counted(store, wanted, layout)
        table = _rows(found, layout, version)
        if only is not None:
            table = _chosen(table, only, layout, version)
        _insert(store, table)


def days(
    store: Store,
    starts: Collection[int],
    version: int,
    tenants: Collection[str] = (),
    *,
    only: set[Bucket] | None = None,
) -> None:
    """Compute and store the parts of whole days from those of their hours, which all hold; arguments as in `hours`."""
    for layout in LAYOUTS:
        given = {
            "source": layout.source,
            "layout": layout.version,
            "days": list(starts),
            "tenants": list(tenants),
        }
        found = store.query(sql.load(_PACKAGE, "parts_of_days"), given)
        table = _completed(found, layout, DAY, version)
        if only is not None:
            table = _chosen(table, only, layout, version, DAY)
        _insert(store, table)


def _counted(store: Store, wanted: RunFilter, layout: Layout) -> pl.DataFrame:
    """Return one row a tenant, hour and group with its parts, its sketches as lists of keys and weights."""
    from_steps = layout is CALLS
    columns = [column for metric in layout.metrics for column in parts_of(metric, from_steps=from_steps).columns]
    read = source.tool_calls if from_steps else source.ended_runs
    rows = read(store, wanted, [TENANT, *layout.groups, WEIGHT, *columns], lone_calls=True)
    length = HOUR * _NANOS
    rows = rows.with_columns((pl.col(ENDED) // length * HOUR).alias(_HOUR))
    keys = [TENANT, _HOUR, *layout.groups]
    named = common()
    for metric in layout.metrics:
        named |= scalars(metric, from_steps=from_steps)
    table = rows.group_by(keys).agg(**named)
    sketches = []
    for metric in layout.metrics:
        if metric.kind != "quantile":
            continue
        key = sketch.keys(parts_of(metric, from_steps=from_steps).numerator) + layout.sketch_place(base(metric))
        sketches.append(rows.select(*keys, WEIGHT, k=key).drop_nulls("k"))
    if not sketches:
        return table.with_columns(**_NO_SKETCHES)
    counts = pl.concat(sketches).group_by([*keys, "k"]).agg(w=pl.col(WEIGHT).sum())
    lists = counts.group_by(keys).agg(sketch_keys="k", sketch_weights="w")
    return table.join(lists, on=keys, how="left").with_columns(
        pl.col(name).fill_null(empty) for name, empty in _NO_SKETCHES.items()
    )


def _spent(store: Store, wanted: RunFilter, layout: Layout) -> pl.DataFrame:
    table = spend.sums(store, wanted, [TENANT, *layout.groups], HOUR * _NANOS, layout.metrics)
    return table.with_columns(
        (pl.col(spend.BUCKET) // _NANOS).alias(_HOUR),
        **_NO_SKETCHES,
    )


def _rows(found: pl.DataFrame, layout: Layout, version: int) -> pa.Table:
    listed = (
        found.select(
            TENANT,
            bucket=pl.col(_HOUR),
            groups=pl.concat_list(layout.groups),
            firsts=pl.col(FIRST),
            sampled=pl.col(SAMPLED),
            sums=pl.concat_list([pl.col(name).cast(pl.Float64) for name in layout.sums]),
            sketch_keys="sketch_keys",
            sketch_weights="sketch_weights",
        )
        .group_by(TENANT, "bucket", maintain_order=True)
        .agg(pl.all())
    )
    return _completed(listed.to_arrow(), layout, HOUR, version)


def _completed(table: pa.Table, layout: Layout, level: int, version: int) -> pa.Table:
    """Return rows with all columns, in order of their keys."""
    given = frames.from_table(table).sort(TENANT, "bucket")
    same = {
        "source": pl.lit(layout.source),
        "level": pl.lit(level, dtype=pl.UInt32),
        "version": pl.lit(version, dtype=pl.UInt64),
        "dirty": pl.lit(value=False),
        "layout": pl.lit(layout.version),
        "bucket": pl.from_epoch(pl.col("bucket").cast(pl.Int64), "s").dt.replace_time_zone("UTC"),
        "sampled": pl.col("sampled").cast(pl.List(pl.Boolean)),
    }
    schema = SCHEMAS[TABLE]
    return given.with_columns(**same).select(schema.names).to_arrow().cast(schema)


def _chosen(table: pa.Table, only: set[Bucket], layout: Layout, version: int, level: int = HOUR) -> pa.Table:
    """Return the rows of the chosen buckets, and empty ones for those that hold nothing any more."""
    found = list(zip(table["tenant"].to_pylist(), table["bucket"].cast(pa.int64()).to_pylist(), strict=True))
    kept = table.filter(pa.array([bucket in only for bucket in found], pa.bool_()))
    schema = SCHEMAS[TABLE]
    lists: dict[str, list[object]] = {field.name: [] for field in schema if pa.types.is_list(field.type)}
    same = {**lists, "source": layout.source, "version": version, "dirty": False, "layout": layout.version}
    empty = [
        {**same, "tenant": tenant, "bucket": bucket, "level": level} for tenant, bucket in sorted(only - set(found))
    ]
    return pa.concat_tables([kept, pa.Table.from_pylist(empty, schema=schema)])


def _insert(store: Store, table: pa.Table) -> None:
    digest = hashlib.sha256()
    for batch in table.to_batches():
        digest.update(batch.serialize())
    store.insert(TABLE, table, f"parts-{digest.hexdigest()[:32]}")
