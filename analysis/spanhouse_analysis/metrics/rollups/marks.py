"""Saying that kept parts of metrics no longer hold: what a mark looks like and how it is written."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa

from spanhouse_analysis.metrics.rollups.layout import LAYOUTS, LEVELS
from spanhouse_storage import Store, sql
from spanhouse_storage.reads.times import micros
from spanhouse_storage.tables import SCHEMAS

TABLE: Final = "metric_parts"


def mark_dirty(store: Store, tenant: str, minutes: Iterable[datetime], *, now: datetime | None = None) -> None:
    """Make the metrics of these times be computed from runs until their parts are computed anew.

    Args:
        store: where the parts are.
        tenant: whose runs or calls change.
        minutes: when those ended that are added, changed or taken away; any time within the hour will do.
        now: the time of marking. Mark before the change: parts are computed anew a minute after at the earliest.
    """
    write(store, {(tenant, time) for time in minutes}, max(2 * micros(now or datetime.now(UTC)), newest(store) + 2))


def times_of(store: Store, tenant: str, ids: Collection[str]) -> list[datetime]:
    """Return the hours to mark before runs of these ids are taken away; the ids of their traces may be among them."""
    found = store.query(sql.load("spanhouse_analysis", "parts_times"), {"tenant": tenant, "ids": sorted(ids)})
    return [datetime.fromtimestamp(hour, UTC) for hour in found["hour"].to_pylist()]


def newest(store: Store) -> int:
    """Return the highest even version that is not above all there are."""
    found = store.query(sql.load("spanhouse_analysis", "parts_newest"))
    return int(found["version"][0].as_py()) // 2 * 2


def write(store: Store, changes: Iterable[tuple[str, datetime]], version: int) -> None:
    """Write marks for the hours and days of these tenants and times."""
    buckets = sorted(
        {(tenant, level, int(time.timestamp()) // level * level) for tenant, time in changes for level in LEVELS}
    )
    if not buckets:
        return
    lists: dict[str, list[object]] = {field.name: [] for field in SCHEMAS[TABLE] if pa.types.is_list(field.type)}
    rows = [
        {
            **lists,
            "tenant": tenant,
            "source": layout.source,
            "level": level,
            "bucket": bucket,
            "version": version,
            "dirty": True,
            "layout": layout.version,
        }
        for tenant, level, bucket in buckets
        for layout in LAYOUTS
    ]
    digest = hashlib.sha256(repr((buckets, version)).encode()).hexdigest()[:32]
    store.insert(TABLE, pa.Table.from_pylist(rows, schema=SCHEMAS[TABLE]), f"marks-{digest}")
