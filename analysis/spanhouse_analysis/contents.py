"""What spans said at length where log records carry it: put into the spans wherever these are silent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

import polars as pl

from spanhouse_analysis import frames, rows
from spanhouse_storage import Store
from spanhouse_storage.reads import messages_of_traces

_COLUMNS: Final = ("input", "output", "system_instructions", "tool_definitions")
_SPAN: Final = ["tenant", "trace_id", "span_id"]


def filled(store: Store, tenant: str, trace_id: str, spans: Sequence[rows.Json]) -> list[rows.Json]:
    """Return the API's spans of one trace, content included, with what log records say of silent ones."""
    silent = [span["span_id"] for span in spans if span["input"] is None or span["output"] is None]
    if not silent:
        return list(spans)
    texts = _texts(frames.from_table(messages_of_traces(store, [(tenant, trace_id)], silent)))
    result = []
    for span in spans:
        said = texts.get((tenant, trace_id, span["span_id"]), {})
        missing = {name: json.loads(text) for name, text in said.items() if text and span[name] is None}
        result.append({**span, **missing} if missing else span)
    return result


def with_messages(store: Store, payload: pl.DataFrame) -> pl.DataFrame:
    """Return rows of ``tenant``, ``trace_id``, ``span_id``, ``input`` and ``output``, filled from log records."""
    silent = payload.filter((pl.col("input") == "") | (pl.col("output") == ""))
    if silent.is_empty():
        return payload
    traces = list(silent.select("tenant", "trace_id").unique(maintain_order=True).iter_rows())
    texts = _texts(frames.from_table(messages_of_traces(store, traces)))
    if not texts:
        return payload
    said = pl.DataFrame(
        [(*span, found.get("input", ""), found.get("output", "")) for span, found in texts.items()],
        schema=dict.fromkeys([*_SPAN, "said_input", "said_output"], pl.String),
        orient="row",
    )
    joined = payload.join(said, on=_SPAN, how="left", maintain_order="left")
    return joined.with_columns(
        pl.when(pl.col(name) == "").then(pl.col(f"said_{name}").fill_null("")).otherwise(name).alias(name)
        for name in ("input", "output")
    ).select(payload.columns)


def answered(store: Store, traces: Sequence[tuple[str, str]]) -> pl.DataFrame:
    """Return the spans (``tenant``, ``trace_id``, ``span_id``) of traces to which a log record holds an answer."""
    found = frames.from_table(messages_of_traces(store, traces))
    return found.filter(pl.col("output") != "").select(_SPAN).unique(maintain_order=True)


def _texts(messages: pl.DataFrame) -> dict[tuple[str, str, str], dict[str, str]]:
    """Several records of one span are its messages one after another; what was said twice stands once."""
    parts: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for tenant, trace, span, *texts in messages.select(*_SPAN, *_COLUMNS).iter_rows():
        known = parts.setdefault((tenant, trace, span), {name: [] for name in _COLUMNS})
        for name, text in zip(_COLUMNS, texts, strict=True):
            if text and text not in known[name]:
                known[name].append(text)
    return {span: {name: _chained(texts) for name, texts in found.items() if texts} for span, found in parts.items()}


def _chained(texts: Iterable[str]) -> str:
    items: list[Any] = []
    for text in texts:
        value = json.loads(text)
        items.extend(value if isinstance(value, list) else [value])
    return json.dumps(items, ensure_ascii=False, separators=(",", ":"))
