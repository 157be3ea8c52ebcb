"""What a run was asked and what it answered, as one line of plain text each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import polars as pl

PREVIEW_LENGTH: Final = 500
_TEXT_KEYS: Final = ("content", "text", "parts", "message", "output", "result", "input", "query", "question", "task")


def asked(*texts: str) -> str:
    """Return what a person asked, from inputs of spans, the likeliest first: the last thing a user said in one.

    Where none is a conversation, the first text stands for itself.
    """
    return _shorten(_said(texts, ("user", "human")))


def answered(*texts: str) -> str:
    """Return what an agent answered, from outputs of spans, the likeliest first: the last thing it said in one.

    Where none is a conversation, the first text stands for itself.
    """
    return _shorten(_said(texts, ("assistant", "model", "ai")))


def _shorten(text: str) -> str:
    return " ".join(text.split())[:PREVIEW_LENGTH]


def _said(texts: Sequence[str], roles: tuple[str, ...]) -> str:
    read = [_read(text) for text in texts if text]
    for value in read:
        # Plain words, and a conversation with words of that role, are what was said; other JSON is a framework's state.
        if isinstance(value, str):
            return value
        if spoken := _spoken(value, roles):
            return spoken
    return next((" ".join(_words(value)) or text for value, text in zip(read, filter(None, texts), strict=True)), "")


def _read(text: str) -> Any:  # noqa: ANN401 - any JSON value
    if text[:1] not in {"[", "{", '"'}:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _spoken(value: Any, roles: tuple[str, ...]) -> str:  # noqa: ANN401 - any JSON value
    messages = value.get("messages", []) if isinstance(value, dict) else value
    spoken = ""
    for message in messages if isinstance(messages, list) else []:
        if not isinstance(message, dict):
            continue
        # LangChain names the role "type" and puts the rest one level down.
        inner = message.get("data", message.get("kwargs"))
        said = inner if isinstance(inner, dict) else message
        role = message.get("role") or (said.get("type") if inner else message.get("type")) or message.get("type")
        if str(role).lower() in roles:
            words = " ".join(_words(said.get("parts", said.get("content", ""))))
            spoken = words if words.strip() else spoken
    return spoken


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
        question = asked(own[0], texts.get((tenant, trace, first), nothing)[0])
        answer = answered(own[1], texts.get((tenant, trace, last), nothing)[1])
        found.append((tenant, trace, run, question, answer))
    names = ["tenant", "trace_id", "run_id", "input_preview", "output_preview"]
    known = pl.DataFrame(found, schema=dict.fromkeys(names, pl.String), orient="row")
    joined = runs.drop(names[3:]).join(known, on=names[:3], how="left", maintain_order="left")
    return joined.with_columns(pl.col(names[3:]).fill_null("")).select(runs.columns)
