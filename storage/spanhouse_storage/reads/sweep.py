"""Reading every span of a window once, batch by batch, in the order of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from spanhouse_storage import sql
from spanhouse_storage.contract import Store
from spanhouse_storage.derived import FROM_LOG
from spanhouse_storage.reads.filters import Texts, values_of
from spanhouse_storage.reads.times import nanos
from spanhouse_storage.tables import SCHEMAS

_PACKAGE = "spanhouse_storage"

BATCH_SPANS = 2_000
BATCH_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class SpanHour:
    """The spans of one tenant that start in one hour: how many there are; `hour` is seconds since 1970."""

    tenant: str
    hour: int
    spans: int


@dataclass(frozen=True, slots=True)
class SpanWindow:
    """Which spans are meant: those that start from `since` to before `until`; made from no log record."""

    since: datetime | None = None
    until: datetime | None = None
    tenant: Texts = ""

    def where(self) -> tuple[str, dict[str, Any]]:
        """Return the condition on `spans` and its parameters."""
        parts, parameters = ["1"], dict[str, Any](derived=FROM_LOG)
        for name, compare in (("since", ">="), ("until", "<")):
            bound: datetime | None = getattr(self, name)
            if bound is not None:
                parameters[name] = nanos(bound)
                parts.append(f"start {compare} fromUnixTimestamp64Nano({{{name}:Int64}}, 'UTC')")
        if values_of(self.tenant):
            parameters["tenants"] = values_of(self.tenant)
            parts.append("tenant IN {tenants:Array(String)}")
        return " AND ".join(parts), parameters


def span_hours(store: Store, wanted: SpanWindow) -> list[SpanHour]:
    """Return the tenants and hours that hold spans of the window, in the order of the table."""
    where, parameters = wanted.where()
    rows = store.query(sql.compose(_PACKAGE, "span_hours", where=where), parameters).to_pylist()
    return [SpanHour(**row) for row in rows]


def spans_of_hour(
    store: Store, wanted: SpanWindow, hour: SpanHour, columns: Sequence[str], after: tuple[str, str] = ("", "")
) -> pa.Table:
    """Return the next spans of an hour by trace and span id, each in its latest version; no rows after the last.

    They are at most `BATCH_SPANS`, and no more than `BATCH_BYTES` of text where there are several.

    `columns` are read, `bucket` with its type; `after` is the trace and span id of the last span of the batch before.
    """
    keys = _keys(store, wanted, hour, after)
    statement = sql.compose(_PACKAGE, "spans_by_key", columns=", ".join(columns))
    rows = store.query(statement, {"tenant": hour.tenant, "hour": hour.hour, "keys": keys})
    if "bucket" in columns:
        # ClickHouse hands a DateTime to Arrow as a bare integer, too narrow to be cast to a time.
        at = rows.column_names.index("bucket")
        rows = rows.set_column(at, "bucket", rows.column(at).cast(pa.int64()))
    typed = rows.cast(pa.schema([SCHEMAS["spans"].field(name) for name in columns]))
    return typed.sort_by([("trace_id", "ascending"), ("span_id", "ascending")])


def _keys(store: Store, wanted: SpanWindow, hour: SpanHour, after: tuple[str, str]) -> list[tuple[str, str]]:
    where, parameters = wanted.where()
    of_hour = {"tenant": hour.tenant, "hour": hour.hour, "after_trace": after[0], "after_span": after[1]}
    statement = sql.compose(_PACKAGE, "spans_of_hour", where=where)
    rows = store.query(statement, {**parameters, **of_hour, "limit": BATCH_SPANS}).to_pylist()
    taken, size = list[tuple[str, str]](), 0
    for row in rows:
        size += row["size"]
        if taken and size > BATCH_BYTES:
            break
        taken.append((row["trace_id"], row["span_id"]))
    return taken
