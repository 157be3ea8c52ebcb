"""``/api/v1/sessions``: conversations, each the runs that name it."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final

import pyarrow as pa
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from spanhouse_analysis import sessions
from spanhouse_server.api.answers import answer, json_answer
from spanhouse_server.api.filters import run_filter
from spanhouse_server.api.parameters import nearest
from spanhouse_server.api.problems import Problem
from spanhouse_server.parts import parts_of
from spanhouse_storage.reads import RunFilter
from spanhouse_storage.reads.sessions import LATEST_FIRST, SESSION_SORT_KEYS

router = APIRouter(prefix="/api/v1/sessions", tags=["sessions"])

_TIME: Final = pa.timestamp("us", "UTC")
_TEXTS: Final = pa.list_(pa.string())
COLUMNS: Final = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("session_id", "tenant")),
        *(pa.field(name, pa.int64()) for name in ("runs", "running", "completed")),
        *(pa.field(name, _TEXTS) for name in ("users", "agents")),
        *(pa.field(name, _TIME) for name in ("first_at", "last_at")),
        *(pa.field(name, pa.int64()) for name in ("input_tokens", "output_tokens")),
        pa.field("cost_usd", pa.float64()),
        *(pa.field(name, pa.string()) for name in ("last_run_id", "last_status", "last_stop_reason")),
    ]
)


@router.get("")
def listed(
    request: Request,
    chosen: Annotated[RunFilter, Depends(run_filter)],
    sort: Annotated[str, Query(description=f"{', '.join(SESSION_SORT_KEYS)}; a leading - for largest first")] = (
        LATEST_FIRST
    ),
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    cursor: str | None = None,
) -> Response:
    """Return a page of sessions, the latest first, each over its runs that match; lone calls are such runs too."""
    name = sort.removeprefix("-")
    if name not in SESSION_SORT_KEYS:
        detail = f"sessions cannot be sorted by {name[:100]!r}: {nearest(name, SESSION_SORT_KEYS)}"
        raise Problem(HTTPStatus.BAD_REQUEST, "The list cannot be sorted so", detail)
    found, after = sessions.page(parts_of(request).store, chosen, sort=sort, limit=limit, cursor=cursor)
    return answer(request, "sessions", found, COLUMNS, next_cursor=after)


@router.get("/{session_id:path}")
def one_session(
    request: Request,
    session_id: str,
    tenant: Annotated[str, Query(description="Whose, where sessions of several tenants have this id")] = "",
) -> Response:
    """Return a session with its runs in order, as a conversation."""
    parts = parts_of(request)
    owners = [owner for owner in sessions.tenants(parts.store, session_id) if tenant in {"", owner}]
    if not owners:
        detail = f"no run names the session {session_id!r}; searched all times"
        raise Problem(HTTPStatus.NOT_FOUND, "No such session", detail)
    if len(owners) > 1:
        detail = f"session {session_id!r} is one of each of {', '.join(owners)}: say which with tenant="
        raise Problem(HTTPStatus.BAD_REQUEST, "The session is not told apart", detail)
    found = sessions.conversation(
        parts.store, owners[0], session_id, now=datetime.now(UTC), lease_seconds=parts.settings.run_lease
    )
    return json_answer(found)
