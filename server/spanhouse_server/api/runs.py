"""``/api/v1/runs``: the list, one run, its spans and steps, and the facets to filter by."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from spanhouse_analysis import columnar, contents, live, rows
from spanhouse_server.api.answers import answer, json_answer
from spanhouse_server.api.filters import run_filter
from spanhouse_server.api.ids import RUN_ID, SPAN_ID
from spanhouse_server.api.parameters import nearest
from spanhouse_server.api.problems import Problem
from spanhouse_server.parts import Parts, parts_of
from spanhouse_storage import reads
from spanhouse_storage.reads import RunFilter

router = APIRouter(prefix="/api/v1", tags=["runs"])

MAX_PAGE = 1000


@router.get("/runs")
def list_runs(
    request: Request,
    chosen: Annotated[RunFilter, Depends(run_filter)],
    sort: Annotated[str, Query(description="A run field; a leading - for largest first")] = reads.NEWEST_FIRST,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    cursor: str | None = None,
) -> Response:
    """Return a page of runs, newest first; lone model calls only when asked for with ``type=call``."""
    _check_sort(sort)
    page = reads.list_runs(parts_of(request).store, chosen, sort=sort, limit=limit, cursor=cursor)
    return answer(request, "runs", rows.runs(page.rows), columnar.listed("runs"), next_cursor=page.next_cursor)


@router.get("/facets")
def facets(request: Request) -> Response:
    """Return the values each filter can take."""
    return json_answer(reads.facets(parts_of(request).store))


@router.get(f"/runs/{RUN_ID}/spans/{SPAN_ID}")
def one_span(request: Request, run_id: str, span_id: str) -> Response:
    """Return one span with everything that was captured of it."""
    parts = parts_of(request)
    run = find(parts, run_id)
    found = reads.span(parts.store, run["tenant"], run["trace_id"], span_id)
    if found is None or not found.num_rows:
        detail = f"run {run_id!r} has no span {span_id!r} (searched trace {run['trace_id']})"
        raise Problem(HTTPStatus.NOT_FOUND, "No such span", detail)
    [whole] = contents.filled(parts.store, run["tenant"], run["trace_id"], rows.spans(found, content=True)[:1])
    return json_answer(whole)


@router.get(f"/runs/{RUN_ID}/spans")
def spans(
    request: Request,
    run_id: str,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    cursor: str | None = None,
    *,
    content: Annotated[bool, Query(description="With inputs, outputs, attributes and events")] = False,
) -> Response:
    """Return a run's spans in start order."""
    parts = parts_of(request)
    run = find(parts, run_id)
    ids = live.span_ids(parts.store, run["tenant"], run["trace_id"], run["run_id"])
    page = reads.spans_page(
        parts.store, run["tenant"], run["trace_id"], ids, content=content, limit=limit, cursor=cursor
    )
    listed = rows.spans(page.rows, content=content)
    if content:
        listed = contents.filled(parts.store, run["tenant"], run["trace_id"], listed)
    return answer(request, "spans", listed, columnar.listed("spans", content=content), next_cursor=page.next_cursor)


@router.get(f"/runs/{RUN_ID}/steps")
def steps(request: Request, run_id: str) -> Response:
    """Return a run's steps in order."""
    parts = parts_of(request)
    run = find(parts, run_id)
    return answer(request, "steps", live.steps(parts.store, run), columnar.listed("steps"))


@router.get(f"/runs/{RUN_ID}")
def one_run(request: Request, run_id: str) -> Response:
    """Return one run; a request id that names a single run is followed to it."""
    return json_answer(find(parts_of(request), run_id))


def _check_sort(sort: str) -> None:
    name = sort.removeprefix("-")
    if name in reads.SORT_KEYS:
        return
    detail = f"runs cannot be sorted by {name[:100]!r}: {nearest(name, reads.SORT_KEYS)}"
    raise Problem(HTTPStatus.BAD_REQUEST, "The list cannot be sorted so", detail)


def find(parts: Parts, run_id: str) -> dict[str, Any]:
    """Return a run's JSON, computed from its spans where it still runs.

    Raises:
        Problem: 404, naming what was searched.
    """
    found = live.run(parts.store, run_id, now=datetime.now(UTC), lease_seconds=parts.settings.run_lease)
    if found is None:
        detail = f"no run has the id {run_id!r}, and no request with a single run; searched all tenants and times"
        raise Problem(HTTPStatus.NOT_FOUND, "No such run", detail)
    return found
