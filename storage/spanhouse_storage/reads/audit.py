"""Reading audit events."""

from __future__ import annotations

from dataclasses import dataclass
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
_EXACT = ("tenant", "run_id", "request_id", "trace_id", "name", "agent", "tool", "decision", "status")

AUDIT_COLUMNS = tuple(name for name in SCHEMAS["audit_events"].names if name != "version")


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Conditions on audit events, all of which must hold; an empty one holds always.

    `since` is inclusive, `until` exclusive; both bound the event's own time.
    """

    tenant: Texts = ""
    run_id: Texts = ""
    request_id: Texts = ""
    trace_id: Texts = ""
    name: Texts = ""
    agent: Texts = ""
    tool: Texts = ""
    decision: Texts = ""
    status: Texts = ""
    since: datetime | None = None
    until: datetime | None = None


def audit_events(
    store: Store,
    wanted: AuditFilter,
    *,
    limit: int = 200,
    cursor: str | None = None,
    newest_first: bool = False,
) -> Page:
    """Return a page of the events that pass the filter, with `AUDIT_COLUMNS`, in the order they happened.

    Raises:
        CursorError: the cursor is not one of this list and order.
    """
    condition, parameters = conditions(wanted)
    kind = "audit-" if newest_first else "audit"
    after = "1"
    if cursor is not None:
        position = decode(kind, cursor, (int, str, int))
        parameters["after_time"], parameters["after_stream"], parameters["after_seq"] = position
        compare = "<" if newest_first else ">"
        after = (
            f"(toUnixTimestamp64Nano(time), stream, seq) {compare} "
            "({after_time:Int64}, {after_stream:String}, {after_seq:UInt64})"
        )
    statement = sql.compose(
        _PACKAGE,
        "audit_events",
        columns=", ".join(AUDIT_COLUMNS),
        where=condition,
        after=after,
        direction="DESC" if newest_first else "ASC",
    )
    rows = store.query(statement, {**parameters, "limit": limit + 1})
    if rows.num_rows <= limit:
        return Page(rows, None)
    rows = rows.slice(0, limit)
    last = rows.num_rows - 1
    time = rows.column("time").cast(pa.int64())[last].as_py()
    return Page(rows, encode(kind, time, rows.column("stream")[last].as_py(), rows.column("seq")[last].as_py()))


def conditions(wanted: AuditFilter) -> tuple[str, dict[str, Any]]:
    """Return a condition on `audit_events`, never empty, and its parameters."""
    found: list[str] = ["1"]
    parameters: dict[str, Any] = {}
    for column in _EXACT:
        values = values_of(getattr(wanted, column))
        if values:
            found.append(f"{column} IN {{{column}:Array(String)}}")
            parameters[column] = values
    for name, compare in (("since", ">="), ("until", "<")):
        bound: datetime | None = getattr(wanted, name)
        if bound is not None:
            found.append(f"time {compare} fromUnixTimestamp64Nano({{{name}:Int64}}, 'UTC')")
            parameters[name] = nanos(bound)
    return " AND ".join(found), parameters
