"""Readers: how one attribute's value becomes a column's value, whatever type the emitter chose to send it in.

A reader takes the value as it came and returns the column's value, or None where it says nothing usable; the raw
attribute is kept either way. None of them raises.
"""

from __future__ import annotations

import ast
import base64
import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import orjson

from spanhouse.canonical import canonical_json
from spanhouse_collector.wire import Value

Reader: TypeAlias = Callable[[Value], Any]

_UINT64_MAX: Final = 2**64 - 1
_UINT32_MAX: Final = 2**32 - 1
_MAX_UNWRAP: Final = 100_000
_MAX_DEPTH: Final = 100
_TRUE: Final = frozenset({"true", "1", "yes"})
_FALSE: Final = frozenset({"false", "0", "no"})


def as_text(value: Value) -> str:
    """Return the one text form of a value: strings as they are, anything else as canonical JSON (bytes in base64)."""
    if isinstance(value, str):
        return value
    return canonical_json(_jsonable(value))


def text(value: Value) -> str | None:
    """Return the value's text, None for an empty one."""
    if isinstance(value, str):
        return value or None
    return None if value is None else as_text(value)


def name(value: Value) -> str | None:
    """Return the text of an id or a name; one sent as a JSON string loses its quotes, one in a list its brackets."""
    if isinstance(value, list) and len(value) == 1:
        return name(value[0])
    found = text(value)
    if found is not None and found[0] == '"' and found[-1] == '"':
        inner = parsed(found)
        if isinstance(inner, str):
            return inner or None
    return found


def parsed(value: Value) -> Any:  # noqa: ANN401 - any JSON value
    """Return what a JSON text holds, or the value itself where it is no JSON or too deep to be written again."""
    if isinstance(value, str):
        try:
            found = orjson.loads(value)
        except ValueError:
            return value
        # Only a text with many brackets can be deep, so the walk is rarely taken.
        if value.count("[") + value.count("{") > _MAX_DEPTH and _deeper_than(found, _MAX_DEPTH):
            return value
        return found
    return value


def json_text(value: Any) -> str:  # noqa: ANN401 - a Value, or JSON holding some
    """Return the JSON text of a value in the order it came; bytes in base64, NaN and the infinities by name."""
    return orjson.dumps(_jsonable(value)).decode()


def count(value: Value) -> int | None:
    """Return a whole number from 0 to 2**64 - 1, also one sent as text or as a float."""
    if type(value) is int:
        return value if 0 <= value <= _UINT64_MAX else None
    as_float = number(value)
    return int(as_float) if as_float is not None and as_float.is_integer() and 0 <= as_float < _UINT64_MAX else None


def count32(value: Value) -> int | None:
    """Return a whole number from 0 to 2**32 - 1."""
    found = count(value)
    return found if found is not None and found <= _UINT32_MAX else None


def number(value: Value) -> float | None:
    """Return a finite number, also one sent as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def cost(value: Value) -> float | None:
    """Return a cost in US dollars, which is never negative."""
    found = number(value)
    return found if found is not None and found >= 0 else None


def milliseconds(value: Value) -> float | None:
    """Return a time sent in milliseconds."""
    return cost(value)


def seconds(value: Value) -> float | None:
    """Return a time sent in seconds, in milliseconds."""
    found = cost(value)
    return None if found is None else found * 1000


def flag(value: Value) -> bool | None:
    """Return a truth value, also one sent as text or as 0 and 1."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | str):
        said = str(value).strip().lower()
        return True if said in _TRUE else False if said in _FALSE else None
    return None


_FINISH: Final = {
    "end_turn": "stop",
    "completed": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "tool-calls": "tool_calls",
    "function_call": "tool_calls",
    "content-filter": "content_filter",
    "safety": "content_filter",
}


def finish_reasons(value: Value) -> list[str] | None:
    """Return the finish reasons under their common names, from a list, a JSON list, a comma list or one word."""
    found = parsed(value) if isinstance(value, str) and value[:1] in {"[", '"'} else value
    if isinstance(found, str):
        found = found.split(",")
    if not isinstance(found, list):
        return None
    words = [word.strip().lower() for word in found if isinstance(word, str) and word.strip()]
    return [_FINISH.get(word, word) for word in words] or None


def member(*path: str) -> Reader:
    """Return a reader of one member of a JSON object (or map value), by the names on the way to it."""

    def read(value: Value) -> Value:
        found = value
        if isinstance(found, str):
            if path[-1] not in found:
                return None
            found = parsed(found)
        for step in path:
            if not isinstance(found, dict):
                return None
            found = found.get(step)
        return found

    return read


def then(first: Reader, second: Reader) -> Reader:
    """Return a reader that reads with the first and reads what it found with the second."""

    def read(value: Value) -> Any:  # noqa: ANN401 - the second reader's own type
        found = first(value)
        return None if found is None else second(found)

    return read


def arguments(value: Value) -> str | None:
    """Return a tool call's arguments without the wrappers that frameworks put around them.

    ``{"args": [], "kwargs": {..}}`` and ``{"kwargs": {..}}`` give the inner object, ``{"input_str": "{'a': 1}", ..}``
    the object its Python literal means; anything else is given back as it came.
    """
    found = text(value)
    if found is None or not ('"kwargs"' in found or '"input_str"' in found) or len(found) > _MAX_UNWRAP:
        return found
    outer = parsed(found)
    if not isinstance(outer, dict):
        return found
    if isinstance(outer.get("kwargs"), dict) and set(outer) <= {"args", "kwargs", "sanitize_inputs_outputs"}:
        return as_text(outer["kwargs"]) if not outer.get("args") else found
    if isinstance(outer.get("input_str"), str):
        return _literal(outer["input_str"])
    return found


def _literal(source: str) -> str:
    try:
        # A literal can spell characters that UTF-8 has no form for.
        return as_text(ast.literal_eval(source)).encode("utf-8", "backslashreplace").decode()
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return source


def _deeper_than(value: Any, levels: int) -> bool:  # noqa: ANN401 - any JSON value
    layer = [value]
    for _ in range(levels):
        layer = [
            child
            for node in layer
            if isinstance(node, list | dict)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not layer:
            return False
    return True


def _jsonable(value: Any) -> Any:  # noqa: ANN401 - a Value, or what ast.literal_eval gives
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    return value
