"""``/api/v1/ledger``: how many records came, and what became of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from spanhouse_analysis.times import rfc3339
from spanhouse_server.api.answers import answer
from spanhouse_server.api.filters import Many, values
from spanhouse_server.api.times import window
from spanhouse_server.keys.gate import access_of
from spanhouse_server.parts import whole
from spanhouse_storage import reads
from spanhouse_storage.reads import LedgerFilter

router = APIRouter(prefix="/api/v1/ledger", tags=["health"])


@router.get("")
def listed(
    request: Request,
    tenant: Many = None,
    signal: Annotated[list[str] | None, Query(description="traces, logs or metrics")] = None,
    source: Annotated[list[str] | None, Query(description="Service that sent; spanhouse.audit for events")] = None,
    since: Annotated[str | None, Query(description="RFC 3339 time of receipt, or an age such as 24h")] = None,
    until: Annotated[str | None, Query(description="RFC 3339 time of receipt, or an age such as 1h")] = None,
    limit: Annotated[int, Query(ge=1, le=100_000, description="Lines by minute, newest first")] = 10_000,
) -> Response:
    """Return counts of records (spans, log records, data points) by minute of receipt, and their sums.

    received = stored + rejected + sampled_out + duplicated + pending; late is part of stored. What is acknowledged and
    not yet stored is pending: in the totals of all tenants only, as whose it is shows when it is read. A key sees the
    lines of its tenants.
    """
    start, end = window(since, until, datetime.now(UTC))
    within = access_of(request).tenants
    chosen = LedgerFilter(
        tenant=values(tenant), signal=values(signal), source=values(source), since=start, until=end, within=within
    )
    parts = whole(request)
    # In this order a record on its way into the store is counted twice for a moment, and never not at all.
    narrowed = bool(tenant or signal or source) or within is not None
    pending = None if narrowed else parts.pipeline.pending(start, end)
    totals = reads.ledger_totals(parts.store, chosen)
    totals["received"] += pending or 0
    minutes = reads.ledger_minutes(parts.store, chosen, limit=limit + 1)
    lines = [_line(row) for row in minutes[:limit]]
    return answer(request, "minutes", lines, totals={**totals, "pending": pending}, truncated=len(minutes) > limit)


def _line(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "minute": rfc3339(datetime.fromtimestamp(row["minute"], UTC)), "source": row["source"] or None}
