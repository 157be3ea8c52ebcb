"""Leases in the state database: of several processes one holds a name, and another takes it once the holder is gone."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Engine, Float, String, Table, func, insert, select, text, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from spanhouse_storage.state import metadata

LEASES: Final = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", String(128), nullable=False),
    Column("until", Float(53), nullable=False),
)
"""`until` is in seconds since 1970 by the database's own clock, so that servers need not agree on the time."""


def take(engine: Engine, name: str, holder: str, seconds: float) -> bool:
    """Return whether the holder has the lease for the seconds to come: it had it, nobody had, or the last ran out."""
    with engine.begin() as connection:
        now = _now(connection)
        free = (LEASES.c.holder == holder) | (LEASES.c.until < now)
        taken = connection.execute(
            update(LEASES).where(LEASES.c.name == name, free).values(holder=holder, until=now + seconds)
        )
        if taken.rowcount:
            return True
        if connection.scalar(select(func.count()).select_from(LEASES).where(LEASES.c.name == name)):
            return False
    try:
        with engine.begin() as connection:
            connection.execute(insert(LEASES).values(name=name, holder=holder, until=_now(connection) + seconds))
    except IntegrityError:
        # Another process was first.
        return False
    return True


def give_back(engine: Engine, name: str, holder: str) -> None:
    """Let another process take the lease at once; nothing happens where somebody else holds it."""
    with engine.begin() as connection:
        connection.execute(update(LEASES).where(LEASES.c.name == name, LEASES.c.holder == holder).values(until=0.0))


def holder_of(engine: Engine, name: str) -> str | None:
    """Return who holds the lease now; None where nobody does."""
    with engine.connect() as connection:
        now = _now(connection)
        found = connection.scalar(select(LEASES.c.holder).where(LEASES.c.name == name, LEASES.c.until >= now))
    return None if found is None else str(found)


def _now(connection: Connection) -> float:
    clock = "extract(epoch from clock_timestamp())"
    if connection.dialect.name == "sqlite":
        clock = "(julianday('now') - 2440587.5) * 86400.0"
    return float(connection.scalar(text(f"SELECT {clock}")) or 0.0)
