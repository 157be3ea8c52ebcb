"""Reading runs, their steps, and what they can be filtered by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from spanhouse_storage import sql
from spanhouse_storage.contract import QueryError, Store
from spanhouse_storage.reads.filters import RunFilter, where
from spanhouse_storage.reads.pages import Page, decode, encode
from spanhouse_storage.reads.spans import tenant_condition
from spanhouse_storage.reads.times import nanos
from spanhouse_storage.tables import SCHEMAS

_PACKAGE = "spanhouse_storage"
_BOOKKEEPING = ("version", "is_deleted", "superseded_by")

STORED_COLUMNS = tuple(name for name in SCHEMAS["runs"].names if name not in _BOOKKEEPING)
_AUDIT_STORED = pa.field("audit_stored", pa.uint32(), nullable=False)

RUN_COLUMNS = (*STORED_COLUMNS, _AUDIT_STORED.name)
"""What a run is read with: its own columns, and how many of its audit events are stored at the time of reading."""
STEP_COLUMNS = tuple(name for name in SCHEMAS["steps"].names if name not in _BOOKKEEPING)

# Every order is over one integer, which a cursor carries without rounding: the bits of a float that is not negative
# are ordered as the float is. Not known counts as nothing, so it comes last in descending order.
SORT_KEYS = {
    "started_at": "toUnixTimestamp64Nano(started_at)",
    "run_seconds": "reinterpretAsInt64(greatest(ifNull(run_seconds, 0.), 0.))",
    "cost_usd": "reinterpretAsInt64(greatest(ifNull(cost_usd, 0.), 0.))",
    "tokens": "toInt64(ifNull(input_tokens, 0) + ifNull(output_tokens, 0))",
    "steps": "toInt64(steps)",
    "tool_calls": "toInt64(ifNull(tool_calls, 0))",
    "tool_errors": "toInt64(ifNull(tool_errors, 0))",
    "retries": "toInt64(ifNull(retries, 0))",
    "loops": "toInt64(ifNull(loops, 0))",
    "policy_denials": "toInt64(ifNull(policy_denials, 0))",
}
"""What a list of runs can be ordered by."""

NEWEST_FIRST = "-started_at"
_MAX_SUCCESSIONS = 16
_HOUR_NANOS = 3_600 * 1_000_000_000


def list_runs(
    store: Store,
    wanted: RunFilter,
    *,
    sort: str = NEWEST_FIRST,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """Return a page of the runs that pass the filter, with `RUN_COLUMNS`.

    `sort` is a name of `SORT_KEYS`, with `-` before it for largest first; equal ones are ordered by run id. A cursor
    continues the list in the same order; runs that arrive meanwhile do not shift it.

    Raises:
        QueryError: the order is unknown.
        CursorError: the cursor is not one of this list and order.
    """
    key = SORT_KEYS.get(sort.removeprefix("-"))
    if key is None:
        msg = f"runs cannot be sorted by {sort!r}: use {', '.join(SORT_KEYS)}, with '-' before it for largest first"
        raise QueryError(msg)
    descending = sort.startswith("-")
    condition, parameters = where(wanted)
    after = "1"
    if cursor is not None:
        parameters["after_key"], parameters["after_id"] = decode(f"runs{sort}", cursor, (int, str))
        compare = "<" if descending else ">"
        after = f"({key}, run_id) {compare} ({{after_key:Int64}}, {{after_id:String}})"
        if sort.endswith("started_at"):
            # The same bound on the bare column lets the engine skip whole partitions.
            after += f" AND started_at {compare}= fromUnixTimestamp64Nano({{after_key:Int64}}, 'UTC')"
    statement = sql.compose(
        _PACKAGE,
        "list_runs",
        sort_key=key,
        where=condition,
        after=after,
        direction="DESC" if descending else "ASC",
    )
    keys = store.query(statement, {**parameters, "limit": limit + 1})
    page = keys.slice(0, limit)
    rows = _runs_by_key(store, page)
    if keys.num_rows <= limit:
        return Page(rows, None)
    last = page.num_rows - 1
    return Page(rows, encode(f"runs{sort}", page.column("sort_key")[last].as_py(), page.column("run_id")[last].as_py()))


def run_by_id(store: Store, run_id: str, *, tenant: str = "") -> pa.Table:
    """Return the run, or the run that took its place: one row of `RUN_COLUMNS`, or none where there is no such run.

    A run that turned out to be part of another left a tombstone with the other's id; it is followed, so old links live.
    """
    statement = sql.compose(_PACKAGE, "run_by_id", columns=", ".join(STORED_COLUMNS), tenant=tenant_condition(tenant))
    rows = store.query(statement, {"run_id": run_id, "tenant": tenant})
    for _ in range(_MAX_SUCCESSIONS):
        live = rows.filter(pc.equal(rows.column("deleted"), 0))
        if live.num_rows:
            return with_audit_counts(store, live.slice(0, 1).select(STORED_COLUMNS))
        successors = [successor for successor in rows.column("successor").to_pylist() if successor]
        if not successors:
            break
        rows = store.query(statement, {"run_id": successors[0], "tenant": tenant})
    return with_audit_counts(store, rows.slice(0, 0).select(STORED_COLUMNS))


def runs_by_request(store: Store, request_id: str, *, tenant: str = "", limit: int = 100) -> pa.Table:
    """Return the runs of a request, lone calls included, in order of start."""
    return _runs_by(store, "request_id", request_id, tenant, limit)


def runs_by_session(store: Store, session_id: str, *, tenant: str = "", limit: int = 100) -> pa.Table:
    """Return the runs of a session, lone calls included, in order of start."""
    return _runs_by(store, "session_id", session_id, tenant, limit)


def runs_by_trace(store: Store, trace_id: str, *, tenant: str = "", limit: int = 100) -> pa.Table:
    """Return the runs of a trace, lone calls included, in order of start."""
    return _runs_by(store, "trace_id", trace_id, tenant, limit)


def steps_of_run(store: Store, tenant: str, run_id: str) -> pa.Table:
    """Return the run's steps in their order, with `STEP_COLUMNS`."""
    return steps_of_runs(store, [(tenant, run_id)])


def steps_of_runs(store: Store, runs: Sequence[tuple[str, str]]) -> pa.Table:
    """Return the steps of the runs `(tenant, run_id)`, ordered by tenant, run and step."""
    statement = sql.compose(_PACKAGE, "steps_of_runs", columns=", ".join(STEP_COLUMNS))
    return store.query(statement, {"runs": list(runs)})


def with_audit_counts(store: Store, runs: pa.Table) -> pa.Table:
    """Return rows of `runs` with a column more, `audit_stored`: how many of the run's audit events are stored."""
    keys = list(zip(runs.column("tenant").to_pylist(), runs.column("run_id").to_pylist(), strict=True))
    counted: dict[tuple[str, str], int] = {}
    if keys:
        rows = store.query(sql.load(_PACKAGE, "audit_counts"), {"runs": keys}).to_pylist()
        counted = {(row["tenant"], row["run_id"]): row["stored"] for row in rows}
    return runs.append_column(_AUDIT_STORED, pa.array([counted.get(key, 0) for key in keys], pa.uint32()))


def unpriced_models(store: Store, since: datetime, *, limit: int = 50) -> list[dict[str, Any]]:
    """Return the models of runs started since whose price nobody knows, most used first: `model` and `runs`."""
    rows = store.query(sql.load(_PACKAGE, "unpriced_models"), {"since": nanos(since), "limit": limit})
    found: list[dict[str, Any]] = rows.to_pylist()
    return found


def facets(store: Store) -> dict[str, list[str]]:
    """Return the values that runs can be filtered by, by facet.

    Facets: tenant, environment, agent, model, stop_code, task_type, variant and tool. At most 1,000 values each,
    sorted; "not known" is left out.
    """
    found: dict[str, list[str]] = {}
    for name in ("run_facets", "tool_facets"):
        row: dict[str, Any] = store.query(sql.load(_PACKAGE, name)).to_pylist()[0]
        found.update({facet: [value for value in values if value] for facet, values in row.items()})
    return found


def _runs_by(store: Store, column: str, id_: str, tenant: str, limit: int) -> pa.Table:
    if not id_:
        return pa.schema([*(SCHEMAS["runs"].field(name) for name in STORED_COLUMNS), _AUDIT_STORED]).empty_table()
    statement = sql.compose(
        _PACKAGE, "runs_by", columns=", ".join(STORED_COLUMNS), column=column, tenant=tenant_condition(tenant)
    )
    return with_audit_counts(store, store.query(statement, {"id": id_, "tenant": tenant, "limit": limit}))


def _runs_by_key(store: Store, page: pa.Table) -> pa.Table:
    """Return the wide rows of a page of keys, in the page's order."""
    hours = page.column("hour").to_pylist()
    keys = list(zip(page.column("tenant").to_pylist(), hours, page.column("run_id").to_pylist(), strict=True))
    statement = sql.compose(_PACKAGE, "runs_by_key", columns=", ".join(STORED_COLUMNS))
    first, last = (min(hours), max(hours)) if hours else (0, 0)
    rows = store.query(
        statement,
        {"keys": keys, "first": first * 1_000_000_000, "last": last * 1_000_000_000 + _HOUR_NANOS},
    )
    place = {(tenant, run_id): number for number, (tenant, _, run_id) in enumerate(keys)}
    found = zip(rows.column("tenant").to_pylist(), rows.column("run_id").to_pylist(), strict=True)
    order = sorted(range(rows.num_rows), key=[place[key] for key in found].__getitem__)
    return with_audit_counts(store, rows.take(pa.array(order, pa.int64())))
