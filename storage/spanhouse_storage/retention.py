"""How long each tenant's rows live, and what that means at a moment: conditions on tables. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa

from spanhouse_storage.narrowing import literal

Kind: TypeAlias = Literal["content", "spans", "logs", "metrics", "scores", "runs", "audit"]

DAY: Final = timedelta(days=1)
CONTENT_AHEAD: Final = DAY
"""Content is removed up to so long before its time: columns cannot be hidden by a condition on rows, so those past
their time must be gone already. One pass a day over a week's parts is what that costs."""

ROWS_OF: Final[Mapping[str, tuple[Kind, str, str]]] = {
    "spans": ("spans", "bucket", "received_at"),
    "logs": ("logs", "bucket", "received_at"),
    "metric_points": ("metrics", "bucket", "received_at"),
    "scores": ("scores", "bucket", "received_at"),
    "messages": ("content", "bucket", "received_at"),
    "runs": ("runs", "started_at", "received_at"),
    "steps": ("runs", "run_started_at", ""),
    "audit_events": ("audit", "time", "received_at"),
    "metric_parts": ("runs", "bucket", ""),
}
"""Table -> whose life its rows have, the time they are judged by, and the one that stands in for an unusable one."""

CONTENT_IN: Final = ("spans", "runs")
"""Tables whose rows outlive their content."""

_USABLE_FROM: Final = datetime(2015, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Lives:
    """How long rows of each kind are kept; None for ever.

    Attributes:
        content: inputs, outputs, messages, previews, and attributes that hold such.
        spans: the spans themselves, with times, names and figures.
        runs: facts of runs and steps.
        audit: audit events.
    """

    content: timedelta | None = None
    spans: timedelta | None = None
    logs: timedelta | None = None
    metrics: timedelta | None = None
    scores: timedelta | None = None
    runs: timedelta | None = None
    audit: timedelta | None = None

    def of(self, kind: Kind) -> timedelta | None:
        """Return the life of one kind; content goes with its spans at the latest."""
        own: timedelta | None = getattr(self, kind)
        return self.spans if kind == "content" and own is None else own

    def disorder(self) -> str:
        """Return why these lives cannot hold together; empty where they can."""
        order: tuple[Kind, ...] = ("content", "spans", "runs", "audit")
        for shorter, longer in pairwise(order):
            first, then = self.of(shorter), self.of(longer)
            if then is not None and (first is None or first > then):
                said = f"{shorter} ({shown(first)}) would outlive {longer} ({shown(then)})"
                return f"{said}: keep {shorter} no longer than {longer}"
        return ""


FOREVER: Final = Lives()
KINDS: Final[tuple[Kind, ...]] = tuple(f.name for f in fields(Lives))  # type: ignore[misc]


def shown(life: timedelta | None) -> str:
    """Return a life as the policy file writes it."""
    if life is None:
        return "forever"
    seconds = int(life.total_seconds())
    return f"{seconds // 86_400}d" if seconds % 86_400 == 0 else f"{seconds // 3_600}h"


@dataclass(frozen=True)
class Retention:
    """The lives of everybody, and of tenants that have their own."""

    default: Lives = FOREVER
    tenants: Mapping[str, Lives] = field(default_factory=dict)

    def of(self, tenant: str) -> Lives:
        """Return the lives of a tenant's rows."""
        return self.tenants.get(tenant, self.default)

    def is_forever(self, kind: Kind) -> bool:
        """Whether nobody's rows of this kind ever go."""
        return all(lives.of(kind) is None for lives in (self.default, *self.tenants.values()))


def cutoff(life: timedelta | None, now: datetime, ahead: timedelta = timedelta(0)) -> datetime | None:
    """Return the time before which rows are past theirs, to the minute; None where they never are."""
    if life is None:
        return None
    return (now - life + min(ahead, life / 2)).replace(second=0, microsecond=0)


def kept(retention: Retention, now: datetime, removed: Mapping[str, datetime]) -> dict[str, str]:
    """Return, by table, the condition under which a row may still be read; tables without one are absent.

    Args:
        retention: the lives.
        now: the moment, aware.
        removed: tenant, or "" for those without lives of their own -> the time before which its content is gone. Rows
            whose content should be gone and is not are hidden whole: nothing is read that is past its time.
    """
    found: dict[str, str] = {}
    for table in ROWS_OF:
        parts = [_kept_rows(retention, table, now)]
        if table in CONTENT_IN:
            parts.append(_settled_content(retention, table, now, removed))
        if any(parts):
            found[table] = " AND ".join(f"({part})" for part in parts if part)
    return found


def past(retention: Retention, table: str, now: datetime) -> str:
    """Return the condition of rows that are past their time; empty where no row ever is."""
    alive = _kept_rows(retention, table, now)
    return f"NOT ({alive})" if alive else ""


def past_content(retention: Retention, table: str, now: datetime) -> str:
    """Return the condition of rows whose content is to be removed now; empty where none is."""
    _, time, stand_in = ROWS_OF[table]

    def alive(_: str, lives: Lives) -> str:
        return _alive(cutoff(lives.of("content"), now, CONTENT_AHEAD), time, stand_in)

    condition = _by_tenant(retention, alive)
    return f"NOT ({condition})" if condition else ""


def removed_by(retention: Retention, now: datetime) -> dict[str, datetime]:
    """Return the marks that hold once content past its time at a moment is gone: tenant, "" for the rest -> time."""
    edges = {
        tenant: cutoff(lives.of("content"), now, CONTENT_AHEAD)
        for tenant, lives in {"": retention.default, **retention.tenants}.items()
    }
    return {tenant: edge for tenant, edge in edges.items() if edge is not None}


def past_rows(retention: Retention, table: str, rows: pa.Table, now: datetime, *, content: bool = False) -> np.ndarray:
    """Return which of some rows about to be inserted are past their time already, as booleans."""
    gone = np.zeros(rows.num_rows, bool)
    if table not in ROWS_OF or not rows.num_rows:
        return gone
    kind, time, stand_in = ROWS_OF[table]
    times = _micros(rows, time)
    if stand_in:
        times = np.where(times < _USABLE_FROM.timestamp() * 1e6, _micros(rows, stand_in), times)
    tenants = rows.column("tenant").combine_chunks().dictionary_encode()
    codes = tenants.indices.to_numpy(zero_copy_only=False)
    for code, tenant in enumerate(tenants.dictionary.to_pylist()):
        lives = retention.of(tenant)
        edge = cutoff(lives.of("content"), now, CONTENT_AHEAD) if content else cutoff(lives.of(kind), now)
        if edge is not None:
            gone |= (codes == code) & (times < edge.timestamp() * 1e6)
    return gone


def _micros(rows: pa.Table, column: str) -> np.ndarray:
    micros: np.ndarray = rows.column(column).cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.int64()).to_numpy()
    return micros


def _kept_rows(retention: Retention, table: str, now: datetime) -> str:
    kind, time, stand_in = ROWS_OF[table]
    return _by_tenant(retention, lambda _, lives: _alive(cutoff(lives.of(kind), now), time, stand_in))


def _settled_content(retention: Retention, table: str, now: datetime, removed: Mapping[str, datetime]) -> str:
    time = ROWS_OF[table][1]

    def settled(tenant: str, lives: Lives) -> str:
        return _settled(removed.get(tenant), cutoff(lives.of("content"), now), time)

    return _by_tenant(retention, settled)


def _by_tenant(retention: Retention, condition: Callable[[str, Lives], str]) -> str:
    """Return one condition of many tenants' conditions; empty where none has any."""
    default = condition("", retention.default)
    own = {tenant: condition(tenant, lives) for tenant, lives in sorted(retention.tenants.items())}
    if not default and not any(own.values()):
        return ""
    if not own:
        return default
    parts = [f"tenant = {literal(tenant)} AND ({said or 1})" for tenant, said in own.items()]
    named = ", ".join(map(literal, own))
    return " OR ".join([*parts, f"tenant NOT IN ({named}) AND ({default or 1})"])


def _alive(edge: datetime | None, time: str, stand_in: str) -> str:
    if edge is None:
        return ""
    at = f"toDateTime({int(edge.timestamp())}, 'UTC')"
    # A time that nobody can use is the epoch, or any other out of range; such rows live from their receipt.
    unusable = f"{time} < toDateTime({int(_USABLE_FROM.timestamp())}, 'UTC')"
    return f"{time} >= {at} OR {unusable}" + (f" AND {stand_in} >= {at}" if stand_in else "")


def _settled(removed: datetime | None, edge: datetime | None, time: str) -> str:
    if edge is None or (removed is not None and removed >= edge):
        return ""
    before = "" if removed is None else f" OR {time} < toDateTime({int(removed.timestamp())}, 'UTC')"
    return f"{time} >= toDateTime({int(edge.timestamp())}, 'UTC'){before}"
