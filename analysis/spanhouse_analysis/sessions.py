"""Sessions as the API's JSON: the list, and one as the conversation it was."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from spanhouse_analysis import live, rows
from spanhouse_storage import Store
from spanhouse_storage.reads import Page, RunFilter, runs_by_session
from spanhouse_storage.reads.sessions import list_sessions

MAX_TURNS: Final = 1_000


def page(
    store: Store, wanted: RunFilter, *, sort: str, limit: int, cursor: str | None
) -> tuple[list[rows.Json], str | None]:
    """Return a page of the API's ``Session`` and the cursor of the next; see `list_sessions`."""
    found: Page = list_sessions(store, wanted, sort=sort, limit=limit, cursor=cursor)
    return rows.sessions(found.rows), found.next_cursor


def tenants(store: Store, session_id: str) -> list[str]:
    """Return whose the runs with this session id are, sorted."""
    found = list_sessions(store, RunFilter(session_id=session_id), limit=100).rows
    return sorted(found.column("tenant").to_pylist())


def conversation(store: Store, tenant: str, session_id: str, *, now: datetime, lease_seconds: float) -> dict[str, Any]:
    """Return ``{"session": Session, "turns": [...], "truncated"}`` of a session that has runs.

    A turn is ``{"run": Run, "asked", "answered", "link"}``, in order of start; a run that goes on is as of now. Only
    the first `MAX_TURNS` are in it; ``truncated`` says that there are more.
    """
    wanted = RunFilter(tenant=tenant, session_id=session_id)
    [session], _ = page(store, wanted, sort="last_at", limit=1, cursor=None)
    stored = rows.runs(runs_by_session(store, session_id, tenant=tenant, limit=MAX_TURNS + 1))
    turns = [_turn(_as_of(store, run, now, lease_seconds)) for run in stored[:MAX_TURNS]]
    return {"session": session, "turns": turns, "truncated": len(stored) > MAX_TURNS}


def _as_of(store: Store, run: rows.Json, now: datetime, lease_seconds: float) -> rows.Json:
    if run["status"] == "ended":
        return run
    return live.run(store, run["run_id"], now=now, lease_seconds=lease_seconds) or run


def _turn(run: rows.Json) -> dict[str, Any]:
    link = f"/ui/run?run_id={quote(run['run_id'], safe='')}"
    return {"run": run, "asked": run["input_preview"], "answered": run["output_preview"], "link": link}
