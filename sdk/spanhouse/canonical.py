"""One spelling for equal values, so that equal arguments hash alike whatever their key order or number format."""

from __future__ import annotations

import hashlib
import json
import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

_ENCODE: Final = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False, check_circular=False
).encode


def canonical_json(value: Any) -> str:  # noqa: ANN401 - any JSON-like value
    """Return the one JSON text for a value: sorted keys, NFC strings, whole floats as integers, no spaces.

    Values JSON has no form for (sets, dataclasses, exceptions) are written as their ``repr``; NaN and the infinities as
    the strings "NaN", "Infinity", "-Infinity"; a value that holds itself or is nested beyond what Python can
    walk as its ``repr`` too. So hashing never fails on an argument.
    """
    try:
        return _ENCODE(value if is_plain(value) else _plain(value))
    except (RecursionError, ValueError):
        # Nested too deep, or a number of more digits than Python writes.
        return json.dumps(shown(value).encode("utf-8", "backslashreplace").decode(), ensure_ascii=False)


def is_plain(value: object) -> bool:
    """Return whether a value is its own canonical form and JSON as it is: what most arguments are, told cheaply.

    That is ASCII text, numbers, truth values and None in a dict with ASCII keys, and such text alone.
    """
    if type(value) is dict:
        for key, item in value.items():
            if type(key) is not str or not key.isascii():
                return False
            kind = type(item)
            if kind is str:
                if not item.isascii():
                    return False
            elif kind is float:
                # False for whole numbers, NaN and the infinities, which are written otherwise.
                if not 0 < item % 1 < 1:
                    return False
            elif kind is not int and kind is not bool and item is not None:
                return False
        return True
    return type(value) is str and value.isascii()


def shown(value: object) -> str:
    """Return the ``repr`` of any object, or what stands for one that cannot even show itself."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - the object is the agent's, and recording it must not end the agent
        return f"<{type(value).__name__} without a repr>"


def args_hash(arguments: Any) -> str:  # noqa: ANN401 - any JSON-like value
    """Return the hash of a call's arguments: 16 lower-case hex digits of SHA-256 over their canonical JSON.

    A string that holds a JSON object or array is hashed as what it holds, since frameworks send arguments either way.
    """
    if isinstance(arguments, str):
        stripped = arguments.strip()
        if stripped[:1] in {"{", "["}:
            try:
                arguments = json.loads(stripped)
            except ValueError:
                arguments = stripped
    return hashlib.sha256(canonical_json(arguments).encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:  # noqa: ANN401, PLR0911 - one branch a kind of value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        # A lone surrogate has no UTF-8 form; it is kept as an escape so that hashing goes on.
        return unicodedata.normalize("NFC", value.encode("utf-8", "backslashreplace").decode())
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping):
        return {str(_plain(k if isinstance(k, str) else shown(k))): _plain(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_plain(v) for v in value]
    return shown(value)
