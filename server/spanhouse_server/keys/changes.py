"""What was done to keys, written down in the transaction that does it, until the audit trail has it.

So no change of a key goes unsaid: not one made offline, not one before a crash. The numbers are those of control
decisions, since both stand in one stream of the trail.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, Connection, DateTime, Engine, Integer, String, Table, Text, delete, insert, select

from spanhouse_server.control import flags
from spanhouse_storage.state import metadata

CHANGES = Table(
    "api_key_changes",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("event", String(32), nullable=False),
    Column("tenants", Text, nullable=False),
    Column("said", Text, nullable=False),
    Column("at", DateTime, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Change:
    """One change that the trail does not have yet.

    Attributes:
        seq: its number in the stream of control decisions.
        event: ``key.create``, ``key.revoke`` or ``key.rotate``.
        tenants: of the key; None for all.
        said: what the event says, without tenants.
    """

    seq: int
    event: str
    tenants: frozenset[str] | None
    said: dict[str, Any]
    at: datetime


def note(
    connection: Connection, event: str, tenants: frozenset[str] | None, said: dict[str, Any], at: datetime
) -> None:
    """Write a change down, in the transaction that makes it."""
    row = {
        "seq": flags.take_number(connection, at),
        "event": event,
        "tenants": json.dumps(None if tenants is None else sorted(tenants)),
        "said": json.dumps(said),
        "at": at.astimezone(UTC).replace(tzinfo=None),
    }
    connection.execute(insert(CHANGES).values(row))


def untold(engine: Engine, limit: int = 1_000) -> list[Change]:
    """Return the changes that the trail does not have yet, oldest first."""
    with engine.connect() as connection:
        rows = connection.execute(select(CHANGES).order_by(CHANGES.c.seq).limit(limit)).all()
    return [
        Change(
            seq=row.seq,
            event=row.event,
            tenants=None if (named := json.loads(row.tenants)) is None else frozenset(named),
            said=json.loads(row.said),
            at=row.at.replace(tzinfo=UTC),
        )
        for row in rows
    ]


def told(engine: Engine, numbers: Collection[int]) -> None:
    """Forget changes that the trail has."""
    with engine.begin() as connection:
        connection.execute(delete(CHANGES).where(CHANGES.c.seq.in_(numbers)))
