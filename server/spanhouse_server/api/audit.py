"""``/api/v1/audit``: what the control layer decided, event by event."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from spanhouse_analysis import columnar, rows
from spanhouse_server.api.answers import answer
from spanhouse_server.api.filters import Many, values
from spanhouse_server.api.times import window
from spanhouse_server.parts import parts_of
from spanhouse_storage import reads
from spanhouse_storage.reads import AuditFilter

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])


@router.get("")
def listed(
    request: Request,
    run_id: Many = None,
    request_id: Many = None,
    tenant: Many = None,
    name: Many = None,
    since: str | None = None,
    until: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    cursor: str | None = None,
) -> Response:
    """Return audit events in order: of a run by sequence, else by time."""
    start, end = window(since, until, datetime.now(UTC))
    chosen = AuditFilter(
        run_id=values(run_id),
        request_id=values(request_id),
        tenant=values(tenant),
        name=values(name),
        since=start,
        until=end,
    )
    page = reads.audit_events(parts_of(request).store, chosen, limit=limit, cursor=cursor)
    return answer(
        request, "events", rows.audit_events(page.rows), columnar.listed("audit"), next_cursor=page.next_cursor
    )
