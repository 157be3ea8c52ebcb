"""The times a caller names: RFC 3339, or how long ago."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from spanhouse_server.api.problems import Problem
from spanhouse_server.settings import parse_age

_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST = datetime(2262, 1, 1, tzinfo=UTC)
"""Between these the store's nanoseconds fit; nothing it holds lies outside, so a bound may be moved there."""
_LONGEST_AGE_SECONDS = (_LATEST - _EARLIEST).total_seconds()


def window(since: str | None, until: str | None, now: datetime) -> tuple[datetime | None, datetime | None]:
    """Return the times that ``since`` and ``until`` mean, None for a side that is open.

    Raises:
        Problem: 400; one cannot be read, or they are the wrong way round.
    """
    start, end = moment(since, "since", now), moment(until, "until", now)
    if start and end and start > end:
        detail = f"since ({start.isoformat()}) is after until ({end.isoformat()}); swap them"
        raise Problem(HTTPStatus.BAD_REQUEST, "The window is empty", detail)
    return start, end


def moment(value: str | None, name: str, now: datetime) -> datetime | None:
    """Return the time a parameter means: RFC 3339, or an age such as ``24h`` before now; None where it is empty.

    Raises:
        Problem: 400; it is neither.
    """
    if not value:
        return None
    try:
        found = _age(value, now) if value[-1] in "smhd" else _date(value)
    except ValueError:
        detail = f"{name}={value[:100]!r} is neither an RFC 3339 time (2026-01-31T00:00:00Z) nor an age (15m, 24h, 7d)"
        raise Problem(HTTPStatus.BAD_REQUEST, "A time cannot be read", detail) from None
    return min(max(found, _EARLIEST), _LATEST)


def _age(value: str, now: datetime) -> datetime:
    return now - timedelta(seconds=min(parse_age(value), _LONGEST_AGE_SECONDS))


def _date(value: str) -> datetime:
    # A plus sign in a query string arrives as a space.
    parsed = datetime.fromisoformat(value.replace(" ", "+") if "T" in value else value)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
