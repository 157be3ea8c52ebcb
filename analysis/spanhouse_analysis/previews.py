"""What a run was asked and what it answered, as one line of plain text each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import polars as pl

PREVIEW_LENGTH: Final = 500
_TEXT_KEYS: Final = ("content", "text", "parts", "message", "output", "result", "input", "query", "question", "task")


def asked(text: str) -> str:
    """Return what a person asked, from a span's input: the last thing a user said, else the text itself."""
    return _shorten(_said(text, ("user", "human")))


def answered(text: str) -> str:
    """Return what an agent answered, from a span's output: the last thing it said, else the text itself."""
    return _shorten(_said(text, ("assistant", "model", "ai")))


def _shorten(text: str) -> str:
    return " ".join(text.split())[:PREVIEW_LENGTH]


def _said(text: str, roles: tuple[str, ...]) -> str:
    if text[:1] not in {"[", "{", '"'}:
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    messages = value if isinstance(value, list) else value.get("messages", []) if isinstance(value, dict) else []
    spoken = [
        words
        for message in messages
        if isinstance(message, dict) and str(message.get("role", "")).lower() in roles
        for words in [" ".join(_words(message.get("parts", message.get("content", ""))))]
        if words.strip()
    ]
    return spoken[-1] if spoken else " ".join(_words(value)) or text


def _words(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    """Yield the texts of a message in their order, leaving out ids, tool calls and their like."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _words(item)
    elif isinstance(value, dict) and value.get("type", "text") in {"text", "input_text", "output_text"}:
        for key in _TEXT_KEYS:
            if key in value:
                yield from _words(value[key])
                return


def with_previews(runs: pl.DataFrame, wanted: pl.DataFrame, payload: pl.DataFrame) -> pl.DataFrame:
    """Return the run rows with ``input_preview`` and ``output_preview`` filled in where a span holds the text.

    Args:
        runs: rows of ``runs``.
        wanted: which spans to look at, see ``facts.Facts.previews``.
        payload: ``tenant``, ``trace_id``, ``span_id``, ``input`` and ``output`` of those spans.
    """
    texts = {(row[0], row[1], row[2]): (row[3], row[4]) for row in payload.iter_rows()}
    nothing = ("", "")
    found = []
    for tenant, trace, run, root, first, last in wanted.select(
        "tenant", "trace_id", "run_id", "root_span", "first_call", "last_call"
    ).iter_rows():
        own = texts.get((tenant, trace, root), nothing)
        question = own[0] or texts.get((tenant, trace, first), nothing)[0]
        answer = own[1] or texts.get((tenant, trace, last), nothing)[1]
        found.append((tenant, trace, run, asked(question), answered(answer)))
    names = ["tenant", "trace_id", "run_id", "input_preview", "output_preview"]
    known = pl.DataFrame(found, schema=dict.fromkeys(names, pl.String), orient="row")
    joined = runs.drop(names[3:]).join(known, on=names[:3], how="left", maintain_order="left")
    return joined.with_columns(pl.col(names[3:]).fill_null("")).select(runs.columns)
