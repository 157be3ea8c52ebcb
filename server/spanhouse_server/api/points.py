"""``/api/v1/points``: data points of OTLP metrics, as they were sent."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from spanhouse_analysis import figures, rows
from spanhouse_server.api.answers import answer
from spanhouse_server.api.filters import Many, values
from spanhouse_server.api.problems import Problem
from spanhouse_server.api.times import window
from spanhouse_server.parts import parts_of
from spanhouse_storage import reads
from spanhouse_storage.reads import PointFilter

router = APIRouter(prefix="/api/v1/points", tags=["metrics"])


@router.get("")
def listed(
    request: Request,
    name: Annotated[str, Query(description="The metric's name, such as gen_ai.client.token.usage")],
    tenant: Many = None,
    environment: Many = None,
    service_name: Many = None,
    scope_name: Many = None,
    attribute: Annotated[list[str] | None, Query(description="KEY=VALUE of the point; repeat for several")] = None,
    since: str | None = None,
    until: str | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
    cursor: str | None = None,
) -> Response:
    """Return a metric's data points in the order of their times."""
    start, end = window(since, until, datetime.now(UTC))
    chosen = PointFilter(
        tenant=values(tenant),
        environment=values(environment),
        service_name=values(service_name),
        scope_name=values(scope_name),
        attributes=dict(_pair(text) for text in attribute or ()),
        since=start,
        until=end,
    )
    page = reads.metric_points(parts_of(request).store, name, chosen, limit=limit, cursor=cursor)
    return answer(request, "points", rows.metric_points(page.rows), figures.POINTS, next_cursor=page.next_cursor)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        detail = f"attribute={text!r} is no KEY=VALUE, such as attribute=gen_ai.token.type=input"
        raise Problem(HTTPStatus.BAD_REQUEST, "An attribute cannot be read", detail)
    return key, value
