"""Rows of the store's tables with every column filled in, so that a test names only what it is about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from spanhouse_storage.tables import SCHEMAS

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
FINAL = 1 << 60
_COUNTED = (
    *("model_calls", "model_errors", "tool_calls", "tool_errors", "tool_requests", "policy_denials", "loops"),
    *("cycle_length", "retries"),
)


def rows(table: str, *given: dict[str, Any]) -> pa.Table:
    """Return a table of rows: what is given, else empty, zero, or noon of a Wednesday in 2026."""
    schema = SCHEMAS[table]
    full = [{field.name: row.get(field.name, _empty(field)) for field in schema} for row in given]
    return pa.Table.from_pylist(full, schema=schema)


def span(trace_id: str = "t1", span_id: str = "s1", **columns: Any) -> dict[str, Any]:
    """Return a finished span of the tenant acme; `bucket` follows `start`."""
    start = columns.get("start", NOON)
    bucket = start.replace(microsecond=0) if isinstance(start, datetime) else NOON
    own = {"tenant": "acme", "trace_id": trace_id, "span_id": span_id, "bucket": bucket, "is_final": True}
    return {**own, "version": FINAL, "name": "call", **columns}


def run(run_id: str = "r1", **columns: Any) -> dict[str, Any]:
    """Return an ended run of the tenant acme that finished and whose calls are known to be none."""
    none: dict[str, Any] = {**dict.fromkeys(_COUNTED, 0), "retry_storm": False}
    own = {
        **none,
        "tenant": "acme",
        "run_id": run_id,
        "trace_id": "t1",
        "version": 1,
        "type": "agent",
        "status": "ended",
    }
    return {**own, "stop_reason": "finish", "stop_code": "finish", **columns}


def _empty(field: pa.Field) -> Any:
    if field.nullable:
        return None
    if pa.types.is_timestamp(field.type):
        return NOON
    if pa.types.is_string(field.type):
        return ""
    if pa.types.is_list(field.type) or pa.types.is_map(field.type):
        return []
    if field.name == "weight":
        return 1.0
    return False if pa.types.is_boolean(field.type) else 0
