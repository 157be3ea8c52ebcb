"""Reading every log record of a window once that may tell of something else, and the spans that they told of."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from spanhouse_storage import sql
from spanhouse_storage.contract import Store
from spanhouse_storage.derived import FROM_LOG
from spanhouse_storage.reads.filters import values_of
from spanhouse_storage.reads.sweep import SpanWindow
from spanhouse_storage.reads.times import nanos
from spanhouse_storage.tables import SCHEMAS

_PACKAGE: Final = "spanhouse_storage"

BATCH_RECORDS: Final = 1_000


@dataclass(frozen=True, slots=True)
class LogHour:
    """The named log records of one tenant in one hour: how many there are; `hour` is seconds since 1970."""

    tenant: str
    hour: int
    records: int


def log_hours(store: Store, wanted: SpanWindow) -> list[LogHour]:
    """Return the tenants and hours that hold log records of a window, by their time, that have an event's name."""
    where, parameters = _where(wanted)
    rows = store.query(sql.compose(_PACKAGE, "log_hours", where=where), parameters).to_pylist()
    return [LogHour(**row) for row in rows]


def logs_of_hour(store: Store, wanted: SpanWindow, hour: LogHour, after: tuple[int, str] = (0, "")) -> pa.Table:
    """Return the next log records of an hour, at most `BATCH_RECORDS`; no rows after the last.

    `after` is the time (nanoseconds) and the id of the last record of the batch before.
    """
    where, parameters = _where(wanted)
    place = {"tenant": hour.tenant, "hour": hour.hour, "after_time": after[0], "after_record": after[1]}
    statement = sql.compose(_PACKAGE, "logs_of_hour", where=where, columns=", ".join(SCHEMAS["logs"].names))
    return _typed(store.query(statement, {**parameters, **place, "limit": BATCH_RECORDS}), "logs")


def spans_from_logs(store: Store, tenant: str, traces: Collection[str]) -> pa.Table:
    """Return the rows of spans that log records told of, by their traces."""
    statement = sql.compose(_PACKAGE, "spans_from_logs", columns=", ".join(SCHEMAS["spans"].names))
    found = store.query(statement, {"tenant": tenant, "traces": sorted(traces), "derived": FROM_LOG})
    return _typed(found, "spans")


def drop_untold(store: Store, tenant: str, keys: Collection[tuple[str, str]]) -> int:
    """Remove spans, by trace and span id, that log records told of and none belongs to any more; return how many."""
    if not keys:
        return 0
    said = sql.compose(_PACKAGE, "log_places")
    rows = store.query(said, {"tenant": tenant, "traces": sorted({trace for trace, _ in keys})}).to_pylist()
    untold = sorted(set(keys) - {(row["trace_id"], row["span_id"]) for row in rows})
    if untold:
        statement = sql.compose(_PACKAGE, "delete_spans_from_logs")
        store.execute(statement, {"tenant": tenant, "keys": untold, "derived": FROM_LOG})
    return len(untold)


def _where(wanted: SpanWindow) -> tuple[str, dict[str, Any]]:
    parts, parameters = ["event_name != ''"], dict[str, Any]()
    for name, compare in (("since", ">="), ("until", "<")):
        bound = getattr(wanted, name)
        if bound is not None:
            parameters[name] = nanos(bound)
            parts.append(f"time {compare} fromUnixTimestamp64Nano({{{name}:Int64}}, 'UTC')")
    if values_of(wanted.tenant):
        parameters["tenants"] = values_of(wanted.tenant)
        parts.append("tenant IN {tenants:Array(String)}")
    return " AND ".join(parts), parameters


def _typed(rows: pa.Table, table: str) -> pa.Table:
    # ClickHouse hands a DateTime to Arrow as a bare integer, too narrow to be cast to a time.
    at = rows.column_names.index("bucket")
    return rows.set_column(at, "bucket", rows.column(at).cast(pa.int64())).cast(SCHEMAS[table])
