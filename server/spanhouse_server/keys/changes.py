"""What is done to keys, as events of the control stream of each tenant of the key, which names no other tenant."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from spanhouse_collector.records import DEFAULT_TENANT
from spanhouse_server.audit import outbox


def note(
    connection: Connection, event: str, tenants: frozenset[str] | None, said: Mapping[str, Any], at: datetime
) -> None:
    """Write a change down, in the transaction that makes it; offline too.

    Args:
        connection: with the transaction begun.
        event: ``key.create``, ``key.revoke`` or ``key.rotate``.
        tenants: of the key; None for all.
        said: what the event says, without tenants.
        at: its time, aware.
    """
    if tenants is None:
        outbox.note(connection, event, {**said, "tenants": ["*"]}, tenant=DEFAULT_TENANT, at=at)
        return
    for tenant in sorted(tenants):
        outbox.note(connection, event, {**said, "tenants": [tenant]}, tenant=tenant, at=at)
