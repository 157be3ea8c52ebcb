"""``/api/v1/audit``: what the control layer decided, event by event."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from spanhouse.audit import json_schemas
from spanhouse_analysis import columnar, rows
from spanhouse_server.api.answers import answer, json_answer
from spanhouse_server.api.filters import Many, values
from spanhouse_server.api.problems import Problem
from spanhouse_server.api.times import window
from spanhouse_server.audit import keyring, table
from spanhouse_server.keys.gate import access_of
from spanhouse_server.parts import parts_of, whole
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


@router.get("/checkpoints")
def checkpoints(
    request: Request,
    tenant: Annotated[str | None, Query(description="Whose; without it the last checkpoint of each tenant")] = None,
    after: Annotated[int, Query(ge=0, description="Only those with a higher number")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Response:
    """Return signed checkpoints of the audit trail in order, and the public keys that verify them."""
    state, access = whole(request).state, access_of(request)
    if tenant is None:
        newest = table.newest(state, access.tenants)
        found = [signed for _, signed in sorted(newest.items()) if signed.checkpoint.number > after][:limit]
    elif foreign := access.foreign(frozenset({tenant})):
        detail = f"key {access.name} is for other tenants than {foreign[0][:100]!r}"
        raise Problem(HTTPStatus.FORBIDDEN, "The key is not for this tenant", detail)
    else:
        found = table.page(state, tenant, after, limit)
    return json_answer(
        {"checkpoints": [each.as_json() for each in found], "keys": [key.as_json() for key in table.keys(state)]}
    )


@router.get("/schema")
def schema() -> Response:
    """Return the JSON Schema of each audit event's own fields, by event name."""
    return json_answer({"events": json_schemas()})


@router.post("/rotate-key", status_code=HTTPStatus.CREATED)
async def rotate_key(request: Request) -> Response:
    """Replace the key that signs checkpoints by one that it vouches for, and return the new public key."""
    parts = whole(request)
    by = access_of(request).name or "operator"
    key = await asyncio.to_thread(keyring.rotate, parts.state, parts.settings.audit_key_file, by, datetime.now(UTC))
    await parts.trail.try_to_send()
    return json_answer(key.as_json(), HTTPStatus.CREATED)
