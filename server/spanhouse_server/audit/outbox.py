"""Control events, numbered and chained in the transaction that makes the change they tell of, kept until they are sent.

Each tenant has one chain, the stream ``control``. Its head stands in the state database: taking it locks the tenant's
row, so numbers have no gap and no event follows two others, whichever process and thread it comes from. A change that
is rolled back takes its event with it; one that is committed has an event that is not lost any more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Connection, Engine, Integer, String, Table, Text, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from spanhouse.audit import build
from spanhouse.audit.chain import Link, body_hash, genesis, link_hash
from spanhouse.canonical import canonical_json
from spanhouse.redaction import redact
from spanhouse_collector.normalise.logs import CONTROL_STREAM
from spanhouse_storage.state import metadata

HEADS: Final = Table(
    "audit_heads",
    metadata,
    Column("tenant", String(256), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
)
"""The last event of each tenant's control stream."""

OUTBOX: Final = Table(
    "audit_outbox",
    metadata,
    Column("tenant", String(256), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("event", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("body_hash", String(64), nullable=False),
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Noted:
    """One control event that the trail does not have yet; fields as in `chain.Link`."""

    tenant: str
    seq: int
    event: str
    version: int
    time_us: int
    body: str
    prev_hash: str
    hash: str
    body_hash: str


def note(connection: Connection, event: str, said: Mapping[str, Any], *, tenant: str, at: datetime) -> int:
    """Write a control event down, in the transaction that makes the change, and return its number.

    Whoever notes events of several tenants in one transaction does so in the order of their names: each locks a row.

    Args:
        connection: with the transaction begun.
        event: the event's name.
        said: its own fields; those that fit no model are kept, and marked as the SDK marks them.
        tenant: in whose trail it stands.
        at: its time, aware.
    """
    data, version = _checked(event, said)
    body, _ = redact(canonical_json(data))
    seq, previous = _next(connection, tenant)
    link = Link(
        stream=CONTROL_STREAM,
        seq=seq,
        name=event,
        version=version,
        time_us=(at - _EPOCH) // timedelta(microseconds=1),
        request_id="",
        agent="",
        agent_version="",
        step=None,
        body_hash=body_hash(body),
    )
    head = link_hash(previous, link)
    connection.execute(update(HEADS).where(HEADS.c.tenant == tenant).values(seq=seq, hash=head))
    row = {"tenant": tenant, "seq": seq, "event": event, "version": version, "time_us": link.time_us, "body": body}
    connection.execute(OUTBOX.insert().values(**row, prev_hash=previous, hash=head, body_hash=link.body_hash))
    return seq


def untold(engine: Engine, limit: int = 1_000) -> list[Noted]:
    """Return the events that the trail does not have yet, by tenant and number."""
    query = select(OUTBOX).order_by(OUTBOX.c.tenant, OUTBOX.c.seq).limit(limit)
    with engine.connect() as connection:
        return [Noted(**row) for row in connection.execute(query).mappings()]


def told(engine: Engine, events: Collection[Noted]) -> None:
    """Forget events that the trail has."""
    with engine.begin() as connection:
        for each in events:
            connection.execute(delete(OUTBOX).where(OUTBOX.c.tenant == each.tenant, OUTBOX.c.seq == each.seq))


def _next(connection: Connection, tenant: str) -> tuple[int, str]:
    """Return the next number of a tenant's stream and the hash before it; nobody else gets it before the commit."""
    first = {"tenant": tenant, "seq": 0, "hash": genesis(CONTROL_STREAM)}
    # Even where the row is there this takes the write lock of SQLite, so that what is read next is the latest.
    if connection.dialect.name == "sqlite":
        connection.execute(sqlite.insert(HEADS).values(first).on_conflict_do_nothing())
    else:
        connection.execute(postgresql.insert(HEADS).values(first).on_conflict_do_nothing())
    row = connection.execute(select(HEADS).where(HEADS.c.tenant == tenant).with_for_update()).one()
    return row.seq + 1, row.hash


def _checked(event: str, said: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    try:
        model = build(event, dict(said))
    except ValueError as error:
        return {**said, "invalid": str(error)}, 0
    return model.model_dump(exclude_none=True), model.event_version
