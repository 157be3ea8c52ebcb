"""Reading the ledger: how many records came, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from spanhouse_storage import sql
from spanhouse_storage.contract import Store
from spanhouse_storage.reads.filters import Texts, values_of
from spanhouse_storage.reads.times import micros

_PACKAGE = "spanhouse_storage"
_MINUTE_US = 60_000_000

LEDGER_COUNTS = ("received", "stored", "rejected", "sampled_out", "late", "duplicated")
"""What is counted; received is the sum of stored, rejected, sampled out and duplicated, and late is part of stored."""


@dataclass(frozen=True, slots=True)
class LedgerFilter:
    """Conditions on lines of the ledger, all of which must hold; an empty one holds always.

    `since` and `until` are times of receipt; both are widened to whole minutes. `within` are the tenants that whoever
    asks may see, None for all: none of them means no lines. The table has many tenants in a row, so that a store
    narrowed to some shows nothing of it.
    """

    tenant: Texts = ""
    signal: Texts = ""
    source: Texts = ""
    since: datetime | None = None
    until: datetime | None = None
    within: frozenset[str] | None = None


def ledger_totals(store: Store, wanted: LedgerFilter) -> dict[str, Any]:
    """Return `LEDGER_COUNTS` summed over the window, and `reasons`: how many were rejected why."""
    lines, parameters = _lines(wanted)
    rows = store.query(sql.compose(_PACKAGE, "ledger_totals", lines=lines), parameters).to_pylist()
    totals: dict[str, Any] = {name: sum(row[name] for row in rows) for name in LEDGER_COUNTS}
    return {**totals, "reasons": {row["reason"]: row["rejected"] for row in rows if row["reason"]}}


def ledger_minutes(store: Store, wanted: LedgerFilter, *, limit: int) -> list[dict[str, Any]]:
    """Return the same by minute (seconds since 1970), tenant, signal and source, newest first."""
    lines, parameters = _lines(wanted)
    statement = sql.compose(_PACKAGE, "ledger_minutes", lines=lines)
    rows: list[dict[str, Any]] = store.query(statement, {**parameters, "limit": limit}).to_pylist()
    for row in rows:
        row["minute"] *= 60
        row["reasons"] = dict(zip(row["reasons"], row.pop("reason_counts"), strict=True))
    return rows


def ledger_gaps(store: Store, wanted: LedgerFilter, *, limit: int) -> list[dict[str, int]]:
    """Return the minutes (seconds since 1970) whose sums do not add up, newest first: `received` and `accounted`."""
    lines, parameters = _lines(wanted)
    statement = sql.compose(_PACKAGE, "ledger_gaps", lines=lines)
    rows: list[dict[str, int]] = store.query(statement, {**parameters, "limit": limit}).to_pylist()
    return [{**row, "minute": row["minute"] * 60} for row in rows]


def _lines(wanted: LedgerFilter) -> tuple[str, dict[str, Any]]:
    rows, lines, parameters = ["1"], ["1"], dict[str, Any]()
    for column in ("tenant", "signal", "source"):
        values = values_of(getattr(wanted, column))
        if values:
            parameters[column] = values
            lines.append(f"{column} IN {{{column}:Array(String)}}")
    if wanted.within is not None:
        parameters["within"] = sorted(wanted.within)
        lines.append("tenant IN {within:Array(String)}")
    if wanted.since is not None:
        parameters["since"] = micros(wanted.since) // _MINUTE_US
        rows.append("last_received >= fromUnixTimestamp64Micro({since:Int64} * 60000000, 'UTC')")
        lines.append("minute >= {since:Int64}")
    if wanted.until is not None:
        parameters["until"] = -(-micros(wanted.until) // _MINUTE_US)
        rows.append("first_received < fromUnixTimestamp64Micro({until:Int64} * 60000000, 'UTC')")
        lines.append("minute < {until:Int64}")
    statement = sql.compose(_PACKAGE, "ledger_lines", rows=" AND ".join(rows), lines=" AND ".join(lines))
    return statement, parameters
