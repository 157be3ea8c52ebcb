"""Checkpoints and public keys in the state database: written once, never changed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import BigInteger, Column, Connection, DateTime, Engine, String, Table, Text, func, insert, select

from spanhouse_server.audit.checkpoint import Signed
from spanhouse_server.audit.signing import PublicKey
from spanhouse_storage.state import metadata

CHECKPOINTS: Final = Table(
    "audit_checkpoints",
    metadata,
    Column("tenant", String(256), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("time", DateTime, nullable=False, index=True),
    Column("line", Text, nullable=False),
)
"""Each as the line that stands in the files."""

KEYS: Final = Table(
    "audit_keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("pem", Text, nullable=False),
    Column("certified_by", String(16), nullable=False),
    Column("certificate", String(128), nullable=False),
    Column("added_at", DateTime, nullable=False),
)


def add(engine: Engine, signed: Signed) -> None:
    """Keep a checkpoint.

    Raises:
        IntegrityError: the tenant has one of this number.
    """
    said = signed.checkpoint
    with engine.begin() as connection:
        row = {"tenant": said.tenant, "number": said.number, "time": _naive(said.time), "line": signed.line()}
        connection.execute(insert(CHECKPOINTS).values(row))


def page(engine: Engine, tenant: str, after: int = 0, limit: int = 1_000) -> list[Signed]:
    """Return a tenant's checkpoints after a number, in order."""
    return [Signed.of_line(line) for line in lines(engine, tenant, after, limit)]


def lines(engine: Engine, tenant: str, after: int, limit: int) -> list[str]:
    """Return a tenant's checkpoints after a number, in order, as lines."""
    where = (CHECKPOINTS.c.tenant == tenant) & (CHECKPOINTS.c.number > after)
    query = select(CHECKPOINTS.c.line).where(where).order_by(CHECKPOINTS.c.number).limit(limit)
    with engine.connect() as connection:
        return list(connection.scalars(query))


def newest(engine: Engine, tenants: Collection[str] | None = None) -> dict[str, Signed]:
    """Return the last checkpoint of each tenant, or of these."""
    top = select(CHECKPOINTS.c.tenant, func.max(CHECKPOINTS.c.number).label("number")).group_by(CHECKPOINTS.c.tenant)
    if tenants is not None:
        top = top.where(CHECKPOINTS.c.tenant.in_(sorted(tenants)))
    last = top.subquery()
    query = select(CHECKPOINTS.c.line).join(
        last, (CHECKPOINTS.c.tenant == last.c.tenant) & (CHECKPOINTS.c.number == last.c.number)
    )
    with engine.connect() as connection:
        found = [Signed.of_line(line) for line in connection.scalars(query)]
    return {each.checkpoint.tenant: each for each in found}


def since(engine: Engine, time: datetime) -> list[Signed]:
    """Return the checkpoints made at or after a time, oldest first."""
    query = select(CHECKPOINTS.c.line).where(CHECKPOINTS.c.time >= _naive(time)).order_by(CHECKPOINTS.c.time)
    with engine.connect() as connection:
        return [Signed.of_line(line) for line in connection.scalars(query)]


def add_key(connection: Connection, key: PublicKey, at: datetime) -> bool:
    """Keep a public key; return whether it was not there yet."""
    if connection.scalar(select(KEYS.c.id).where(KEYS.c.id == key.id)):
        return False
    row = {"id": key.id, "pem": key.pem, "certified_by": key.certified_by, "certificate": key.certificate}
    connection.execute(insert(KEYS).values(**row, added_at=_naive(at)))
    return True


def keys(engine: Engine) -> list[PublicKey]:
    """Return every key there ever was, oldest first."""
    with engine.connect() as connection:
        rows = connection.execute(select(KEYS).order_by(KEYS.c.added_at, KEYS.c.id)).all()
    return [PublicKey(row.pem, row.certified_by, row.certificate) for row in rows]


def _naive(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(tzinfo=None)
