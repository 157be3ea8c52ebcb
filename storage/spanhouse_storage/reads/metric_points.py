"""Reading the data points of a metric as they were sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from spanhouse_storage import sql
from spanhouse_storage.contract import Store
from spanhouse_storage.reads.filters import Texts, values_of
from spanhouse_storage.reads.pages import Page, decode, encode
from spanhouse_storage.reads.times import nanos
from spanhouse_storage.tables import SCHEMAS

_PACKAGE = "spanhouse_storage"
_EXACT = ("tenant", "environment", "service_name", "scope_name")

POINT_COLUMNS = tuple(name for name in SCHEMAS["metric_points"].names if name not in {"version", "bucket"})


@dataclass(frozen=True, slots=True)
class PointFilter:
    """Conditions on data points, all of which must hold; an empty one holds always.

    `attributes` are the point's own. `since` is inclusive, `until` exclusive; both bound the point's time.
    """

    tenant: Texts = ""
    environment: Texts = ""
    service_name: Texts = ""
    scope_name: Texts = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None


def metric_points(
    store: Store, name: str, wanted: PointFilter, *, limit: int = 1_000, cursor: str | None = None
) -> Page:
    """Return a page of a metric's points, with `POINT_COLUMNS`, in the order of their times; each once.

    A cumulative point holds all since its `start_time`, so points of one series must not be added up.

    Raises:
        CursorError: the cursor is not one of this list.
    """
    conditions, parameters = _where(wanted)
    after = "1"
    if cursor is not None:
        time, tenant, series = decode("points", cursor, (int, str, str))
        parameters |= {"after_time": time, "after_tenant": tenant, "after_series": str(series)}
        after = (
            "(toUnixTimestamp64Nano(time), tenant, series) > "
            "({after_time:Int64}, {after_tenant:String}, toUInt64OrZero({after_series:String}))"
        )
    statement = sql.compose(_PACKAGE, "metric_points", columns=", ".join(POINT_COLUMNS), where=conditions, after=after)
    rows = store.query(statement, {**parameters, "name": name, "limit": limit + 1})
    if rows.num_rows <= limit:
        return Page(rows, None)
    rows = rows.slice(0, limit)
    last = rows.num_rows - 1
    time = rows.column("time").cast(pa.int64())[last].as_py()
    tenant, series = rows.column("tenant")[last].as_py(), str(rows.column("series")[last].as_py())
    return Page(rows, encode("points", time, tenant, series))


def _where(wanted: PointFilter) -> tuple[str, dict[str, Any]]:
    conditions: list[str] = ["1"]
    parameters: dict[str, Any] = {}
    for column in _EXACT:
        values = values_of(getattr(wanted, column))
        if values:
            conditions.append(f"{column} IN {{{column}:Array(String)}}")
            parameters[column] = values
    for number, (key, value) in enumerate(wanted.attributes.items()):
        conditions.append(f"attributes[{{key{number}:String}}] = {{value{number}:String}}")
        parameters |= {f"key{number}": key, f"value{number}": value}
    for name, compare in (("since", ">="), ("until", "<")):
        bound: datetime | None = getattr(wanted, name)
        if bound is not None:
            # Odd dates have a bucket of their own; the bucket is what rules partitions out.
            widened = "- 1" if name == "since" else "+ 1"
            second = f"toDateTime(intDiv({{{name}:Int64}}, 1000000000) {widened}, 'UTC')"
            conditions.append(f"(bucket {compare} {second} OR bucket = 0)")
            conditions.append(f"time {compare} fromUnixTimestamp64Nano({{{name}:Int64}}, 'UTC')")
            parameters[name] = nanos(bound)
    return " AND ".join(conditions), parameters
