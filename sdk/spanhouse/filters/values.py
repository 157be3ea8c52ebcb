"""Values of a filter as people write them: durations, money, sizes, times and ages, numbers, flags."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from spanhouse.filters.fields import Field, Kind
from spanhouse.filters.nodes import EARLIEST, LATEST, LONGEST_AGE, Age, Value

_COUNTS: Final = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
_SIZES: Final = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
SECONDS: Final = {"w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER: Final = r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[wdhms]))+")
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[wdhms])")
_FLAGS: Final = {"true": True, "yes": True, "false": False, "no": False}


def value_of(field: Field, token: str, *, quoted: bool) -> Value:
    """Return what a token means as a value of the field.

    Raises:
        ValueError: it is none; the message says what may stand there.
    """
    kind = field.kind
    if kind in {Kind.TEXT, Kind.SEARCH, Kind.LIST}:
        return token
    if kind is Kind.VALUE:
        return token if quoted or not re.fullmatch(_NUMBER, token) else _finite(float(token))
    found = _READERS[kind](token)
    if found is None:
        msg = f"{token[:60]!r} is no value of {field.name}: write {kind.example}"
        raise ValueError(msg)
    return found


def _finite(number: float) -> float:
    if not math.isfinite(number):
        msg = "the number is too large"
        raise ValueError(msg)
    # There is no telling -0.0 from 0.0 in any comparison.
    return number + 0.0


def _number(token: str) -> float | None:
    match = re.fullmatch(f"({_NUMBER})([kKMG]?)", token)
    return _finite(float(match[1]) * _COUNTS[match[2]]) if match else None


def _money(token: str) -> float | None:
    bare = token.removeprefix("$") if token.startswith("$") else re.sub(r"(?i)usd$", "", token).rstrip()
    return _number(bare)


def _size(token: str) -> float | None:
    match = re.fullmatch(f"({_NUMBER})([A-Za-z]*)", token)
    return _finite(float(match[1]) * _SIZES[match[2]]) if match and match[2] in _SIZES else None


def _duration(token: str) -> float | None:
    if not _DURATION.fullmatch(token):
        return None
    return _finite(math.fsum(float(size) * SECONDS[unit] for size, unit in _DURATION_PART.findall(token)))


def _seconds(token: str) -> float | None:
    return _finite(float(token)) if re.fullmatch(_NUMBER, token) else _duration(token)


def _milliseconds(token: str) -> float | None:
    if re.fullmatch(_NUMBER, token):
        return _finite(float(token))
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)ms", token):
        return _finite(float(match[1]))
    seconds = _duration(token)
    return None if seconds is None else _finite(seconds * 1000)


def _flag(token: str) -> bool | None:
    return _FLAGS.get(token.lower())


def _time(token: str) -> datetime | Age | None:
    seconds = _duration(token)
    if seconds is not None:
        return Age(round(min(seconds, LONGEST_AGE), 6))
    try:
        found = datetime.fromisoformat(token)
    except ValueError:
        return None
    aware = found if found.tzinfo else found.replace(tzinfo=UTC)
    try:
        return min(max(aware.astimezone(UTC), EARLIEST), LATEST)
    except OverflowError:
        return None


_READERS: Final[dict[Kind, Callable[[str], Value | None]]] = {
    Kind.NUMBER: _number,
    Kind.FIGURE: _number,
    Kind.MONEY: _money,
    Kind.SIZE: _size,
    Kind.SECONDS: _seconds,
    Kind.SPENT: _seconds,
    Kind.MILLISECONDS: _milliseconds,
    Kind.TIME: _time,
    Kind.FLAG: _flag,
}
