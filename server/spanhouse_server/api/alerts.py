"""``/api/v1/alerts``: the rules in force, what they say now, and what was sent."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from spanhouse_server.api.answers import json_answer
from spanhouse_server.parts import parts_of

router = APIRouter(prefix="/api/v1/alerts", tags=["alerts"])


@router.get("")
def listed(request: Request) -> Response:
    """Return rules, alerts and notifications."""
    return json_answer(parts_of(request).alerts.snapshot())
