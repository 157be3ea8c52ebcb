"""Cumulative windows: the day, week or month of a time zone that a moment falls in, across clock changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Span = Literal["day", "week", "month"]


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time in UTC, ``start`` included and ``end`` not, and the local name of its start."""

    start: datetime
    end: datetime
    label: str


def window_at(span: Span, tz: str, at: datetime) -> Window:
    """Return the day, week (from Monday) or month of a time zone that holds the moment ``at``.

    A local day has 23 or 25 hours where clocks change in it. ``label`` is the window's first local midnight, such as
    ``2026-03-29T00:00:00+01:00``.
    """
    zone = ZoneInfo(tz)
    day = at.astimezone(zone).date()
    if span == "week":
        day -= timedelta(days=day.weekday())
    elif span == "month":
        day = day.replace(day=1)
    start = _midnight(day, zone)
    return Window(start.astimezone(UTC), _midnight(_next(span, day), zone).astimezone(UTC), start.isoformat())


def _next(span: Span, day: date) -> date:
    match span:
        case "day":
            return day + timedelta(days=1)
        case "week":
            return day + timedelta(days=7)
        case "month":
            return (day.replace(day=28) + timedelta(days=4)).replace(day=1)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    # fold=0: of two midnights the first starts the day; of a skipped one, the moment of the change does.
    return datetime.combine(day, time.min, zone)
