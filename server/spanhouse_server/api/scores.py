"""``/api/v1/scores``: what evaluators and people said of runs and calls."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from spanhouse_analysis import figures, live, rows
from spanhouse_collector.journal import JournalUnavailableError
from spanhouse_collector.records import DEFAULT_TENANT
from spanhouse_server.api.answers import answer, json_answer
from spanhouse_server.api.feedback import LARGEST_BODY, Feedback, record_of
from spanhouse_server.api.filters import Many, values
from spanhouse_server.api.problems import Problem
from spanhouse_server.api.runs import find
from spanhouse_server.api.times import window
from spanhouse_server.keys.gate import access_of
from spanhouse_server.parts import Parts, parts_of
from spanhouse_storage import reads
from spanhouse_storage.reads import ScoredRun, ScoreFilter

router = APIRouter(prefix="/api/v1/scores", tags=["runs"])


@router.get("")
def listed(
    request: Request,
    run_id: str = "",
    trace_id: Many = None,
    span_id: Many = None,
    tenant: Many = None,
    name: Many = None,
    since: str | None = None,
    until: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    cursor: str | None = None,
) -> Response:
    """Return scores in the order they were given; of a run also those that name one of its spans or answers."""
    parts = parts_of(request)
    start, end = window(since, until, datetime.now(UTC))
    chosen = ScoreFilter(
        tenant=values(tenant),
        name=values(name),
        trace_id=values(trace_id),
        span_id=values(span_id),
        run=_run(parts, run_id) if run_id else None,
        since=start,
        until=end,
    )
    page = reads.list_scores(parts.store, chosen, limit=limit, cursor=cursor)
    return answer(request, "scores", rows.scores(page.rows), figures.SCORES, next_cursor=page.next_cursor)


@router.post("", status_code=HTTPStatus.CREATED, max_body_size=LARGEST_BODY)
async def given(request: Request, feedback: Feedback) -> Response:
    """Say how good a run was, or one span of it: a thumb, a score, a correction. An ingest key is enough."""
    parts, access = parts_of(request), access_of(request)
    run = await asyncio.to_thread(_meant, parts, feedback)
    only = min(access.tenants) if access.tenants and len(access.tenants) == 1 else DEFAULT_TENANT
    tenant = run["tenant"] if run else feedback.tenant or only
    foreign = access.foreign(frozenset({tenant}))
    if foreign:
        detail = f"key {access.name} is for other tenants than {foreign[0][:100]!r}"
        raise Problem(HTTPStatus.FORBIDDEN, "The key is not for this tenant", detail)
    about = {"tenant": tenant, "run_id": feedback.run_id, "trace_id": feedback.trace_id}
    if run:
        about |= {"run_id": run["run_id"], "trace_id": run["trace_id"]}
    try:
        await parts.pipeline.submit(record_of(feedback, at=datetime.now(UTC), **about))
    except JournalUnavailableError as error:
        headers = {"Retry-After": str(error.retry_after)}
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "Nothing can be taken now", str(error), headers) from error
    said: dict[str, Any] = {"name": feedback.name, "value": feedback.value, "label": feedback.label or None}
    return json_answer({**about, "span_id": feedback.span_id or None, **said}, HTTPStatus.CREATED)


def _meant(parts: Parts, feedback: Feedback) -> dict[str, Any] | None:
    """Return the run that is meant; None where its id is given and it is not known yet.

    Raises:
        Problem: 404; no run has the request id.
    """
    try:
        return find(parts, feedback.run_id or feedback.request_id or feedback.trace_id)
    except Problem:
        # What was just done may not be here yet: an id that tells by itself what is meant is kept as it is.
        if feedback.run_id or feedback.trace_id:
            return None
        raise


def _run(parts: Parts, run_id: str) -> ScoredRun:
    run = find(parts, run_id)
    ids, responses = live.span_and_response_ids(parts.store, run["tenant"], run["trace_id"], run["run_id"])
    return ScoredRun(run["tenant"], run["trace_id"], run["run_id"], ids, responses)
