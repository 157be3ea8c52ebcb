"""Changes of the configuration as control events: which file or setting is another one now, never what it holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, insert, select, update

from spanhouse_collector.records import DEFAULT_TENANT
from spanhouse_server.audit import outbox
from spanhouse_server.settings import Settings
from spanhouse_storage.state import watermarks

_KNOWN: Final = "audit.config"
_SETTINGS: Final = (
    *("auth", "allow_remote", "erasure_window", "tenant_rate", "tenant_bytes", "sampling_delay", "run_lease"),
    *("audit_key", "audit_anchor"),
)
"""Settings that decide who may what, what is kept, and what is told of it."""


def fingerprints(settings: Settings, files: Mapping[str, Path]) -> dict[str, str]:
    """Return the fingerprint of each file and setting by name; empty for a file that is not there."""
    values = asdict(settings)
    found = {f"--{name.replace('_', '-')}": _digest(repr(values[name]).encode()) for name in _SETTINGS}
    for name, path in files.items():
        found[name] = _digest(path.read_bytes()) if path.is_file() else ""
    return found


def note_changes(engine: Engine, now_are: Mapping[str, str], at: datetime) -> list[str]:
    """Write down which fingerprints are others than when this was last called, and return their names.

    What the first call sees is remembered and no change.
    """
    with engine.begin() as connection:
        said = connection.scalar(select(watermarks.c.value).where(watermarks.c.name == _KNOWN))
        before: dict[str, str] = json.loads(said) if said is not None else {}
        changed = sorted(name for name in now_are if name in before and before[name] != now_are[name])
        for name in changed:
            fields = {"what": name, "fingerprint": now_are[name] or None, "before": before[name] or None}
            outbox.note(connection, "config", fields, tenant=DEFAULT_TENANT, at=at)
        if before != now_are:
            _remember(connection, json.dumps({**before, **now_are}), is_new=said is None)
    return changed


def _remember(connection: Connection, value: str, *, is_new: bool) -> None:
    if is_new:
        connection.execute(insert(watermarks).values(name=_KNOWN, value=value))
    else:
        connection.execute(update(watermarks).where(watermarks.c.name == _KNOWN).values(value=value))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
