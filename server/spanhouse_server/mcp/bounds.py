"""Answers small enough to read: long texts are cut and marked, long lists end early and say so."""

from __future__ import annotations

import json
from typing import Any, Final

LARGEST: Final = 40_000
"""Characters of an answer; a model pays for every one."""

LONGEST_TEXT: Final = 2_000
_SHORTEST_TEXT: Final = 100


def fitted(value: Any, largest: int = LARGEST) -> str:  # noqa: ANN401 - any JSON value
    """Return JSON of a value in at most `largest` characters.

    Texts are cut to 2,000 characters, then shorter until the whole fits; if that is not enough, the longest list ends
    early. What was cut is marked where it was.
    """
    length = LONGEST_TEXT
    while True:
        text = _json(_cut(value, length))
        if len(text) <= largest:
            return text
        if length <= _SHORTEST_TEXT:
            break
        length //= 2
    most = 64
    while most:
        text = _json(_shorter(_cut(value, length), most))
        if len(text) <= largest:
            return text
        most //= 2
    return _json({"too_large": f"the answer has {len(text):,} characters: ask for less"})


def _json(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _cut(value: Any, length: int) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return value if len(value) <= length else f"{value[:length]}… [{len(value) - length:,} characters cut]"
    if isinstance(value, dict):
        return {key: _cut(each, length) for key, each in value.items()}
    return [_cut(each, length) for each in value] if isinstance(value, list) else value


def _shorter(value: Any, most: int) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {key: _shorter(each, most) for key, each in value.items()}
    if not isinstance(value, list):
        return value
    kept = [_shorter(each, most) for each in value[:most]]
    return kept if len(value) <= most else [*kept, f"[{len(value) - most:,} more left out]"]
