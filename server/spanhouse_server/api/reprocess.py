"""``/api/v1/reprocess``: stored spans normalised again after a mapping was mended."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from spanhouse_server.api.answers import json_answer
from spanhouse_server.api.problems import Problem
from spanhouse_server.api.times import window
from spanhouse_server.parts import whole
from spanhouse_server.reprocess import BusyError
from spanhouse_storage.reads import SpanWindow

router = APIRouter(prefix="/api/v1/reprocess", tags=["health"])


class Wanted(BaseModel):
    """Which spans are normalised again: those that start in a window."""

    model_config = ConfigDict(extra="forbid")

    since: str = Field(description="RFC 3339 time, or an age such as 24h")
    until: str | None = Field(None, description="RFC 3339 time, or an age such as 1h; none: up to now")
    tenant: str = Field("", max_length=256, description="Only this tenant's; empty: all")


@router.post("", status_code=HTTPStatus.ACCEPTED)
def begin(request: Request, wanted: Wanted) -> Response:
    """Start a job and return it; it runs on beside everything else. One at a time."""
    start, end = window(wanted.since, wanted.until, datetime.now(UTC))
    if start is None:
        raise Problem(HTTPStatus.BAD_REQUEST, "A time is missing", "say since when, for example since=24h")
    try:
        job = whole(request).reprocessing.start(SpanWindow(start, end, wanted.tenant))
    except BusyError as error:
        raise Problem(HTTPStatus.CONFLICT, "Spans are being reprocessed already", str(error)) from error
    return json_answer({"job": job.as_json()}, HTTPStatus.ACCEPTED)


@router.get("")
def last(request: Request) -> Response:
    """Return the last job as it stands; null where there was none since the server started."""
    job = whole(request).reprocessing.job()
    return json_answer({"job": job.as_json() if job else None})
