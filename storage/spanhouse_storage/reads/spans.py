"""Reading spans: whole traces for the analysis, pages and single spans for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from spanhouse_storage import sql
from spanhouse_storage.contract import QueryError, Store
from spanhouse_storage.reads.pages import Page, decode, encode
from spanhouse_storage.reads.times import micros
from spanhouse_storage.tables import SCHEMAS

_PACKAGE = "spanhouse_storage"

PAYLOAD_COLUMNS = (
    "input",
    "output",
    "system_instructions",
    "tool_definitions",
    "attributes",
    "resource",
    "events",
    "links",
)
"""What a span says at length; read for a few spans at a time."""

_REST = (
    "bucket",
    "scope_attributes",
    "trace_state",
    "dropped_attributes",
    "dropped_events",
    "dropped_links",
    "clamped",
)

SLIM_COLUMNS = tuple(name for name in SCHEMAS["spans"].names if name not in {*PAYLOAD_COLUMNS, *_REST})
"""Everything that run identity and facts are computed from."""

CONTENT_COLUMNS = (*SLIM_COLUMNS, *PAYLOAD_COLUMNS)

MATCHED_COLUMNS = {
    "request_id": "request_id",
    "run_id": "run_hint",
    "trace_id": "trace_id",
    "session_id": "session_id",
}
"""Kinds of id that a span carries itself, in the order they are tried, and their columns."""

# A form field of a ClickHouse server holds 128 KiB; and four sorts of a quarter are quicker than one of the whole.
_TRACES_A_QUERY = 1_000


def spans_of_traces(
    store: Store,
    traces: Sequence[tuple[str, str]],
    *,
    columns: Sequence[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> pa.Table:
    """Return the latest version of every span of the traces `(tenant, trace_id)`, in no order.

    `columns` defaults to `SLIM_COLUMNS`. `since` and `until` (both inclusive) bound the spans'
    starts and make the read cheap; spans whose own time is unusable are always included. No traces is an empty table
    with the columns.

    Raises:
        QueryError: a column is unknown, or is `bucket`, which is for the engine.
    """
    chosen = _checked(columns or SLIM_COLUMNS)
    bounds, parameters = bucket_bounds(since, until)
    statement = sql.compose(_PACKAGE, "spans_of_traces", columns=", ".join(chosen), bounds=bounds)
    distinct = list(dict.fromkeys(traces))
    tables = [
        store.query(statement, {**parameters, "traces": distinct[first : first + _TRACES_A_QUERY]})
        for first in range(0, len(distinct), _TRACES_A_QUERY)
    ]
    return pa.concat_tables(tables) if tables else _empty(chosen)


def spans_page(
    store: Store,
    tenant: str,
    trace_id: str,
    span_ids: Sequence[str] | None = None,
    *,
    content: bool = False,
    cursor: str | None = None,
    limit: int = 1_000,
) -> Page:
    """Return a page of one trace's spans in order of start, each in its latest version.

    `span_ids` narrows the trace to some spans (those of one run); None means all. `content` adds `PAYLOAD_COLUMNS`.

    Raises:
        CursorError: the cursor is not one of this list.
    """
    columns = CONTENT_COLUMNS if content else SLIM_COLUMNS
    if span_ids is not None and not span_ids:
        return Page(_empty(columns), None)
    parameters: dict[str, Any] = {"tenant": tenant, "trace_id": trace_id, "limit": limit + 1}
    after = chosen = "1"
    if span_ids is not None:
        parameters["span_ids"] = list(span_ids)
        chosen = "span_id IN {span_ids:Array(String)}"
    if cursor is not None:
        parameters["after_start"], parameters["after_id"] = decode("spans", cursor, (int, str))
        after = "(toUnixTimestamp64Nano(start), span_id) > ({after_start:Int64}, {after_id:String})"
    statement = sql.compose(_PACKAGE, "spans_page", columns=", ".join(columns), chosen=chosen, after=after)
    rows = store.query(statement, parameters)
    if rows.num_rows <= limit:
        return Page(rows, None)
    rows = rows.slice(0, limit)
    last = rows.num_rows - 1
    start = rows.column("start").cast(pa.int64())[last].as_py()
    return Page(rows, encode("spans", start, rows.column("span_id")[last].as_py()))


def span(store: Store, tenant: str, trace_id: str, span_id: str) -> pa.Table:
    """Return the span's latest version with its content: one row, or none where it is not stored."""
    return spans_page(store, tenant, trace_id, span_ids=[span_id], content=True, limit=1).rows


def find_traces(
    store: Store,
    wanted_id: str,
    kinds: Iterable[str] = MATCHED_COLUMNS,
    *,
    tenant: str = "",
    limit: int = 1_000,
) -> pa.Table:
    """Return the traces whose spans carry the id, newest first.

    Columns: `tenant, trace_id, matched_by, first_start, last_start`. Kinds are tried in the order of
    `MATCHED_COLUMNS` whatever the order given, and the first that matches is the answer; no match is an empty table.
    A `run_id` matches here only where the agent's own SDK said it; derived ids stand in `runs`.
    """
    wanted = set(kinds)
    parameters = {"id": wanted_id, "tenant": tenant, "limit": limit}
    found: pa.Table | None = None
    for kind, column in MATCHED_COLUMNS.items():
        if kind in wanted and wanted_id:
            statement = sql.compose(_PACKAGE, "find_traces", column=column, tenant=tenant_condition(tenant))
            found = store.query(statement, {**parameters, "kind": kind})
            if found.num_rows:
                return found
    return found if found is not None else _NO_TRACES


def traces_received_since(store: Store, received_at: datetime) -> pa.Table:
    """Return the traces with a span received at or after that time.

    Columns: `tenant, trace_id, first_start, last_start, rooted`. The times are those of the spans received since, not
    of the whole trace. `rooted` says that a finished span without parent, or a finished run span, is among them.
    """
    statement = sql.load(_PACKAGE, "traces_received_since")
    return store.query(statement, {"since": micros(received_at)})


def tenant_condition(tenant: str) -> str:
    """Return the condition on the parameter `tenant`, which always holds where no tenant is given."""
    return "tenant = {tenant:String}" if tenant else "1"


def bucket_bounds(since: datetime | None, until: datetime | None) -> tuple[str, dict[str, int]]:
    """Return a condition on `spans.bucket` and its parameters `since` and `until`, both inclusive.

    The odd-date bucket always passes: a span whose clock was wrong belongs to its trace whatever the time asked for.
    """
    bounds, parameters = [], {}
    if since is not None:
        parameters["since"] = micros(since) // 1_000_000
        bounds.append("bucket >= fromUnixTimestamp({since:Int64})")
    if until is not None:
        parameters["until"] = micros(until) // 1_000_000
        bounds.append("bucket <= fromUnixTimestamp({until:Int64})")
    return (f"({' AND '.join(bounds)} OR bucket = fromUnixTimestamp(0))" if bounds else "1"), parameters


def _checked(columns: Sequence[str]) -> Sequence[str]:
    # ClickHouse hands a DateTime to Arrow as a bare integer; nothing outside the engine needs the bucket.
    known = set(SCHEMAS["spans"].names) - {"bucket"}
    unknown = [name for name in columns if name not in known]
    if unknown:
        msg = f"spans cannot be read by {unknown}: the columns are {', '.join(CONTENT_COLUMNS)}"
        raise QueryError(msg)
    return columns


def _empty(columns: Sequence[str]) -> pa.Table:
    return pa.schema([SCHEMAS["spans"].field(name) for name in columns]).empty_table()


_NO_TRACES = pa.schema(
    [
        ("tenant", pa.string()),
        ("trace_id", pa.string()),
        ("matched_by", pa.string()),
        ("first_start", pa.timestamp("ns", "UTC")),
        ("last_start", pa.timestamp("ns", "UTC")),
    ]
).empty_table()
