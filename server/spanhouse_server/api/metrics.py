"""``/api/v1/metrics``: every metric of the catalogue, for any window, group and filter."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from spanhouse_analysis import figures
from spanhouse_analysis.metrics import MetricError, MetricQuery, catalogue, evaluate
from spanhouse_server.api.answers import answer, json_answer
from spanhouse_server.api.filters import run_filter
from spanhouse_server.api.problems import Problem
from spanhouse_server.parts import parts_of
from spanhouse_server.settings import parse_age
from spanhouse_storage.reads import RunFilter

router = APIRouter(prefix="/api/v1/metrics", tags=["metrics"])

LONGEST_STEP_SECONDS = 3_660 * 86_400
Names = Annotated[list[str] | None, Query(description="Repeat the parameter, or separate by commas")]


@router.get("/catalogue")
def listed() -> Response:
    """Return every metric: name, unit, kind and meaning."""
    return json_answer({"metrics": [metric.as_json() for metric in catalogue()]})


@router.get("")
def points(
    request: Request,
    chosen: Annotated[RunFilter, Depends(run_filter)],
    name: Names = None,
    by: Names = None,
    step: Annotated[str | None, Query(description="Length of a time bucket, such as 1h")] = None,
) -> Response:
    """Return one point a metric, group and time bucket: value, numerator, denominator and 95 % interval."""
    names = _split(name)
    if not names:
        known = ", ".join(metric.name for metric in catalogue())
        raise Problem(HTTPStatus.BAD_REQUEST, "No metric is named", f"give name=…; known are {known}")
    try:
        query = MetricQuery(
            names=names,
            by=_split(by),
            since=chosen.since,
            until=chosen.until,
            step=_seconds(step),
            filters=chosen,
        )
        found = evaluate(parts_of(request).store, query, now=datetime.now(UTC))
    except (MetricError, ValueError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, "The metric cannot be computed", str(error)) from None
    return answer(request, "points", [point.as_json() for point in found], figures.METRICS)


def _split(given: list[str] | None) -> list[str]:
    return [part.strip() for text in given or () for part in text.split(",") if part.strip()]


def _seconds(step: str | None) -> float | None:
    seconds = parse_age(step) if step else None
    if seconds is not None and seconds > LONGEST_STEP_SECONDS:
        msg = f"step={step!r} is too long: the longest is {LONGEST_STEP_SECONDS // 86_400}d"
        raise ValueError(msg)
    return seconds
