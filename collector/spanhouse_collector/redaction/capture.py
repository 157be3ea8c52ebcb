"""Rows without content, for tenants that do not want it stored: sizes and hashes stay, texts go."""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spanhouse import attributes as own
from spanhouse_collector.conventions import CONVENTIONS
from spanhouse_collector.conventions.genai_events import EVENT_NAMES
from spanhouse_collector.conventions.readers import json_text
from spanhouse_collector.redaction.maps import FlatMap, replaced
from spanhouse_storage.payload import COLUMNS, REFERENCES

_SOURCES: Final = frozenset(
    {
        *("input_messages", "output_messages", "tool_arguments", "tool_result", "preview_input", "preview_output"),
        *("system_instructions", "tool_definitions"),
    }
)
_KEYS: Final = frozenset(
    key for each in CONVENTIONS for source in each.sources if source.column in _SOURCES for key in source.keys
) | {"prompt", "completion", "response", "request_text", "response_text", "content", "message", "tool_calls"}
_PREFIXES: Final = (
    *(prefix for each in CONVENTIONS for prefix in each.message_prefixes),
    *("retrieval.documents.", "embedding.embeddings.", "reranker.", "llm.prompt", "llm.completions"),
)
_LONGEST: Final = 500
"""Characters of an attribute that is known for no content; what is longer is taken for some."""
_EXCEPTION: Final = "exception."
_EVENTS: Final = EVENT_NAMES | {"gen_ai.content.prompt", "gen_ai.content.completion"}


def without_content(table: str, rows: pa.Table, off: np.ndarray) -> pa.Table:
    """Return the rows of a table; those marked true without what went into and came out of models, tools and runs.

    Spans keep ``spanhouse.input.bytes`` and ``spanhouse.output.bytes`` and say ``content_captured`` = false.
    """
    if not off.any() or table not in _TABLES:
        return rows
    changed = _TABLES[table](rows, off)
    for name, column in changed.items():
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), column)
    return rows


CONTENT_KEYS: Final = tuple(sorted(_KEYS))
CONTENT_PREFIXES: Final = _PREFIXES
"""How content's attributes are named, for what removes content later."""


def is_content(key: str) -> bool:
    """Return whether an attribute of this key holds content, by any convention."""
    return key in _KEYS or key.startswith(_PREFIXES)


def _spans(rows: pa.Table, off: np.ndarray) -> dict[str, pa.Array]:
    changed: dict[str, pa.Array] = {name: _emptied(rows[name], off) for name in COLUMNS}
    changed["content_captured"] = pc.and_(rows["content_captured"], pa.array(~off))
    changed["events"] = _events(rows["events"].combine_chunks(), off)
    flat = _attributes(rows, off)
    for column, key in (("input", own.INPUT_BYTES), ("output", own.OUTPUT_BYTES)):
        _note_size(flat, rows[column], key, off)
    # Said among the attributes too, from which a span is normalised again when a mapping was mended.
    rows_off = np.flatnonzero(off)
    flat.put(own.CONTENT_CAPTURED, rows_off, ["false"] * len(rows_off))
    changed["attributes"] = flat.array()
    return changed


def _logs(rows: pa.Table, off: np.ndarray) -> dict[str, pa.Array]:
    events = pc.not_equal(rows["event_name"], "").to_numpy()
    long = pc.greater(pc.binary_length(rows["body"]), _LONGEST).to_numpy()
    gone = off & (events | long)
    flat = _attributes(rows, off)
    _note_size(flat, rows["body"], own.BODY_BYTES, gone)
    return {"body": _emptied(rows["body"], gone), "attributes": flat.array()}


def _messages(rows: pa.Table, off: np.ndarray) -> dict[str, pa.Array]:
    return {name: _emptied(rows[name], off) for name in COLUMNS}


def _scores(rows: pa.Table, off: np.ndarray) -> dict[str, pa.Array]:
    return {"explanation": _emptied(rows["explanation"], off)}


def _metric_points(rows: pa.Table, off: np.ndarray) -> dict[str, pa.Array]:
    return {"attributes": _attributes(rows, off).array()}


_TABLES: Final = {
    "spans": _spans,
    "logs": _logs,
    "messages": _messages,
    "scores": _scores,
    "metric_points": _metric_points,
}


def _emptied(column: pa.ChunkedArray, off: np.ndarray) -> pa.ChunkedArray:
    return pc.if_else(pa.array(off), "", column)


def _attributes(rows: pa.Table, off: np.ndarray) -> FlatMap:
    flat = FlatMap(rows["attributes"].combine_chunks())
    content = flat.with_key([key for key in pc.unique(flat.keys).to_pylist() if is_content(key)])
    long = pc.greater(pc.binary_length(flat.items), _LONGEST).to_numpy(zero_copy_only=False)
    moved = pc.is_in(flat.items, pa.array(list(REFERENCES), pa.string())).to_numpy(zero_copy_only=False)
    flat.remove((content | long | moved) & off[flat.rows()])
    return flat


def _note_size(flat: FlatMap, column: pa.ChunkedArray, key: str, off: np.ndarray) -> None:
    sizes = pc.binary_length(column).to_numpy()
    rows = np.flatnonzero(off & (sizes > 0))
    if len(rows):
        flat.put(key, rows, [str(size) for size in sizes[rows]])


def _events(events: pa.Array, off: np.ndarray) -> pa.Array:
    positions = np.flatnonzero(off & pc.not_equal(events, "").to_numpy(zero_copy_only=False)).tolist()
    if not positions:
        return events
    values = [json_text([_event(event) for event in json.loads(events[row].as_py())]) for row in positions]
    return replaced(events, positions, values)


def _event(event: dict[str, Any]) -> dict[str, Any]:
    kept = {} if event["name"] in _EVENTS else {k: v for k, v in event["attributes"].items() if _is_kept(k, v)}
    return {**event, "attributes": kept}


def _is_kept(key: str, value: Any) -> bool:  # noqa: ANN401 - a value of JSON
    return key.startswith(_EXCEPTION) or not (is_content(key) or len(str(value)) > _LONGEST)
