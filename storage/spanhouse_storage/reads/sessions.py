"""Reading sessions: runs that belong to one conversation, added up."""

from __future__ import annotations

from typing import Final

from spanhouse_storage import sql
from spanhouse_storage.contract import QueryError, Store
from spanhouse_storage.reads.filters import RunFilter, where
from spanhouse_storage.reads.pages import Page, decode, encode

SESSION_COLUMNS: Final = (
    *("tenant", "session_id", "runs", "running", "completed", "users", "agents", "first", "last", "input_tokens"),
    *("output_tokens", "cost_usd", "last_run_id", "last_status", "last_stop_reason"),
)

# As with runs every order is over one integer, which a cursor carries without rounding.
SESSION_SORT_KEYS: Final = {
    "last_at": "toUnixTimestamp64Nano(s_last)",
    "first_at": "toUnixTimestamp64Nano(s_first)",
    "runs": "toInt64(s_runs)",
    "cost_usd": "toInt64(round(ifNull(s_cost_usd, 0) * 1e9))",
    "tokens": "toInt64(ifNull(s_input_tokens, 0) + ifNull(s_output_tokens, 0))",
}
"""What a list of sessions can be ordered by."""

LATEST_FIRST: Final = "-last_at"


def list_sessions(
    store: Store, wanted: RunFilter, *, sort: str = LATEST_FIRST, limit: int = 50, cursor: str | None = None
) -> Page:
    """Return a page of the sessions with a run that passes the filter, each over those runs, with `SESSION_COLUMNS`.

    Lone calls are runs of a session too. `sort` is a name of `SESSION_SORT_KEYS`, with `-` before it for largest first.

    Raises:
        QueryError: the order is unknown.
        CursorError: the cursor is not one of this list and order.
    """
    key = SESSION_SORT_KEYS.get(sort.removeprefix("-"))
    if key is None:
        msg = f"sessions cannot be sorted by {sort!r}: use {', '.join(SESSION_SORT_KEYS)}"
        raise QueryError(msg)
    descending = sort.startswith("-")
    condition, parameters = where(wanted, lone_calls=True)
    after = "1"
    if cursor is not None:
        position = decode(f"sessions{sort}", cursor, (int, str, str))
        parameters |= dict(zip(("after_key", "after_tenant", "after_id"), position, strict=True))
        sign = "<" if descending else ">"
        after = f"(sort_key, tenant, session_id) {sign} "
        after += "({after_key:Int64}, {after_tenant:String}, {after_id:String})"
    direction = "DESC" if descending else "ASC"
    statement = sql.compose(
        "spanhouse_storage", "list_sessions", sort_key=key, where=condition, after=after, direction=direction
    )
    found = store.query(statement, {**parameters, "limit": limit + 1})
    rows = found.slice(0, limit)
    page = rows.rename_columns([name.removeprefix("s_") for name in rows.column_names]).select(SESSION_COLUMNS)
    if found.num_rows <= limit:
        return Page(page, None)
    last = {name: rows.column(name)[limit - 1].as_py() for name in ("sort_key", "tenant", "session_id")}
    return Page(page, encode(f"sessions{sort}", *last.values()))
