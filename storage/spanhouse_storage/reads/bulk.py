"""Reading everything that is meant, in pieces of bounded size, each of which can be continued after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from spanhouse_storage import sql
from spanhouse_storage.contract import QueryError, Store
from spanhouse_storage.reads.audit import AUDIT_COLUMNS, AuditFilter, conditions
from spanhouse_storage.reads.filters import RunFilter, where
from spanhouse_storage.reads.pages import decode, encode
from spanhouse_storage.reads.runs import RUN_COLUMNS, STEP_COLUMNS, with_audit_counts
from spanhouse_storage.reads.spans import CONTENT_COLUMNS, SLIM_COLUMNS
from spanhouse_storage.reads.times import micros, nanos
from spanhouse_storage.tables import SCHEMAS

_PACKAGE = "spanhouse_storage"

CHUNK_ROWS: Final = 50_000
CHUNK_BYTES: Final = 24 << 20
"""A piece ends soon after it is this large."""
# Small blocks: the engine holds one of each file it reads from, and stops between two.
_SETTINGS: Final = {"result_overflow_mode": "break", "max_result_bytes": str(CHUNK_BYTES), "max_block_size": "8192"}
_NO_USAGE: Final = "kind != 'usage'"
_NOT_GIVEN: Final[tuple[object, ...]] = ("", (), [], None)


@dataclass(frozen=True, slots=True)
class _Source:
    """A table that can be read whole: the key that orders it, with ClickHouse types, and how one row is chosen."""

    table: str
    key: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    final: bool


_HOUR: Final = "toInt64(toUnixTimestamp(toStartOfHour({})))"
_SOURCES: Final = {
    "runs": _Source(
        "runs",
        (("tenant", "String"), ("toStartOfHour(started_at)", "DateTime('UTC')"), ("run_id", "String")),
        tuple(name for name in RUN_COLUMNS if name in SCHEMAS["runs"].names),
        final=True,
    ),
    "steps": _Source(
        "steps",
        (
            ("tenant", "String"),
            ("toStartOfHour(run_started_at)", "DateTime('UTC')"),
            ("run_id", "String"),
            ("seq", "UInt64"),
        ),
        STEP_COLUMNS,
        final=True,
    ),
    "spans": _Source(
        "spans",
        (
            ("tenant", "String"),
            ("toStartOfHour(bucket)", "DateTime('UTC')"),
            ("trace_id", "String"),
            ("span_id", "String"),
        ),
        SLIM_COLUMNS,
        final=False,
    ),
    "audit": _Source(
        "audit_events",
        (("tenant", "String"), ("stream", "String"), ("seq", "UInt64")),
        AUDIT_COLUMNS,
        final=False,
    ),
}
KINDS: Final = tuple(_SOURCES)
"""What can be read in bulk."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a bulk read is of; stays the same from the first piece to the last.

    Attributes:
        kind: one of `KINDS`.
        as_of: rows received after it are left out.
        runs: which runs are meant, or those that spans and steps belong to.
        audit: which audit events are meant; of no effect on others.
        columns: what is read; empty for the usual ones.
        slim: leave out what spans say at length.
    """

    kind: str
    as_of: datetime
    runs: RunFilter = field(default_factory=RunFilter)
    audit: AuditFilter = field(default_factory=AuditFilter)
    columns: tuple[str, ...] = ()
    slim: bool = True


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows with the columns of the stored table, and the cursor that continues after them."""

    rows: pa.Table
    cursor: str


def bulk_count(store: Store, wanted: Snapshot) -> int:
    """Return how many rows the snapshot has at this moment."""
    source = _source(wanted)
    condition, parameters = _where(wanted)
    statement = sql.compose(_PACKAGE, "bulk_count", table=source.table, where=condition)
    return int(store.query(statement, parameters).column("rows")[0].as_py())


def bulk_rows(store: Store, wanted: Snapshot, cursor: str | None = None) -> Iterator[Chunk]:
    """Yield the rows of the snapshot in the order of their key, each in its latest version received by then.

    A version that was received later and has replaced an earlier one for good takes the row out of the snapshot; with
    `bulk_count` beforehand it can be said how many these were.

    Args:
        store: where to read.
        wanted: what to read.
        cursor: of the last chunk that was taken; None from the beginning.

    Raises:
        CursorError: the cursor is not one of this kind.
        QueryError: the kind or a column is unknown.
    """
    source = _source(wanted)
    condition, parameters = _where(wanted)
    keys = [key for key, _ in source.key]
    # Times travel as seconds; the engine compares them as what they are.
    key_columns = [_HOUR.format(key[14:-1]) if key.startswith("toStartOfHour") else key for key in keys]
    kinds = [int if type_ != "String" else str for _, type_ in source.key]
    position = None if cursor is None else decode(f"bulk-{wanted.kind}", cursor, kinds)
    while True:
        after, bounds = _after(source.key, position)
        statement = sql.compose(
            _PACKAGE,
            "bulk_rows",
            columns=", ".join(_columns(wanted)),
            key_columns=", ".join(f"{column} AS key_{number}" for number, column in enumerate(key_columns)),
            table=source.table,
            final="FINAL" if source.final else "",
            where=condition,
            after=after,
            order=", ".join(keys if source.final else [*keys, "version DESC"]),
            latest="" if source.final else f"LIMIT 1 BY {', '.join(keys)}",
        )
        rows = store.query(statement, {**parameters, **bounds, "limit": CHUNK_ROWS}, _SETTINGS)
        if not rows.num_rows:
            return
        last = rows.num_rows - 1
        position = [rows.column(f"key_{number}")[last].as_py() for number in range(len(keys))]
        rows = rows.drop_columns([f"key_{number}" for number in range(len(keys))])
        if wanted.kind == "runs":
            rows = with_audit_counts(store, rows)
        yield Chunk(rows, encode(f"bulk-{wanted.kind}", *position))


def _source(wanted: Snapshot) -> _Source:
    source = _SOURCES.get(wanted.kind)
    if source is None:
        msg = f"{wanted.kind!r} cannot be read in bulk: use {', '.join(KINDS)}"
        raise QueryError(msg)
    return source


def _columns(wanted: Snapshot) -> Sequence[str]:
    if wanted.columns:
        known = SCHEMAS[_source(wanted).table].names
        unknown = [name for name in wanted.columns if name not in known]
        if unknown:
            msg = f"{_source(wanted).table} has no column {unknown[0]!r}"
            raise QueryError(msg)
        return wanted.columns
    if wanted.kind == "spans" and not wanted.slim:
        return CONTENT_COLUMNS
    return _source(wanted).columns


def _where(wanted: Snapshot) -> tuple[str, dict[str, Any]]:
    received = "received_at <= fromUnixTimestamp64Micro({as_of:Int64}, 'UTC')"
    parameters: dict[str, Any] = {"as_of": micros(wanted.as_of)}
    if wanted.kind == "audit":
        condition, more = conditions(wanted.audit)
        return f"{received} AND {condition}", {**parameters, **more}
    if wanted.kind == "runs":
        condition, more = where(wanted.runs)
        return f"{received} AND {condition}", {**parameters, **more}
    if wanted.kind == "steps":
        condition, more = where(wanted.runs)
        of_runs = sql.compose(_PACKAGE, "bulk_of_runs", column="run_id", where=f"{received} AND {condition}")
        bound = _bounds("run_started_at", wanted.runs, parameters)
        return f"{_NO_USAGE} AND {bound} AND (tenant, run_id) IN ({of_runs})", {**parameters, **more}
    return _spans_where(wanted, received, parameters)


def _spans_where(wanted: Snapshot, received: str, parameters: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    rest = replace(wanted.runs, since=None, until=None, tenant="")
    if all(getattr(rest, each.name) in _NOT_GIVEN for each in fields(rest)):
        tenant, more = conditions(AuditFilter(tenant=wanted.runs.tenant))
        bounds = _bounds("start", wanted.runs, parameters)
        return f"{received} AND {bounds} AND {tenant}", {**parameters, **more}
    condition, more = where(wanted.runs, lone_calls=True)
    of_runs = sql.compose(_PACKAGE, "bulk_of_runs", column="trace_id", where=condition)
    return f"{received} AND (tenant, trace_id) IN ({of_runs})", {**parameters, **more}


def _bounds(column: str, wanted: RunFilter, parameters: dict[str, Any]) -> str:
    parts = ["1"]
    for name, compare, bound in (("since", ">=", wanted.since), ("until", "<", wanted.until)):
        if bound is not None:
            parameters[f"bulk_{name}"] = nanos(bound)
            parts.append(f"{column} {compare} fromUnixTimestamp64Nano({{bulk_{name}:Int64}}, 'UTC')")
    return " AND ".join(parts)


def _after(key: Sequence[tuple[str, str]], position: Sequence[int | str] | None) -> tuple[str, dict[str, Any]]:
    """Return the condition that a row's key is past a position, column by column, which the engine's index can use."""
    if position is None:
        return "1", {}
    condition, parameters = "0", dict[str, Any]()
    for number, ((column, type_), value) in reversed(list(enumerate(zip(key, position, strict=True)))):
        parameters[f"after_{number}"] = value
        bound = f"{{after_{number}:{type_}}}"
        condition = f"({column} > {bound} OR ({column} = {bound} AND {condition}))"
    return condition, parameters
