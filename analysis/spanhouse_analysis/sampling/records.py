"""The table of sampled traces, and what else the store knows that keeps a trace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import pyarrow as pa

from spanhouse_analysis.reading import Trace
from spanhouse_analysis.sampling.decisions import Record
from spanhouse_storage import Store, sql
from spanhouse_storage.reads.times import micros
from spanhouse_storage.tables import SCHEMAS

TABLE: Final = "sampled_traces"
_PACKAGE: Final = "spanhouse_analysis"
_TRACES_A_QUERY: Final = 2_000


def lookup(store: Store, traces: Sequence[Trace]) -> dict[Trace, Record]:
    """Return what was decided about those of the traces that were sampled out once."""
    return {trace: record for trace, record, _ in _read(store, "sampled_by_trace", traces)}


def waiting(store: Store) -> list[tuple[Trace, Record, datetime]]:
    """Return the traces whose spans are still to be deleted, with the time of the decision."""
    return [_of(row) for row in store.query(sql.load(_PACKAGE, "sampled_waiting")).to_pylist()]


def newest(store: Store) -> int:
    """Return the highest version of any decision, 0 where nothing was ever sampled out."""
    return int(store.query(sql.load(_PACKAGE, "sampled_any"))["version"][0].as_py())


def write(
    store: Store,
    records: Mapping[Trace, Record],
    now: datetime,
    version: int,
    hashes: Mapping[Trace, Iterable[int]] | None = None,
) -> None:
    """Note decisions; ``hashes`` are those of the records of each trace that the ledger has moved, all of them."""
    if not records:
        return
    before = (
        hashes if hashes is not None else moved(store, [trace for trace, record in records.items() if record.spans])
    )
    rows = [
        {
            "tenant": trace[0],
            "trace_id": trace[1],
            "version": version,
            "decided_at": now,
            "first_start": record.first_start,
            "state": record.state,
            "runs": list(record.runs),
            "spans": record.spans,
            "records": list(before.get(trace, ())),
        }
        for trace, record in sorted(records.items())
    ]
    token = f"sampled-{version}-{rows[0]['state']}-{len(rows)}-{rows[0]['trace_id']}"
    store.insert(TABLE, pa.Table.from_pylist(rows, schema=SCHEMAS[TABLE]), token)


def asked_for(store: Store, traces: Sequence[Trace], key: str, since: datetime | None) -> set[Trace]:
    """Return those of the traces that have a span which says that it is to be kept."""
    given = {"key": key, "since": micros(since - timedelta(days=1)) // 1_000_000 if since else 0}
    return _traces(store, "sampled_asked", traces, given)


def scored_below(store: Store, traces: Sequence[Trace], name: str, value: float) -> set[Trace]:
    """Return those of the traces with a score of that name that is lower."""
    return _traces(store, "sampled_scores", traces, {"name": name, "value": value})


def moved(store: Store, traces: Sequence[Trace]) -> dict[Trace, list[int]]:
    """Return hashes of the records of these traces that the ledger has moved already."""
    found: dict[Trace, list[int]] = {}
    for part in _parts(traces):
        for row in store.query(sql.load(_PACKAGE, "sampled_moved"), {"traces": part}).to_pylist():
            found[row["tenant"], row["trace_id"]] = row["records"]
    return found


def _traces(store: Store, statement: str, traces: Sequence[Trace], given: Mapping[str, Any]) -> set[Trace]:
    found: set[Trace] = set()
    for part in _parts(traces):
        rows = store.query(sql.load(_PACKAGE, statement), {"traces": part, **given}).to_pylist()
        found.update((row["tenant"], row["trace_id"]) for row in rows)
    return found


def _read(store: Store, statement: str, traces: Sequence[Trace]) -> list[tuple[Trace, Record, datetime]]:
    found = []
    for part in _parts(traces):
        found += [_of(row) for row in store.query(sql.load(_PACKAGE, statement), {"traces": part}).to_pylist()]
    return found


def _of(row: Mapping[str, Any]) -> tuple[Trace, Record, datetime]:
    record = Record(row["state"], tuple(row["runs"]), row["spans"], row["first_start"])
    return (row["tenant"], row["trace_id"]), record, row["decided_at"]


def _parts(traces: Sequence[Trace]) -> list[list[Trace]]:
    return [list(traces[first : first + _TRACES_A_QUERY]) for first in range(0, len(traces), _TRACES_A_QUERY)]
