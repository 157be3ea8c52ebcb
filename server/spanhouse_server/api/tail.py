"""``/api/v1/tail``: runs as they start, change and end, as server-sent events; ``runs?status=running`` lists them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Request
from starlette.responses import StreamingResponse

from spanhouse_analysis import rows
from spanhouse_server.api.answers import json_bytes
from spanhouse_server.api.filters import run_filter
from spanhouse_server.api.problems import Problem
from spanhouse_server.parts import parts_of, whole
from spanhouse_server.tail import Listener, Tail
from spanhouse_storage.contract import StorageError, Store
from spanhouse_storage.reads import RunFilter
from spanhouse_storage.reads.changes import Change, changed_runs, runs_among

router = APIRouter(prefix="/api/v1/tail", tags=["runs"])

HEARTBEAT_SECONDS: Final = 15.0
AT_ONCE: Final = 200
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@router.get("", response_class=StreamingResponse)
async def tail(
    request: Request,
    chosen: Annotated[RunFilter, Depends(run_filter)],
    seconds: Annotated[float | None, Query(ge=0, le=86_400, description="After which the stream ends")] = None,
    last_event_id: Annotated[str | None, Header(description="The id of the last event that was received")] = None,
) -> StreamingResponse:
    """Stream ``start``, ``change`` and ``end`` events, each with the run as it then stood, until the caller leaves.

    ``skipped`` says how many changes were left out because the caller reads too slowly. With ``Last-Event-ID`` what
    changed since that event comes first, each run once.
    """
    after = _version(last_event_id)
    events = _events(whole(request).tail, parts_of(request).store, chosen, after, seconds)
    return StreamingResponse(events, media_type="text/event-stream", headers=_HEADERS)


def _version(given: str | None) -> int | None:
    if not given:
        return None
    if not given.isdigit() or int(given) >= 2**63:
        detail = f"Last-Event-ID {given[:100]!r} is none of this stream: leave it out to begin now"
        raise Problem(HTTPStatus.BAD_REQUEST, "The event id cannot be used", detail)
    return int(given)


async def _events(
    tail: Tail, store: Store, chosen: RunFilter, after: int | None, seconds: float | None
) -> AsyncIterator[bytes]:
    now = asyncio.get_running_loop().time
    deadline = math.inf if seconds is None else now() + seconds
    async with tail.listening() as listener:
        yield b": listening\n\n"
        if after is not None:
            missed = await asyncio.to_thread(changed_runs, store, after)
            missed = [change.called("end" if change.ended else "change") for change in missed]
            for first in range(0, len(missed), AT_ONCE):
                yield await asyncio.to_thread(_written, store, chosen, missed[first : first + AT_ONCE])
        while now() < deadline:
            changes = await _next(listener, min(HEARTBEAT_SECONDS, deadline - now()))
            if changes is None:
                return
            if not changes:
                yield b": still here\n\n"
                continue
            if listener.skipped:
                skipped, listener.skipped = listener.skipped, 0
                yield _event("skipped", {"skipped": skipped})
            yield await asyncio.to_thread(_written, store, chosen, changes)


async def _next(listener: Listener, patience: float) -> list[Change] | None:
    """Return the next changes; none where nothing happened for a while, None where the stream is over."""
    try:
        first = await asyncio.wait_for(listener.waiting.get(), patience)
    except TimeoutError:
        return []
    found = [first]
    while len(found) < AT_ONCE and not listener.waiting.empty():
        found.append(listener.waiting.get_nowait())
    return None if None in found else [change for change in found if change is not None]


def _written(store: Store, chosen: RunFilter, changes: Sequence[Change]) -> bytes:
    """Return the events of the changes whose run passes the filter; the last carries the id to go on from."""
    try:
        found = rows.runs(runs_among(store, changes, chosen))
    except StorageError as error:
        return _event("error", {"detail": str(error), "skipped": len(changes)})
    runs = {(run["tenant"], run["run_id"]): run for run in found}
    told = [change for change in changes if (change.tenant, change.run_id) in runs]
    newest = max(change.version for change in changes)
    return b"".join(
        _event(change.kind, {"event": change.kind, "run": runs[change.tenant, change.run_id]}, last and str(newest))
        for change in told
        for last in [change is told[-1]]
    )


def _event(kind: str, data: dict[str, Any], id_: str | bool = False) -> bytes:
    head = f"id: {id_}\n" if id_ else ""
    return f"{head}event: {kind}\n".encode() + b"data: " + json_bytes(data) + b"\n\n"
