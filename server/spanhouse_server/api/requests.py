"""``/api/v1/requests``: triage, from whatever id a person has in hand."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import Response

from spanhouse_analysis.triage import triage
from spanhouse_server.api.answers import json_answer
from spanhouse_server.api.problems import Problem
from spanhouse_server.parts import parts_of

router = APIRouter(prefix="/api/v1/requests", tags=["triage"])


@router.get("/{request_id:path}")
def one_request(request: Request, request_id: str) -> Response:
    """Return every run of a request, or of a run, trace or session id, with what a person needs to judge it."""
    parts = parts_of(request)
    found = triage(parts.store, request_id, now=datetime.now(UTC), lease_seconds=parts.settings.run_lease)
    if found is None:
        detail = (
            f"nothing has the id {request_id!r}; searched request, run, trace and session ids of all tenants and times"
        )
        raise Problem(HTTPStatus.NOT_FOUND, "No such request", detail)
    return json_answer(found)
