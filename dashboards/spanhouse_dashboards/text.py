"""Values as people read them: unknown is a dash, never a zero; foreign text is made inert."""

from __future__ import annotations

import re
from datetime import UTC, datetime

UNKNOWN = "—"
RATIO_UNITS = frozenset({"1", "ratio", "share"})
"""Units of numbers between 0 and 1 that are read as percentages."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:^&=])")
_MINUTE = 60
_HOUR = 3600
_DAY = 86_400
_THOUSAND = 1_000
_MILLION = 1_000_000
_TEN = 10
_TEN_THOUSAND = 10_000
_SMALL_USD = 0.01
_LEAST_USD = 0.0001


def inert(value: object) -> str:
    """Return text that Streamlit's Markdown shows letter for letter: no link, icon, formula or HTML comes of it."""
    return _MARKDOWN.sub(r"\\\1", str(value).replace("\n", " "))


def count(value: float | None) -> str:
    """Return a whole number with thousands separators, or a dash."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def compact(value: float | None) -> str:
    """Return 950, 12.4k or 3.1M, or a dash."""
    if value is None:
        return UNKNOWN
    if abs(value) < _THOUSAND:
        return f"{value:.0f}" if value == int(value) else f"{value:.1f}"
    if abs(value) < _MILLION:
        return f"{value / _THOUSAND:.1f}k"
    return f"{value / _MILLION:.1f}M"


def usd(value: float | None) -> str:
    """Return dollars with as many digits as the size of the sum deserves, or a dash."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "$0"
    if abs(value) < _LEAST_USD:
        return "<$0.0001"
    return f"${value:,.4f}" if abs(value) < _SMALL_USD else f"${value:,.2f}"


def percent(value: float | None) -> str:
    """Return a ratio between 0 and 1 as a percentage with one decimal, or a dash."""
    return UNKNOWN if value is None else f"{value * 100:.1f}%"


def duration(milliseconds: float | None) -> str:
    """Return 0.4 ms, 320 ms, 4.2 s, 3m 05s, 2h 07m or 3d 04h, or a dash."""
    if milliseconds is None:
        return UNKNOWN
    if milliseconds < _THOUSAND:
        return f"{milliseconds:.{1 if milliseconds < _TEN else 0}f} ms"
    whole = round(milliseconds / _THOUSAND)
    if milliseconds < _MINUTE * _THOUSAND:
        return f"{milliseconds / _THOUSAND:.1f} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m {whole % _MINUTE:02d}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h {whole % _HOUR // _MINUTE:02d}m"
    return f"{whole // _DAY}d {whole % _DAY // _HOUR:02d}h"


def seconds(value: float | None) -> str:
    """Return `duration` of a number of seconds."""
    return duration(None if value is None else value * _THOUSAND)


def size(count: float | None) -> str:
    """Return bytes with a unit."""
    if count is None:
        return UNKNOWN
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:  # noqa: PLR2004 - the next unit
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def moment(value: str | None) -> datetime | None:
    """Return an API time (RFC 3339) as an aware UTC datetime, or None."""
    return datetime.fromisoformat(value).astimezone(UTC) if value else None


def clock(value: str | None) -> str:
    """Return an API time as `2026-03-01 12:00:05 UTC`, or a dash."""
    at = moment(value)
    return at.strftime("%Y-%m-%d %H:%M:%S UTC") if at else UNKNOWN


def age(value: str | None, now: datetime) -> str:
    """Return how long before `now` an API time was, as `4m 10s ago`, or a dash."""
    at = moment(value)
    return f"{seconds(max(0.0, (now - at).total_seconds()))} ago" if at else UNKNOWN


def known(value: object) -> str:
    """Return the value as text, or a dash where it is None or empty."""
    return UNKNOWN if value is None or value == "" else str(value)


def shortened(value: str | None, length: int = _TEN_THOUSAND) -> str:
    """Return text on one line, cut to `length` characters with an ellipsis, or a dash."""
    line = " ".join((value or "").split())
    if not line:
        return UNKNOWN
    return line if len(line) <= length else line[: length - 1] + "…"


def quantity(value: float | None, unit: str) -> str:
    """Return a metric's value in its unit (`1` is a ratio), or as a plain number."""
    match unit:
        case _ if unit in RATIO_UNITS:
            return percent(value)
        case "usd":
            return usd(value)
        case "s":
            return seconds(value)
        case "ms":
            return duration(value)
        case _:
            return compact(value)
