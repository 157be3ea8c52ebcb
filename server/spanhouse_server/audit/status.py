"""How the checkpoints stand now, for the System page and ``spanhouse doctor``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine

from spanhouse_analysis.times import rfc3339
from spanhouse_server.audit import table
from spanhouse_server.audit.job import HEARTBEAT, TROUBLE
from spanhouse_storage.state import get_watermark

LATE: Final = HEARTBEAT + timedelta(minutes=10)
SHOWN: Final = 20


def status(state: Engine, now: datetime, *, anchored: bool) -> dict[str, Any]:
    """Return when the last checkpoint was, whether each tenant's last verifies and is young enough, and the copies.

    Args:
        state: the state database.
        now: the time, aware.
        anchored: whether copies go elsewhere.
    """
    newest = table.newest(state)
    keys = {key.id: key for key in table.keys(state)}
    bad, late = list[str](), list[str]()
    for tenant, signed in sorted(newest.items()):
        key = keys.get(signed.checkpoint.key_id)
        if key is None or not key.verifies(signed.checkpoint.text(), signed.signature):
            bad.append(tenant)
        if now - signed.checkpoint.time > LATE:
            late.append(tenant)
    last = max((signed.checkpoint.time for signed in newest.values()), default=None)
    return {
        "tenants": len(newest),
        "last_at": rfc3339(last),
        "verifies": not bad if newest else None,
        "bad": bad[:SHOWN],
        "late": late[:SHOWN],
        "anchored": anchored,
        "copies": get_watermark(state, TROUBLE) or None,
    }
