"""What the server knows of itself, gathered at one moment: for the API, the System page and ``spanhouse doctor``."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from spanhouse_analysis.times import rfc3339
from spanhouse_server.audit.status import status
from spanhouse_server.parts import Parts
from spanhouse_storage import inspection
from spanhouse_storage.contract import StorageError, Store
from spanhouse_storage.migrations import migrations
from spanhouse_storage.reads import (
    LedgerFilter,
    RunFilter,
    ledger_gaps,
    ledger_totals,
    list_runs,
    unpriced_models,
)
from spanhouse_storage.tenants import TenantStore

DAY: Final = timedelta(days=1)
SETTLED_AFTER: Final = timedelta(minutes=5)
"""Runs that ended later than so long ago may still have spans and events on their way."""
SHOWN: Final = 20
"""Gaps, runs and models that are named; counts cover what there is up to a thousand."""
_COUNTED: Final = 1_000
_NEWEST_LETTERS: Final = 1_000


def report(parts: Parts, now: datetime, tenants: frozenset[str] | None = None) -> dict[str, Any]:
    """Return the server's state as the API shows it; what the store cannot tell is null, and `store.error` says why.

    Args:
        parts: the server's, with the store of all tenants.
        now: the time, aware.
        tenants: whose ledger, runs and models are told, and nothing of the machine; None for all of it.
    """
    ready = parts.readiness.look()
    if tenants is not None:
        return _of_tenants(parts, now, tenants, ready=not ready.reasons)
    return {
        "now": rfc3339(now),
        "status": "not ready" if ready.reasons else "ok",
        "reasons": ready.reasons,
        "versions": {
            "spanhouse": version("spanhouse"),
            "python": platform.python_version(),
            "engine": parts.store.info.engine_version,
            "schema": migrations()[-1].number,
        },
        "journal": {
            "bytes": ready.figures["journal_bytes"],
            "limit": ready.figures["journal_limit"],
            "pending_records": ready.figures["pending_records"],
            "pending_items": ready.figures["pending_items"],
            "pending_seconds": ready.figures["pending_seconds"],
            "pending_traces": ready.figures["pending_traces"],
        },
        "dead_letters": _dead_letters(parts.settings.data_dir / "journal" / "dead-letters"),
        "disks": _disks(parts),
        "refused_callers": parts.guard.refusals.totals(),
        "audit": status(parts.state, now, anchored=bool(parts.settings.audit_anchor)),
        **_of_store(parts, now, ready.figures),
    }


def _of_tenants(parts: Parts, now: datetime, tenants: frozenset[str], *, ready: bool) -> dict[str, Any]:
    machines = dict.fromkeys(("journal", "dead_letters", "disks", "store", "schema", "refused_callers", "audit"))
    try:
        told = _of_runs(TenantStore(parts.store, tenants), now, _ledger(parts.store, now, tenants))
    except StorageError:
        told = dict.fromkeys(("ledger", "incomplete_runs", "unpriced_models"))
    return {
        "now": rfc3339(now),
        "status": "ok" if ready else "not ready",
        # The reasons name paths and addresses of the machine.
        "reasons": [] if ready else ["the server can take no telemetry at the moment; its operator sees why"],
        "versions": {"spanhouse": version("spanhouse"), "python": None, "engine": None, "schema": None},
        **machines,
        **told,
    }


def _of_runs(store: Store, now: datetime, ledger: dict[str, Any]) -> dict[str, Any]:
    return {
        "ledger": ledger,
        "incomplete_runs": _incomplete(store, now),
        "unpriced_models": unpriced_models(store, now - DAY, limit=SHOWN),
    }


def _of_store(parts: Parts, now: datetime, figures: dict[str, Any]) -> dict[str, Any]:
    store, info = parts.store, parts.store.info
    said = {"kind": info.kind, "url": info.url, "away_seconds": figures["store_away_seconds"]}
    try:
        tables = [asdict(each) for each in inspection.sizes(store)]
        return {
            "store": {**said, "error": None, "bytes": sum(each["bytes"] for each in tables), "tables": tables},
            "schema": {"number": inspection.schema_number(store), "drift": inspection.drift(store)},
            **_of_runs(store, now, _ledger(store, now)),
        }
    except StorageError as error:
        unknown = dict.fromkeys(("schema", "ledger", "incomplete_runs", "unpriced_models"))
        return {"store": {**said, "error": str(error), "bytes": None, "tables": []}, **unknown}


def _ledger(store: Store, now: datetime, tenants: frozenset[str] | None = None) -> dict[str, Any]:
    wanted = LedgerFilter(since=now - DAY, within=tenants)
    gaps = ledger_gaps(store, wanted, limit=SHOWN)
    for gap in gaps:
        gap["missing"] = gap["received"] - gap["accounted"]
    return {
        "day": ledger_totals(store, wanted),
        "gaps": [{**gap, "minute": rfc3339(datetime.fromtimestamp(gap["minute"], UTC))} for gap in gaps],
    }


def _incomplete(store: Store, now: datetime) -> dict[str, Any]:
    wanted = RunFilter(complete=False, status="ended", since=now - DAY, until=now - SETTLED_AFTER)
    ids: list[str] = list_runs(store, wanted, limit=_COUNTED).rows.column("run_id").to_pylist()
    return {"runs": len(ids), "run_ids": ids[:SHOWN]}


def _dead_letters(folder: Path) -> dict[str, Any]:
    notes = (
        sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime, reverse=True) if folder.exists() else []
    )
    records: Counter[str] = Counter()
    for note in notes[:_NEWEST_LETTERS]:
        about = json.loads(note.read_text())
        records[about["reason"].strip().rpartition("\n")[2][:200]] += about["items"]
    return {
        "letters": len(notes),
        "folder": str(folder),
        "newest_at": rfc3339(datetime.fromtimestamp(notes[0].stat().st_mtime, UTC)) if notes else None,
        "reasons": dict(records.most_common(SHOWN)),
    }


def _disks(parts: Parts) -> list[dict[str, Any]]:
    paths = {"data": parts.settings.data_dir}
    if parts.store.info.kind == "embedded":
        paths["store"] = Path(parts.store.info.url)
    return [{"of": of, "path": str(path), **_space(path)} for of, path in paths.items()]


def _space(path: Path) -> dict[str, int]:
    state = os.statvfs(path)
    return {"free": state.f_bavail * state.f_frsize, "total": state.f_blocks * state.f_frsize}
