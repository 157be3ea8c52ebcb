"""Questions and answers in the state database: put, answered once, taken back, run out.

Each change is one transaction with its audit event, and an answer is given only while the question waits: of two people
who answer at once one is told that it is over.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Column, DateTime, Engine, Row, String, Table, Text, func, insert, select, update

from spanhouse.canonical import args_hash
from spanhouse.errors import SpanhouseError
from spanhouse_server.audit import outbox
from spanhouse_storage.state import metadata

MOST_SHOWN: Final = 500
SLACK: Final = timedelta(seconds=5)
"""How long after its end a question is kept open for nobody: an agent that stops asking has its answer by then."""

APPROVALS = Table(
    "approvals",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("tenant", String(256), nullable=False),
    Column("run_id", String(256), nullable=False),
    Column("request_id", String(256), nullable=False),
    Column("user_id", String(256), nullable=False),
    Column("agent", String(256), nullable=False),
    Column("tool", String(256), nullable=False),
    Column("arguments", Text, nullable=False),
    Column("args_hash", String(64), nullable=False),
    Column("question", Text, nullable=False),
    Column("rule", String(512), nullable=False),
    Column("why", Text, nullable=False),
    Column("policy_version", String(256), nullable=False),
    Column("asked_by_key", String(64), nullable=False),
    Column("asked_at", DateTime, nullable=False),
    Column("expires_at", DateTime, nullable=False),
    Column("answered_at", DateTime, nullable=True),
    Column("by", String(512), nullable=False),
    Column("reason", Text, nullable=False),
    Column("answer_arguments", Text, nullable=False),
    Column("answer_text", Text, nullable=False),
)


class State(StrEnum):
    """Where a question stands; only the first is not final."""

    WAITING = "waiting"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class Kind(StrEnum):
    """What is asked for: a yes to one tool call, or a text."""

    CALL = "call"
    INPUT = "input"


class NoSuchApprovalError(SpanhouseError):
    """No question has this id, for who asks."""


class ApprovalOverError(SpanhouseError):
    """The question was answered, taken back, or has run out."""


class OtherArgumentsError(SpanhouseError):
    """The answer is about other arguments than the question."""


@dataclass(frozen=True, slots=True)
class Question:
    """What an agent asks; see ``Approval`` for the fields."""

    kind: Kind
    tenant: str
    run_id: str
    request_id: str
    user_id: str
    agent: str
    tool: str
    arguments: str
    args_hash: str
    question: str
    rule: str
    why: str
    policy_version: str
    asked_by_key: str


@dataclass(frozen=True, slots=True)
class Approval:
    """One question with its answer.

    Attributes:
        asked: the question: the call and where it comes from. Its arguments are JSON text with secrets cut out.
        answer_arguments: JSON text of what the call is to be made with instead; empty for none.
        answer_text: what was answered to a question for a text.
    """

    id: str
    state: State
    asked: Question
    asked_at: datetime
    expires_at: datetime
    answered_at: datetime | None = None
    by: str = ""
    reason: str = ""
    answer_arguments: str = ""
    answer_text: str = ""

    def seconds(self, now: datetime) -> float:
        """Return how long it waited, or waits."""
        return ((self.answered_at or now) - self.asked_at).total_seconds()


def ask(engine: Engine, question: Question, *, seconds: float, now: datetime) -> Approval:
    """Put a question and return it; it waits so many seconds."""
    made = Approval(
        # Who knows it may read the answer where no key is asked for: it must not be guessed.
        id=f"apr_{secrets.token_urlsafe(16)}"[:32],
        state=State.WAITING,
        asked=question,
        asked_at=now,
        expires_at=now + timedelta(seconds=seconds),
    )
    with engine.begin() as connection:
        connection.execute(insert(APPROVALS).values(_row(made)))
        outbox.note(connection, "approval.asked", _said(made, now), tenant=question.tenant, at=now)
    return made


def get(engine: Engine, approval_id: str, now: datetime) -> Approval:
    """Return a question, run out where its time is up.

    Raises:
        NoSuchApprovalError: none has this id.
    """
    with engine.connect() as connection:
        row = connection.execute(select(APPROVALS).where(APPROVALS.c.id == approval_id)).first()
    if row is None:
        msg = f"no approval has the id {approval_id[:80]!r}"
        raise NoSuchApprovalError(msg)
    return _seen(_approval(row), now)


def listed(engine: Engine, state: State | None, tenants: frozenset[str] | None, now: datetime) -> list[Approval]:
    """Return questions of these tenants (None: of all), those that wait oldest first, others newest first."""
    query = select(APPROVALS)
    if tenants is not None:
        query = query.where(APPROVALS.c.tenant.in_(sorted(tenants)))
    if state in {State.WAITING, State.EXPIRED}:
        # One that has run out may not be written down as such yet.
        query = query.where(APPROVALS.c.state.in_([State.WAITING.value, state.value]))
        late = APPROVALS.c.expires_at <= _naive(now)
        query = query.where(~late if state is State.WAITING else late)
    elif state is not None:
        query = query.where(APPROVALS.c.state == state.value)
    order = APPROVALS.c.asked_at.asc() if state is State.WAITING else APPROVALS.c.asked_at.desc()
    with engine.connect() as connection:
        rows = connection.execute(query.order_by(order).limit(MOST_SHOWN)).all()
    return [_seen(_approval(row), now) for row in rows]


def answer(  # noqa: D417 - the rest are the approval's fields
    engine: Engine,
    approval_id: str,
    *,
    approved: bool,
    digest: str,
    by: str,
    reason: str,
    arguments: Mapping[str, Any] | None,
    text: str,
    now: datetime,
) -> Approval:
    """Write an answer down and return the question with it.

    Args:
        digest: hash of the arguments the person saw.
        arguments: what the call is to be made with instead; None for what was asked.
        text: the answer to a question for a text.

    Raises:
        NoSuchApprovalError: none has this id.
        OtherArgumentsError: it was asked about other arguments.
        ApprovalOverError: it waits no more.
    """
    found = get(engine, approval_id, now)
    if digest != found.asked.args_hash:
        msg = f"the answer is about the arguments {digest[:80]!r}, the question about {found.asked.args_hash!r}"
        raise OtherArgumentsError(msg)
    done = replace(
        found,
        state=State.APPROVED if approved else State.DENIED,
        answered_at=now,
        by=by,
        reason=reason,
        answer_arguments=json.dumps(arguments, allow_nan=False) if approved and arguments is not None else "",
        answer_text=text if approved else "",
    )
    if not _ended(engine, done, now):
        over = get(engine, approval_id, now)
        msg = f"approval {approval_id} waits no more: it is {over.state.value}" + (f" by {over.by}" if over.by else "")
        raise ApprovalOverError(msg)
    return done


def withdraw(engine: Engine, approval_id: str, now: datetime) -> Approval:
    """Take a question back and return it; one that is over stays as it is."""
    found = get(engine, approval_id, now)
    state = State.EXPIRED if found.expires_at <= now else State.WITHDRAWN
    _ended(engine, replace(found, state=state, answered_at=now), now)
    return get(engine, approval_id, now)


def expire(engine: Engine, now: datetime) -> int:
    """Write down which questions have run out, and return how many; their events are written with them."""
    late = (APPROVALS.c.state == State.WAITING.value) & (APPROVALS.c.expires_at <= _naive(now - SLACK))
    with engine.connect() as connection:
        rows = connection.execute(select(APPROVALS).where(late).order_by(APPROVALS.c.tenant).limit(MOST_SHOWN)).all()
    found = [_approval(row) for row in rows]
    return sum(_ended(engine, replace(each, state=State.EXPIRED, answered_at=each.expires_at), now) for each in found)


def waiting(engine: Engine, now: datetime) -> int:
    """Return how many questions wait."""
    open_ = (APPROVALS.c.state == State.WAITING.value) & (APPROVALS.c.expires_at > _naive(now))
    with engine.connect() as connection:
        return int(connection.scalar(select(func.count()).select_from(APPROVALS).where(open_)) or 0)


_EVENTS: Final = {
    State.APPROVED: "approval.given",
    State.DENIED: "approval.denied",
    State.EXPIRED: "approval.timeout",
    State.WITHDRAWN: "approval.denied",
}


def _ended(engine: Engine, done: Approval, now: datetime) -> bool:
    """Write an end down where the question still waits, and return whether it did."""
    open_ = (APPROVALS.c.id == done.id) & (APPROVALS.c.state == State.WAITING.value)
    if done.state in {State.APPROVED, State.DENIED}:
        open_ &= APPROVALS.c.expires_at > _naive(now)
    # What was asked is in the run's record; the state database keeps no arguments longer than they are needed.
    values = {**_row(done), "arguments": ""}
    with engine.begin() as connection:
        if not connection.execute(update(APPROVALS).where(open_).values(values)).rowcount:
            return False
        outbox.note(connection, _EVENTS[done.state], _said(done, now), tenant=done.asked.tenant, at=now)
    return True


def _said(approval: Approval, now: datetime) -> dict[str, Any]:
    asked = approval.asked
    said: dict[str, Any] = {
        "approval_id": approval.id,
        "kind": asked.kind.value,
        "tool": asked.tool,
        "args_hash": asked.args_hash,
        "run_id": asked.run_id,
        "request_id": asked.request_id or None,
        "agent": asked.agent or None,
        "policy_version": asked.policy_version or None,
    }
    if approval.state is State.WAITING:
        return {**said, "reason": asked.why or None, "expires_at": approval.expires_at.isoformat()}
    if approval.answer_arguments:
        said["after"] = args_hash(json.loads(approval.answer_arguments))
    took = round(approval.seconds(now) * 1_000, 3)
    reason = "withdrawn by the agent" if approval.state is State.WITHDRAWN else approval.reason
    return {**said, "by": approval.by or None, "reason": reason or None, "duration_ms": took}


def _seen(approval: Approval, now: datetime) -> Approval:
    if approval.state is State.WAITING and approval.expires_at <= now:
        return replace(approval, state=State.EXPIRED, answered_at=approval.expires_at)
    return approval


_ASKED: Final = tuple(Question.__dataclass_fields__)


def _row(approval: Approval) -> dict[str, Any]:
    row = {name: getattr(approval.asked, name) for name in _ASKED}
    row |= {name: getattr(approval, name) for name in ("id", "by", "reason", "answer_arguments", "answer_text")}
    times = {name: _naive(getattr(approval, name)) for name in ("asked_at", "expires_at", "answered_at")}
    return {**row, **times, "kind": approval.asked.kind.value, "state": approval.state.value}


def _approval(row: Row[Any]) -> Approval:
    said = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it begins so
    asked = Question(**{name: said[name] for name in _ASKED if name != "kind"}, kind=Kind(said["kind"]))
    rest = {name: said[name] for name in ("id", "by", "reason", "answer_arguments", "answer_text")}
    return Approval(
        asked=asked,
        state=State(said["state"]),
        asked_at=said["asked_at"].replace(tzinfo=UTC),
        expires_at=said["expires_at"].replace(tzinfo=UTC),
        answered_at=said["answered_at"].replace(tzinfo=UTC) if said["answered_at"] else None,
        **rest,
    )


def _naive(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC).replace(tzinfo=None) if moment is not None else None
