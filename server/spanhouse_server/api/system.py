"""``/api/v1/system``: the server's own state in one document."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from spanhouse_server import system
from spanhouse_server.api.answers import json_answer
from spanhouse_server.keys.gate import access_of
from spanhouse_server.parts import whole

router = APIRouter(prefix="/api/v1/system", tags=["health"])


@router.get("")
def state(request: Request) -> Response:
    """Return versions, store, schema, journal, dead letters, disks, gaps of the ledger, and what of runs is missing.

    To a key of some tenants the ledger, runs and models are of those, and what is of all tenants at once is null.
    """
    return json_answer(system.report(whole(request), datetime.now(UTC), access_of(request).tenants))
