"""Control flags: who may not go on, since when, why, and until when; kept in the state database."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, DateTime, Engine, Integer, String, Table, Text, delete, insert, select

from spanhouse_server.control import audit
from spanhouse_storage.state import metadata

FLAGS = Table(
    "control_flags",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("action", String(16), nullable=False),
    Column("scope", String(16), nullable=False),
    Column("target", String(256), nullable=False),
    Column("tenant", String(256), nullable=False),
    Column("reason", String(2000), nullable=False),
    Column("by", String(256), nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("expires_at", DateTime, nullable=True),
    Column("details", Text, nullable=False, default=""),
    sqlite_autoincrement=True,
)


class Action(StrEnum):
    """What a flag does to whom it names. ``enable`` lifts the flags that name the same target."""

    STOP = "stop"
    DISABLE = "disable"
    ENABLE = "enable"
    PAUSE = "pause"
    TIGHTEN = "tighten"
    """Lowers limits of the runs it names for as long as it holds."""
    RAISE = "raise"
    """Raises limits of one run, for good."""
    EDIT_NEXT = "edit_next"
    """Gives the next tool call of one run other arguments."""
    REFUSE_NEXT = "refuse_next"
    """Refuses the next tool call of one run; its model is told why."""

    GRANT = "grant"
    """Lets calls of a tool through that a policy asks about or denies by default, until the flag ends."""


WITH_LIMITS = frozenset({Action.TIGHTEN, Action.RAISE})
OF_A_CALL = frozenset({Action.EDIT_NEXT, Action.REFUSE_NEXT})
OF_A_RUN = frozenset({Action.RAISE, *OF_A_CALL})
"""Actions that are meant for one run alone."""

NEXT_SECONDS = 900.0
"""How long a flag about a run's next call waits for that call where nobody says."""


class Scope(StrEnum):
    """What kind of thing a flag names."""

    RUN = "run"
    AGENT = "agent"
    TOOL = "tool"
    USER = "user"
    TENANT = "tenant"
    ALL = "all"


@dataclass(frozen=True)
class Flag:
    """One decision of an operator. ``id`` grows by one a decision and is never used again.

    Attributes:
        details: ``limits`` of those that change limits; ``tool`` and ``arguments`` of those about a run's next call.
    """

    id: int
    action: str
    scope: str
    target: str
    tenant: str
    reason: str
    by: str
    created_at: datetime
    expires_at: datetime | None
    details: Mapping[str, Any] = field(default_factory=dict)

    def seen_by(self, tenants: frozenset[str] | None) -> bool:
        """Whether who may see these tenants (None: all) sees the flag; one that holds in all tenants is seen by all."""
        meant = self.tenant or (self.target if self.scope == Scope.TENANT else "")
        return tenants is None or not meant or meant in tenants

    def as_json(self) -> dict[str, Any]:
        """Return the flag as the API shows it: RFC 3339 times, null for what is not set."""
        row = asdict(self)
        details = row.pop("details")
        row.update({name: details.get(name) for name in ("limits", "tool", "arguments", "resources")})
        row["tenant"] = self.tenant or None
        row["target"] = self.target or None
        row["created_at"] = _stamp(self.created_at)
        row["expires_at"] = _stamp(self.expires_at) if self.expires_at else None
        return row


def add(  # noqa: D417 - the rest are the flag's fields
    engine: Engine,
    *,
    action: Action,
    scope: Scope,
    target: str,
    tenant: str,
    reason: str,
    by: str,
    ttl_seconds: float | None,
    now: datetime,
    details: Mapping[str, Any] | None = None,
) -> Flag:
    """Record a decision and return it; ``enable`` also lifts the flags in force for the same target.

    Its audit event is written down in the same transaction: a flag that holds is in the trail, sooner or later.

    Args:
        now: aware time of the decision.
        ttl_seconds: how long the flag holds; None until it is lifted.
    """
    created = now.astimezone(UTC)
    expires = created + timedelta(seconds=ttl_seconds) if ttl_seconds is not None else None
    with engine.begin() as connection:
        if action is Action.ENABLE:
            connection.execute(
                delete(FLAGS).where(FLAGS.c.scope == scope, FLAGS.c.target == target, FLAGS.c.tenant == tenant)
            )
        row = {
            "action": action.value,
            "scope": scope.value,
            "target": target,
            "tenant": tenant,
            "reason": reason,
            "by": by,
            "created_at": created.replace(tzinfo=None),
            "expires_at": expires.replace(tzinfo=None) if expires else None,
            "details": json.dumps(details) if details else "",
        }
        key = connection.execute(insert(FLAGS).values(row)).inserted_primary_key
        assert key is not None
        if action is Action.ENABLE:
            # The row was needed for its number alone: lifting leaves nothing in force.
            connection.execute(delete(FLAGS).where(FLAGS.c.id == key[0]))
        flag = Flag(int(key[0]), action.value, scope.value, target, tenant, reason, by, created, expires, details or {})
        audit.note(connection, flag)
    return flag


def active(engine: Engine, now: datetime) -> list[Flag]:
    """Return the flags in force, oldest first."""
    moment = now.astimezone(UTC).replace(tzinfo=None)
    query = select(FLAGS).where((FLAGS.c.expires_at.is_(None)) | (FLAGS.c.expires_at > moment)).order_by(FLAGS.c.id)
    with engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return [
        Flag(
            **{
                **row,
                "created_at": _aware(row["created_at"]),
                "expires_at": _aware(row["expires_at"]),
                "details": json.loads(row["details"]) if row["details"] else {},
            }
        )
        for row in rows
    ]


def etag_of(flags: list[Flag]) -> str:
    """Return a tag that differs whenever the set of flags in force does."""
    return hashlib.sha256(",".join(str(flag.id) for flag in flags).encode()).hexdigest()[:16]


def _aware(value: datetime | None) -> datetime | None:
    return value.replace(tzinfo=UTC) if value else None


def _stamp(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
