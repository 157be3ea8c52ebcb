"""Stored rows as typed Arrow tables with the API's names: for notebooks and files, where JSON loses types and time.

Unknown is null, times are microseconds in UTC, lists stay lists, objects are JSON text. An empty table has the same
columns as a full one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spanhouse_analysis.rows import AUDIT, CONTENT, MAPS, RUN, SPAN, STEP
from spanhouse_storage.payload import REFERENCES
from spanhouse_storage.reads import AUDIT_COLUMNS, CONTENT_COLUMNS, RUN_COLUMNS, SLIM_COLUMNS, STEP_COLUMNS
from spanhouse_storage.tables import SCHEMAS

_TIME: Final = pa.timestamp("us", "UTC")
_WHOSE_STEP: Final = ("tenant", "run_id", "agent", "environment")
_WHOSE_SPAN: Final = ("tenant", "environment", "run_id", "request_id", "session_id", "user_id")
"""What tells rows of many runs apart; ``run_id`` of a span is what the span itself says."""


def runs(table: pa.Table) -> pa.Table:
    """Return the API's ``Run`` of each row of ``runs`` read with ``RUN_COLUMNS``."""
    found = _named(table, RUN)
    found["complete"] = _complete(table)
    return pa.table(found)


def steps(table: pa.Table) -> pa.Table:
    """Return whose step it is and the API's ``Step`` of each row of ``steps``."""
    return pa.table(_named(table, (*_WHOSE_STEP, *STEP)))


def audit(table: pa.Table) -> pa.Table:
    """Return the API's ``AuditEvent`` of each row of ``audit_events``; ``data`` is JSON text."""
    return pa.table(_named(table, (*AUDIT, "data")))


def spans(table: pa.Table) -> pa.Table:
    """Return whose span it is and the API's ``Span`` of each row of ``spans``; its content where that was read."""
    renamed = table.rename_columns(["run_id" if name == "run_hint" else name for name in table.column_names])
    found = _named(renamed, (*_WHOSE_SPAN, *SPAN))
    # A record that was written when the span began has no end of its own.
    final = table["is_final"]
    found["end"] = pc.if_else(final, found["end"], pa.scalar(None, _TIME))
    found["ms"] = pc.if_else(final, pc.divide(pc.cast(table["duration_ns"], pa.float64()), 1e6), None)
    found["model"] = pc.coalesce(_known(table["response_model"]), _known(table["request_model"]))
    if "attributes" in table.column_names:
        found.update(_named(table, CONTENT))
        found.update({name: _objects(table, name) for name in MAPS})
    return pa.table(found)


TABLES: Final[Mapping[str, Callable[[pa.Table], pa.Table]]] = {
    "runs": runs,
    "spans": spans,
    "steps": steps,
    "audit": audit,
}
"""How the rows of each kind of bulk read become the API's."""


def schema(kind: str, *, content: bool = False) -> pa.Schema:
    """Return the columns of a kind of ``TABLES``, with the content of spans where asked for."""
    read = {
        "runs": RUN_COLUMNS,
        "spans": CONTENT_COLUMNS if content else SLIM_COLUMNS,
        "steps": STEP_COLUMNS,
        "audit": AUDIT_COLUMNS,
    }[kind]
    stored = SCHEMAS["audit_events" if kind == "audit" else kind]
    extra = pa.field("audit_stored", pa.uint32())
    empty = pa.schema([extra if name == extra.name else stored.field(name) for name in read]).empty_table()
    return TABLES[kind](empty).schema


def listed(kind: str, *, content: bool = False) -> pa.Schema:
    """Return the columns of a kind of ``TABLES`` as the lists of one run have them: without whose they are."""
    names = {"runs": (*RUN, "complete"), "steps": STEP, "audit": (*AUDIT, "data")}.get(kind)
    whole = schema(kind, content=content)
    if names is None:
        names = (*SPAN, "ms", "model", *((*CONTENT, *MAPS) if content else ()))
    return pa.schema([whole.field(name) for name in names])


def typed(rows: Sequence[Mapping[str, Any]], columns: pa.Schema) -> pa.Table:
    """Return rows of the API's JSON as a table with these columns; what a row does not have is null."""
    arrays = [pa.array([_cell(row.get(field.name), field.type) for row in rows], field.type) for field in columns]
    return pa.Table.from_arrays(arrays, schema=columns)


def _cell(value: Any, type_: pa.DataType) -> Any:  # noqa: ANN401 - any JSON value
    if value is None or pa.types.is_list(type_):
        return value
    if pa.types.is_boolean(type_):
        # The engine hands the result of a comparison over as a number.
        return bool(value)
    if pa.types.is_timestamp(type_):
        return datetime.fromisoformat(value)
    if pa.types.is_string(type_) and not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value


def _named(table: pa.Table, names: Sequence[str]) -> dict[str, Any]:
    return {name: _known(table[name]) for name in names}


def _known(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column with null for the empty text, and times as microseconds."""
    if pa.types.is_string(column.type):
        return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
    if pa.types.is_timestamp(column.type):
        return column.cast(_TIME, safe=False)
    if pa.types.is_list(column.type):
        return column.cast(pa.list_(pa.string()))
    return column


def _complete(table: pa.Table) -> pa.ChunkedArray:
    """Return whether all that the SDK made is stored; null where it did not say how much that is."""
    known = [
        pc.greater_equal(pc.cast(table[f"{kind}_stored"], pa.uint32()), table[f"{kind}_expected"])
        for kind in ("spans", "audit")
    ]
    unknown = pc.and_(pc.is_null(known[0]), pc.is_null(known[1]))
    both = pc.and_(pc.fill_null(known[0], fill_value=True), pc.fill_null(known[1], fill_value=True))
    return pc.if_else(unknown, pa.scalar(None, pa.bool_()), both)


def _objects(table: pa.Table, name: str) -> pa.Array:
    """Return a column of maps as JSON objects, with what stands in a column of its own put back."""
    maps = _whole(table[name])
    offsets = maps.offsets.to_numpy()
    first, pairs = int(offsets[0]), int(offsets[-1] - offsets[0])
    offsets = (offsets - first).astype(np.int32)
    row = np.repeat(np.arange(len(maps)), np.diff(offsets))
    keys, texts = maps.keys.slice(first, pairs), _restored(table, maps.items.slice(first, pairs), row)
    members = pc.binary_join_element_wise(_quoted(keys), _quoted(texts), ":")
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), members), ",")
    return pc.binary_join_element_wise("{", joined, "}", "")


def _restored(table: pa.Table, texts: pa.Array, row: np.ndarray[Any, np.dtype[np.int64]]) -> pa.Array:
    """Return texts with references to a column replaced by what the column holds in the text's row."""
    for reference, column in REFERENCES.items():
        at = pc.equal(texts, reference)
        rows = row[at.to_numpy(zero_copy_only=False)]
        if len(rows):
            texts = pc.replace_with_mask(texts, at, _whole(table[column]).take(pa.array(rows)))
    return texts


def _whole(column: pa.ChunkedArray) -> pa.Array:
    found = column.combine_chunks()
    return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) and found.num_chunks else found


def _quoted(texts: pa.Array) -> pa.Array:
    """Return texts as JSON strings."""
    distinct = pc.dictionary_encode(texts)
    quoted = pa.array([json.dumps(text, ensure_ascii=False) for text in distinct.dictionary.to_pylist()], pa.string())
    return quoted.take(distinct.indices)
