"""A server's own state and ledger as the API shows them: busy, with a few refusals, and what a test puts wrong."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from fastapi import FastAPI

from spanhouse_analysis.times import rfc3339

Json = dict[str, Any]
GIB = 1 << 30


def add(app: FastAPI, now: datetime) -> None:
    """Serve both; `app.state.system` holds what a test wants to be otherwise in the state."""
    app.state.system = {}

    @app.get("/api/v1/system")
    def _system() -> Json:
        return {**system(now), **app.state.system}

    @app.get("/api/v1/ledger")
    def _ledger() -> Json:
        found = ledger(now)
        if not app.state.empty:
            return found
        nothing: Json = {**dict.fromkeys(found["totals"], 0), "reasons": {}}
        return {"totals": nothing, "minutes": [], "truncated": False}


def system(now: datetime) -> Json:
    """Return the state of a server that is well."""
    return {
        "now": rfc3339(now),
        "status": "ok",
        "reasons": [],
        "versions": {"spanhouse": "0.1.0", "python": "3.11.7", "engine": "26.9.2", "schema": 6},
        "journal": {
            "bytes": 5 << 20,
            "limit": 4 * GIB,
            "pending_records": 2,
            "pending_items": 37,
            "pending_seconds": 0.4,
            "pending_traces": 1,
        },
        "dead_letters": {
            "letters": 1,
            "folder": "/data/dead-letters",
            "newest_at": rfc3339(now),
            "reasons": {"odd": 3},
        },
        "refused_callers": {},
        "audit": {
            "tenants": 2,
            "last_at": "2026-03-01T11:59:30.000000Z",
            "verifies": True,
            "bad": [],
            "late": [],
            "anchored": False,
            "copies": None,
        },
        "disks": [{"of": "data", "path": "/data", "free": 50 * GIB, "total": 100 * GIB}],
        "store": {
            "kind": "embedded",
            "url": "/data/store",
            "away_seconds": 0.0,
            "error": None,
            "bytes": 3 * GIB,
            "tables": [{"table": "spans", "rows": 12_345, "bytes": 3 * GIB}],
        },
        "schema": {"number": 6, "drift": []},
        "ledger": {"day": {}, "gaps": []},
        "incomplete_runs": {"runs": 0, "run_ids": []},
        "unpriced_models": [],
    }


def ledger(now: datetime) -> Json:
    """Return ten minutes of two services, one of which sends everything twice in one of them and bad ids in another."""
    first = now.replace(second=0, microsecond=0) - timedelta(minutes=10)
    lines = [
        line(rfc3339(first + timedelta(minutes=number)), source, stored=100 + number)
        for number in range(10)
        if number != 5
        for source in ("support", "research")
    ]
    lines[0] |= {"received": 200, "duplicated": 100}
    lines[-1] |= {"received": 119, "rejected": 10, "reasons": {"span id is all zero": 10}}
    counts = ("received", "stored", "rejected", "sampled_out", "late", "duplicated")
    totals = {name: sum(each[name] for each in lines) for name in counts}
    reasons = {"span id is all zero": 10}
    return {"totals": {**totals, "pending": 37, "reasons": reasons}, "minutes": lines[::-1], "truncated": False}


def line(minute: str | None, source: str, *, stored: int) -> Json:
    """Return a line of a minute in which all that came was stored."""
    none = dict.fromkeys(("rejected", "sampled_out", "late", "duplicated"), 0)
    names = {"minute": minute, "tenant": "acme", "signal": "traces", "source": source}
    return {**names, "received": stored, "stored": stored, **none, "reasons": {}}
