"""Durations as people write them in rules: ``30s``, ``5m``, ``1h30m``, ``7d``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PATTERN = r"^([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$"
_LONGEST = timedelta(days=366)


def parse_duration(text: object) -> timedelta:
    """Return the duration a text such as ``30s``, ``5m``, ``1h30m`` or ``7d`` stands for.

    Raises:
        ValueError: the text is no duration, names none, or is longer than 366 days; the message shows the form.
    """
    if isinstance(text, timedelta):
        return text
    if isinstance(text, bool) or not isinstance(text, str):
        # YAML 1.1 reads 1:30 as the number 90, and a bare 5 has no unit: both must be written out.
        msg = f"{text!r} is not a duration: write a number with a unit, such as 30s, 5m, 1h or 7d"
        raise ValueError(msg)  # noqa: TRY004 - pydantic turns ValueError alone into a finding
    match = re.fullmatch(_PATTERN[1:-1], text)
    if not text or match is None:
        msg = f"{text!r} is not a duration: write a number with a unit, such as 30s, 5m, 1h or 7d"
        raise ValueError(msg)
    seconds = sum(int(part[:-1]) * _UNITS[part[-1]] for part in match.groups() if part)
    if seconds > _LONGEST.total_seconds():
        msg = f"{text!r} is longer than 366d, the longest duration a rule can name"
        raise ValueError(msg)
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """Return the shortest text that `parse_duration` reads back, in whole seconds.

    >>> format_duration(timedelta(minutes=90))
    '1h30m'
    """
    left = int(duration.total_seconds())
    parts = []
    for unit, size in _UNITS.items():
        if unit != "w" and left >= size:
            parts.append(f"{left // size}{unit}")
            left %= size
    return "".join(parts) or "0s"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": _PATTERN, "examples": ["30s", "5m", "1h", "7d"]}),
]
"""A field that takes a duration text and holds a timedelta."""
