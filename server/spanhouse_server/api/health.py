"""``/healthz``, ``/readyz`` and ``/metrics``: is it alive, can it take work, how is it doing."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from spanhouse_server.api.answers import json_answer
from spanhouse_server.parts import parts_of
from spanhouse_storage.contract import StorageError

JOURNAL_FULL = 0.98
"""Share of the journal's limit from which a larger body may not fit any more."""

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def alive() -> Response:
    """Answer while the process lives; looks at nothing else."""
    return json_answer({"status": "ok"})


@router.get("/readyz")
def ready(request: Request) -> Response:
    """Return the journal's lag and the store's state; 503 where the store does not answer or the journal is full."""
    parts = parts_of(request)
    lag = parts.pipeline.lag()
    body = {
        "status": "ok",
        "pending_items": lag.items,
        "journal_bytes": lag.journal_bytes,
        "pending_seconds": lag.seconds,
        "pending_traces": parts.facts.pending(),
        "store": parts.store.info.kind,
        "store_error": None,
    }
    try:
        parts.store.query("SELECT 1")
    except StorageError as error:
        body |= {"status": "degraded", "store_error": str(error)}
        return json_answer(body, HTTPStatus.SERVICE_UNAVAILABLE)
    if lag.journal_bytes > JOURNAL_FULL * parts.settings.journal_limit:
        return json_answer(body | {"status": "journal full"}, HTTPStatus.SERVICE_UNAVAILABLE)
    return json_answer(body)


@router.get("/metrics")
def prometheus(request: Request) -> Response:
    """Return the server's own metrics in Prometheus' text format."""
    return Response(generate_latest(parts_of(request).pipeline.metrics.registry), media_type=CONTENT_TYPE_LATEST)
