"""Requests to delete, each with how far it is; who was meant stands here only until it is done."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Engine, String, Table, Text, insert, select, update

from spanhouse.errors import SpanhouseError
from spanhouse_storage.erasure import Keys, Subject
from spanhouse_storage.state import metadata

DELETIONS = Table(
    "deletion_requests",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("tenant", String(256), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("subject_hash", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("keys", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("by", String(256), nullable=False),
    Column("reason", String(2000), nullable=False),
    Column("requested_at", DateTime, nullable=False),
    Column("removed_at", BigInteger, nullable=False),
    Column("error", Text, nullable=False),
    Column("receipt", Text, nullable=False),
)

OPEN = ("waiting", "deleting", "clearing")
"""States of a request that is not done: not begun, being removed, and removed but not yet gone from disk."""


class DeletionNotFoundError(SpanhouseError):
    """No deletion has this id."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request to delete.

    Attributes:
        subject: who is meant; its value is empty once the request is done.
        keys: where their records stand, written before the first is removed.
        before: rows by table when the request began.
        removed_at: the engine's time in seconds when the last row was gone from the tables; 0 until then.
        receipt: the proof; empty until the request is done.
    """

    id: str
    state: str
    subject: Subject
    subject_hash: str
    keys: Keys
    before: dict[str, int]
    by: str
    reason: str
    requested_at: datetime
    removed_at: int
    error: str
    receipt: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return the request as the API shows it: never who was meant, only the hash of it."""
        return {
            "id": self.id,
            "state": self.state,
            "tenant": self.subject.tenant,
            "kind": self.subject.kind,
            "subject_sha256": self.subject_hash,
            "by": self.by,
            "reason": self.reason or None,
            "requested_at": self.requested_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "before": self.before,
            "error": self.error or None,
            "receipt": self.receipt or None,
        }


def add(engine: Engine, request: Request) -> None:
    """Write a new request down."""
    with engine.begin() as connection:
        connection.execute(
            insert(DELETIONS).values(
                id=request.id,
                state=request.state,
                tenant=request.subject.tenant,
                kind=request.subject.kind,
                subject_hash=request.subject_hash,
                subject=request.subject.value,
                keys=request.keys.as_text(),
                before=json.dumps(request.before),
                by=request.by,
                reason=request.reason,
                requested_at=request.requested_at.astimezone(UTC).replace(tzinfo=None),
                removed_at=0,
                error="",
                receipt="",
            )
        )


def note(engine: Engine, request_id: str, **said: str | int) -> None:
    """Change some columns of a request, by their names."""
    with engine.begin() as connection:
        connection.execute(update(DELETIONS).where(DELETIONS.c.id == request_id).values(**said))


def get(engine: Engine, request_id: str) -> Request:
    """Return one request.

    Raises:
        DeletionNotFoundError: there is none with this id.
    """
    with engine.connect() as connection:
        row = connection.execute(select(DELETIONS).where(DELETIONS.c.id == request_id)).mappings().first()
    if row is None:
        msg = f"no deletion has the id {request_id[:80]!r}"
        raise DeletionNotFoundError(msg)
    return _request(dict(row))


def every(engine: Engine) -> list[Request]:
    """Return all requests there ever were, oldest first."""
    with engine.connect() as connection:
        found = connection.execute(select(DELETIONS).order_by(DELETIONS.c.requested_at, DELETIONS.c.id)).mappings()
        return [_request(dict(row)) for row in found]


def unfinished(engine: Engine) -> list[Request]:
    """Return the requests that are not done, oldest first."""
    return [request for request in every(engine) if request.state in OPEN]


def _request(row: dict[str, Any]) -> Request:
    return Request(
        id=row["id"],
        state=row["state"],
        subject=Subject(row["kind"], row["subject"], row["tenant"]),
        subject_hash=row["subject_hash"],
        keys=Keys.of_text(row["keys"]),
        before=json.loads(row["before"]),
        by=row["by"],
        reason=row["reason"],
        requested_at=row["requested_at"].replace(tzinfo=UTC),
        removed_at=row["removed_at"],
        error=row["error"],
        receipt=json.loads(row["receipt"]) if row["receipt"] else {},
    )
