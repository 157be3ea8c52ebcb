"""What alerts remember: their state, their history and the outbox, changed together in one transaction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    RowMapping,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from spanhouse.canonical import canonical_json
from spanhouse_alerts.machine import Phase, State, Transition
from spanhouse_storage.state import metadata

alert_states = Table(
    "alert_states",
    metadata,
    Column("alert_id", String(64), primary_key=True),
    Column("rule", String(64), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("labels", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("phase", String(16), nullable=False),
    Column("since_us", BigInteger),
    Column("starts_at_us", BigInteger),
    Column("evaluated_at_us", BigInteger),
    Column("seen_at_us", BigInteger),
    Column("ends_at_us", BigInteger),
    Column("resolved_at_us", BigInteger),
    Column("told_at_us", BigInteger),
    Column("value", Float),
    Column("threshold", Float),
    Column("no_data", Boolean, nullable=False),
    Column("error", Text, nullable=False),
)
"""One row an alert that is pending, firing, recovering or lately resolved. Times are microseconds since 1970."""

alert_history = Table(
    "alert_history",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("alert_id", String(64), nullable=False),
    Column("rule", String(64), nullable=False),
    Column("labels", Text, nullable=False),
    Column("change", String(16), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("value", Float),
    Column("threshold", Float),
    Column("window_since_us", BigInteger),
    Column("window_until_us", BigInteger),
    Index("alert_history_by_alert", "alert_id", "at_us"),
    Index("alert_history_by_time", "at_us"),
)
"""One row a transition, with the figure that led to it and the query window it came from."""

outbox = Table(
    "alert_outbox",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("key", String(64), nullable=False, unique=True),
    Column("alert_id", String(64), nullable=False),
    Column("rule", String(64), nullable=False),
    Column("receiver", String(64), nullable=False),
    Column("transition", String(16), nullable=False),
    Column("payload", Text, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("next_attempt_us", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("sent_at_us", BigInteger),
    Column("given_up_at_us", BigInteger),
    Column("error", Text, nullable=False),
    Index("alert_outbox_by_time", "created_at_us"),
)
"""One row a notice to one receiver, in the order they were queued.

``key`` is unique, so that a notice is queued once however often it is derived.
"""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as stored: who it is, and its state.

    Attributes:
        alert_id: hash of its labels.
        labels: its identity.
        state: what the machine remembers.
        summary: the alert in one sentence.
        resolved_at: when it last ended; None while it has not.
        told_at: when a firing notice was last queued.
    """

    alert_id: str
    rule: str
    kind: str
    severity: str
    labels: Mapping[str, str]
    state: State
    summary: str = ""
    resolved_at: datetime | None = None
    told_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class History:
    """One transition to remember."""

    alert: Alert
    transition: Transition
    window: tuple[datetime, datetime] | None


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice to queue for one receiver: what is sent, and when it was written."""

    key: str
    alert: Alert
    receiver: str
    transition: str
    payload: Mapping[str, Any]
    at: datetime


def alert_id_of(labels: Mapping[str, str]) -> str:
    """Return the id of the alert with these labels (the rule is one of them)."""
    return hashlib.sha256(canonical_json(dict(labels)).encode()).hexdigest()[:32]


def notice_key(labels: Mapping[str, str], starts_at: datetime, transition: str, receiver: str) -> str:
    """Return the key that makes a notice one and the same across retries, restarts and crashes."""
    parts = [dict(labels), micros(starts_at), transition, receiver]
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()


def load(engine: Engine, *, resolved: bool = False) -> dict[str, Alert]:
    """Return the alerts that are pending, firing or recovering by their id; with ``resolved`` the ended ones too."""
    query = select(alert_states).order_by(alert_states.c.starts_at_us.desc(), alert_states.c.alert_id)
    if not resolved:
        query = query.where(alert_states.c.phase != Phase.INACTIVE.value)
    with engine.connect() as connection:
        return {row["alert_id"]: _alert(row) for row in connection.execute(query).mappings()}


def save(engine: Engine, alerts: Iterable[Alert], history: Sequence[History], notices: Sequence[Notice]) -> None:
    """Store new states, their history and the notices out of them: all, or nothing.

    A notice whose key is queued already is left as it is. Alerts that are at rest and were never told of are forgotten.
    """
    with engine.begin() as connection:
        for alert in alerts:
            _put(connection, alert)
        if history:
            connection.execute(insert(alert_history), [_history_row(entry) for entry in history])
        for notice in notices:
            known = connection.scalar(select(outbox.c.key).where(outbox.c.key == notice.key))
            if known is None:
                connection.execute(insert(outbox).values(_notice_row(notice)))


def prune(engine: Engine, now: datetime, keep: timedelta) -> None:
    """Drop what is over and older than ``keep``: resolved alerts, history, and notices that were sent or given up."""
    before = micros(now - keep)
    over = outbox.c.sent_at_us.is_not(None) | outbox.c.given_up_at_us.is_not(None)
    with engine.begin() as connection:
        resting = (alert_states.c.phase == Phase.INACTIVE.value) & (alert_states.c.resolved_at_us < before)
        connection.execute(delete(alert_states).where(resting))
        connection.execute(delete(alert_history).where(alert_history.c.at_us < before))
        connection.execute(delete(outbox).where(over, outbox.c.created_at_us < before))


def micros(at: datetime) -> int:
    """Return a moment as microseconds since 1970, the form it is stored in."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def moment(stored: int | None) -> datetime | None:
    """Return the moment a stored number stands for; None stays None."""
    return None if stored is None else _EPOCH + timedelta(microseconds=stored)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _put(connection: Connection, alert: Alert) -> None:
    same = alert_states.c.alert_id == alert.alert_id
    if alert.state.phase is Phase.INACTIVE and alert.resolved_at is None:
        connection.execute(delete(alert_states).where(same))
        return
    row = _alert_row(alert)
    if not connection.execute(update(alert_states).where(same).values(row)).rowcount:
        connection.execute(insert(alert_states).values(row))


def _optional_micros(at: datetime | None) -> int | None:
    return None if at is None else micros(at)


def _alert_row(alert: Alert) -> dict[str, Any]:
    state = alert.state
    return {
        "alert_id": alert.alert_id,
        "rule": alert.rule,
        "kind": alert.kind,
        "severity": alert.severity,
        "labels": canonical_json(dict(alert.labels)),
        "summary": alert.summary,
        "phase": state.phase.value,
        "since_us": _optional_micros(state.since),
        "starts_at_us": _optional_micros(state.starts_at),
        "evaluated_at_us": _optional_micros(state.evaluated_at),
        "seen_at_us": _optional_micros(state.seen_at),
        "ends_at_us": _optional_micros(state.ends_at),
        "resolved_at_us": _optional_micros(alert.resolved_at),
        "told_at_us": _optional_micros(alert.told_at),
        "value": state.value,
        "threshold": state.threshold,
        "no_data": state.no_data,
        "error": state.error,
    }


def _alert(row: RowMapping) -> Alert:
    state = State(
        phase=Phase(row["phase"]),
        since=moment(row["since_us"]),
        starts_at=moment(row["starts_at_us"]),
        evaluated_at=moment(row["evaluated_at_us"]),
        seen_at=moment(row["seen_at_us"]),
        value=row["value"],
        threshold=row["threshold"],
        ends_at=moment(row["ends_at_us"]),
        no_data=row["no_data"],
        error=row["error"],
    )
    return Alert(
        alert_id=row["alert_id"],
        rule=row["rule"],
        kind=row["kind"],
        severity=row["severity"],
        labels=json.loads(row["labels"]),
        state=state,
        summary=row["summary"],
        resolved_at=moment(row["resolved_at_us"]),
        told_at=moment(row["told_at_us"]),
    )


def _history_row(entry: History) -> dict[str, Any]:
    since, until = entry.window or (None, None)
    return {
        "alert_id": entry.alert.alert_id,
        "rule": entry.alert.rule,
        "labels": canonical_json(dict(entry.alert.labels)),
        "change": entry.transition.change.value,
        "at_us": micros(entry.transition.at),
        "reason": entry.transition.reason,
        "value": entry.alert.state.value,
        "threshold": entry.alert.state.threshold,
        "window_since_us": _optional_micros(since),
        "window_until_us": _optional_micros(until),
    }


def _notice_row(notice: Notice) -> dict[str, Any]:
    return {
        "key": notice.key,
        "alert_id": notice.alert.alert_id,
        "rule": notice.alert.rule,
        "receiver": notice.receiver,
        "transition": notice.transition,
        "payload": json.dumps(notice.payload, ensure_ascii=False),
        "created_at_us": micros(notice.at),
        "next_attempt_us": micros(notice.at),
        "attempts": 0,
        "error": "",
    }
