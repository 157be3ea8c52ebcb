"""``/healthz``, ``/readyz`` and ``/metrics``: is it alive, can it take work, how is it doing."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from spanhouse_server.api.answers import json_answer
from spanhouse_server.parts import parts_of, whole

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def alive() -> Response:
    """Answer while the process lives; looks at nothing else."""
    return json_answer({"status": "ok"})


@router.get("/readyz")
def ready(request: Request) -> Response:
    """Return the journal's lag and the store's state; 503 with reasons where the server can take no work.

    That is when the journal is full, or the store has been away for longer than ``SPANHOUSE_READY_GRACE``: until then
    the journal holds what comes.
    """
    found = whole(request).readiness.look()
    body = {"status": "not ready" if found.reasons else "ok", "reasons": found.reasons, **found.figures}
    return json_answer(body, HTTPStatus.SERVICE_UNAVAILABLE if found.reasons else HTTPStatus.OK)


@router.get("/metrics")
def prometheus(request: Request) -> Response:
    """Return the server's own metrics in Prometheus' text format."""
    return Response(generate_latest(parts_of(request).pipeline.metrics.registry), media_type=CONTENT_TYPE_LATEST)
