"""Stored log records read again: what they tell beside themselves, by the mappings of today.

A record keeps its identity, times and tenant; what follows from its attributes and its body is worked out anew. That
their types are gone does not matter, since readers of attributes take texts as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa

from spanhouse_collector.normalise import times
from spanhouse_collector.normalise.columns import Columns
from spanhouse_collector.normalise.derived import Derived
from spanhouse_collector.normalise.plan import read_columns
from spanhouse_collector.prices import Prices
from spanhouse_collector.wire import Value
from spanhouse_storage.derived import BODY_STRUCTURED, SPAN_PLACED, TRACE_PLACED
from spanhouse_storage.tables import SCHEMAS

_READ: Final = ("request_id", "session_id", "user_id")
_WANTED: Final = frozenset(_READ)
_COLLECTOR: Final = 0xFF


def relogged(stored: pa.Table, now_us: int, prices: Prices) -> dict[str, pa.Table]:
    """Return the rows of ``logs``, in their order, and those of the tables they tell something of.

    Args:
        stored: rows of ``logs``, oldest receipt first, so that of two that tell of one span the later wins as it did.
        now_us: becomes their time of receipt, microseconds since the epoch; later than theirs in any case.
        prices: for calls whose cost nobody reports.
    """
    derived = Derived(prices)
    logs = [_again(row, now_us, derived) for row in _plain(stored)]
    found = {"logs": _table("logs", logs)}
    return found | {name: _table(name, rows) for name, rows in derived.rows.items() if rows}


def _again(row: dict[str, Any], now_us: int, derived: Derived) -> dict[str, Any]:
    entries = [(key, text, text) for key, text in row["attributes"]]
    joined = read_columns(row["scope_name"], entries, _WANTED)
    received = max(row["received_at"] + 1, now_us)
    row |= {name: joined.get(name) or "" for name in _READ}
    row["received_at"] = received
    row["version"] = times.version(final=True, received_us=received, collector=row["version"] & _COLLECTOR)
    if row["flags"] & TRACE_PLACED:
        row["trace_id"] = ""
    if row["flags"] & SPAN_PLACED:
        row["span_id"] = ""
    said: Mapping[str, Value] = {key: text for key, _, text in reversed(entries)}
    structured = bool(row["flags"] & BODY_STRUCTURED)
    row["flags"] &= ~(TRACE_PLACED | SPAN_PLACED)
    derived.add(row, said, _body(row["body"], structured=structured))
    return row


def _body(text: str, *, structured: bool) -> Value:
    if not structured:
        return text or None
    found: Value = json.loads(text)
    return found


def _plain(stored: pa.Table) -> list[dict[str, Any]]:
    # Times as whole numbers: Python's own hold no nanoseconds.
    for name in ("time", "received_at", "bucket"):
        stored = stored.set_column(stored.column_names.index(name), name, stored.column(name).cast(pa.int64()))
    rows: list[dict[str, Any]] = stored.to_pylist()
    return rows


def _table(table: str, rows: list[dict[str, Any]]) -> pa.Table:
    columns = Columns(SCHEMAS[table])
    columns.rows(rows)
    return columns.table(len(rows))


def newest(spans: pa.Table) -> pa.Table:
    """Return of the rows that stand for one span the one that wins in the store: the highest version, then the last."""
    order = np.lexsort((np.arange(spans.num_rows), spans.column("version").to_numpy()))
    keys = list(zip(*(spans.column(name).to_pylist() for name in ("tenant", "trace_id", "span_id")), strict=True))
    last = {keys[number]: int(number) for number in order}
    return spans.take(pa.array(sorted(last.values()), pa.int64()))
