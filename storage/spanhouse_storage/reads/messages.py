"""Reading messages of spans that came in log records."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from spanhouse_storage import sql
from spanhouse_storage.contract import Store
from spanhouse_storage.tables import SCHEMAS

_COLUMNS = (
    *("tenant", "trace_id", "span_id", "record_id", "time"),
    *("input", "output", "system_instructions", "tool_definitions"),
)
_TRACES_A_QUERY = 1_000
_FEW = 20
"""Most agents send no messages in log records; before many traces are asked about, it is asked whether anyone does."""


def messages_of_traces(
    store: Store, traces: Sequence[tuple[str, str]], span_ids: Sequence[str] | None = None
) -> pa.Table:
    """Return what log records say of the spans of traces `(tenant, trace_id)`, in the order it was said.

    Columns: `tenant, trace_id, span_id, record_id, time, input, output, system_instructions, tool_definitions`; each
    text is a JSON array or empty. `span_ids` narrows it to some spans; None means all.
    """
    if len(traces) > _FEW and not store.query("SELECT 1 FROM messages LIMIT 1").num_rows:
        traces = ()
    chosen = "1" if span_ids is None else "span_id IN {spans:Array(String)}"
    statement = sql.compose("spanhouse_storage", "messages_of_traces", chosen=chosen)
    parameters = {} if span_ids is None else {"spans": list(span_ids)}
    tables = [
        store.query(statement, {**parameters, "traces": list(traces[first : first + _TRACES_A_QUERY])})
        for first in range(0, len(traces), _TRACES_A_QUERY)
    ]
    return (
        pa.concat_tables(tables)
        if tables
        else pa.schema([SCHEMAS["messages"].field(c) for c in _COLUMNS]).empty_table()
    )
