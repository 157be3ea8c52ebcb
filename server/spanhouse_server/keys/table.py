"""Keys in the state database: made, listed, revoked, rotated. A row stays for good, so that a key id keeps its name."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Column, DateTime, Engine, Row, String, Table, Text, insert, select, update

from spanhouse.errors import SpanhouseError
from spanhouse_server.keys import changes, secret
from spanhouse_server.keys.rights import Role
from spanhouse_storage.state import metadata

ALL_TENANTS = "*"
LONGEST_TENANT = 256
MOST_TENANTS = 1_000

KEYS = Table(
    "api_keys",
    metadata,
    Column("id", String(secret.ID_LENGTH), primary_key=True),
    Column("hash", String(64), nullable=False),
    Column("name", String(256), nullable=False),
    Column("role", String(16), nullable=False),
    Column("tenants", Text, nullable=False),
    Column("environment", String(256), nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("created_by", String(256), nullable=False),
    Column("expires_at", DateTime, nullable=True),
    Column("revoked_at", DateTime, nullable=True),
    Column("last_used_at", DateTime, nullable=True),
    Column("replaced_by", String(secret.ID_LENGTH), nullable=False),
)


class KeyNotFoundError(SpanhouseError):
    """No key has this id."""


class KeyEndedError(SpanhouseError):
    """The key is revoked or has run out, so it cannot be rotated."""


class TenantsError(SpanhouseError):
    """The tenants given for a key are none."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key, without its secret.

    Attributes:
        tenants: for which it speaks; None for all.
        environment: of records that name none themselves; empty for none.
        replaced_by: id of the key it was rotated to; empty where it was not.
    """

    id: str
    hash: str
    name: str
    role: Role
    tenants: frozenset[str] | None
    environment: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    replaced_by: str = ""

    def state(self, now: datetime) -> str:
        """Return ``active``, ``revoked`` or ``expired``."""
        if self.revoked_at is not None and self.revoked_at <= now:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"

    def as_json(self, now: datetime) -> dict[str, Any]:
        """Return the key as the API shows it, which is all but its hash."""
        return {
            "id": self.id,
            "name": self.name or None,
            "role": self.role.value,
            "tenants": [ALL_TENANTS] if self.tenants is None else sorted(self.tenants),
            "environment": self.environment or None,
            "state": self.state(now),
            "created_at": _stamp(self.created_at),
            "created_by": self.created_by or None,
            "expires_at": _stamp(self.expires_at),
            "revoked_at": _stamp(self.revoked_at),
            "last_used_at": _stamp(self.last_used_at),
            "replaced_by": self.replaced_by or None,
        }


def tenants_of(given: Collection[str]) -> frozenset[str] | None:
    """Return the tenants of a key from their names; None for ``*``, which stands alone.

    Raises:
        TenantsError: there are none, or one is no name.
    """
    named = {tenant.strip() for tenant in given}
    if named == {ALL_TENANTS}:
        return None
    if not named or not all(named):
        msg = "a key needs tenants: name one, several separated by commas, or * for all"
        raise TenantsError(msg)
    if ALL_TENANTS in named:
        msg = "* stands for all tenants and cannot be mixed with names: give * alone, or names alone"
        raise TenantsError(msg)
    for tenant in sorted(named):
        if "," in tenant or not tenant.isprintable() or len(tenant) > LONGEST_TENANT:
            msg = f"{tenant[:80]!r} is no tenant: printable text without commas, at most {LONGEST_TENANT} characters"
            raise TenantsError(msg)
    if len(named) > MOST_TENANTS:
        msg = f"a key names at most {MOST_TENANTS:,} tenants, not {len(named):,}: give * for all"
        raise TenantsError(msg)
    return frozenset(named)


def create(
    engine: Engine,
    *,
    tenants: frozenset[str] | None,
    role: Role,
    environment: str,
    name: str,
    created_by: str,
    expires_at: datetime | None,
    now: datetime,
) -> tuple[Key, str]:
    """Make a key and return it with its text, which nobody can be told a second time."""
    key_id, text = secret.make()
    key = Key(
        id=key_id,
        hash=secret.digest(text),
        name=name,
        role=role,
        tenants=tenants,
        environment=environment,
        created_at=now,
        created_by=created_by,
        expires_at=expires_at,
    )
    with engine.begin() as connection:
        connection.execute(insert(KEYS).values(_row(key)))
        changes.note(connection, "key.create", key.tenants, _said(key, created_by, now), now)
    return key, text


def all_keys(engine: Engine) -> list[Key]:
    """Return every key there ever was, oldest first."""
    with engine.connect() as connection:
        return [_key(row) for row in connection.execute(select(KEYS).order_by(KEYS.c.created_at, KEYS.c.id))]


def get(engine: Engine, key_id: str) -> Key:
    """Return one key.

    Raises:
        KeyNotFoundError: there is none with this id.
    """
    with engine.connect() as connection:
        row = connection.execute(select(KEYS).where(KEYS.c.id == key_id)).first()
    if row is None:
        msg = f"no key has the id {key_id[:80]!r}; `spanhouse keys list` shows them"
        raise KeyNotFoundError(msg)
    return _key(row)


def revoke(engine: Engine, key_id: str, revoked_by: str, now: datetime) -> Key:
    """End a key and return it; one that is revoked already keeps its time.

    Raises:
        KeyNotFoundError: there is none with this id.
    """
    key = get(engine, key_id)
    with engine.begin() as connection:
        ended = connection.execute(
            update(KEYS).where(KEYS.c.id == key_id, KEYS.c.revoked_at.is_(None)).values(revoked_at=_naive(now))
        )
        if ended.rowcount:
            changes.note(connection, "key.revoke", key.tenants, _said(key, revoked_by, now), now)
    return get(engine, key_id)


def rotate(engine: Engine, key_id: str, overlap: timedelta, created_by: str, now: datetime) -> tuple[Key, Key, str]:
    """Make a key that may what another may, and let the other end after ``overlap``; return both and the new text.

    The new key lasts as long as the old one was made to last.

    Raises:
        KeyNotFoundError: there is none with this id.
        KeyEndedError: the key has ended already.
    """
    old = get(engine, key_id)
    if old.state(now) != "active":
        msg = f"key {key_id} is {old.state(now)} and cannot be rotated: make a new one with `spanhouse keys create`"
        raise KeyEndedError(msg)
    life = old.expires_at - old.created_at if old.expires_at is not None else None
    new_id, text = secret.make()
    new = replace(
        old,
        id=new_id,
        hash=secret.digest(text),
        created_at=now,
        created_by=created_by,
        expires_at=now + life if life is not None else None,
        last_used_at=None,
        replaced_by="",
    )
    ends = min(now + overlap, old.expires_at or datetime.max.replace(tzinfo=UTC))
    ended = replace(old, expires_at=ends, replaced_by=new_id)
    with engine.begin() as connection:
        connection.execute(insert(KEYS).values(_row(new)))
        connection.execute(update(KEYS).where(KEYS.c.id == key_id).values(expires_at=_naive(ends), replaced_by=new_id))
        said = {**_said(ended, created_by, now), "replaced_by": new_id}
        changes.note(connection, "key.rotate", new.tenants, said, now)
    return ended, new, text


def used(engine: Engine, times: Mapping[str, datetime]) -> None:
    """Remember when keys were last used, by id."""
    with engine.begin() as connection:
        for key_id, time in times.items():
            connection.execute(update(KEYS).where(KEYS.c.id == key_id).values(last_used_at=_naive(time)))


def _said(key: Key, by: str, now: datetime) -> dict[str, Any]:
    shown = key.as_json(now)
    named = ("name", "role", "environment", "expires_at")
    return {"key": key.id, "by": by, **{name: shown[name] for name in named}}


def _row(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "hash": key.hash,
        "name": key.name,
        "role": key.role.value,
        "tenants": json.dumps(None if key.tenants is None else sorted(key.tenants)),
        "environment": key.environment,
        "created_at": _naive(key.created_at),
        "created_by": key.created_by,
        "expires_at": _naive(key.expires_at),
        "revoked_at": _naive(key.revoked_at),
        "last_used_at": _naive(key.last_used_at),
        "replaced_by": key.replaced_by,
    }


def _key(row: Row[Any]) -> Key:
    named = json.loads(row.tenants)
    return Key(
        id=row.id,
        hash=row.hash,
        name=row.name,
        role=Role(row.role),
        tenants=None if named is None else frozenset(named),
        environment=row.environment,
        created_at=row.created_at.replace(tzinfo=UTC),
        created_by=row.created_by,
        expires_at=_aware(row.expires_at),
        revoked_at=_aware(row.revoked_at),
        last_used_at=_aware(row.last_used_at),
        replaced_by=row.replaced_by,
    )


def _naive(time: datetime | None) -> datetime | None:
    return time.astimezone(UTC).replace(tzinfo=None) if time is not None else None


def _aware(time: datetime | None) -> datetime | None:
    return time.replace(tzinfo=UTC) if time is not None else None


def _stamp(time: datetime | None) -> str | None:
    if time is None:
        return None
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
