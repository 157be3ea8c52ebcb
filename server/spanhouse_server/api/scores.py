"""``/api/v1/scores``: what evaluators said of runs and calls."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from spanhouse_analysis import figures, live, rows
from spanhouse_server.api.answers import answer
from spanhouse_server.api.filters import Many, values
from spanhouse_server.api.runs import find
from spanhouse_server.api.times import window
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


def _run(parts: Parts, run_id: str) -> ScoredRun:
    run = find(parts, run_id)
    ids, responses = live.span_and_response_ids(parts.store, run["tenant"], run["trace_id"], run["run_id"])
    return ScoredRun(run["tenant"], run["trace_id"], run["run_id"], ids, responses)
