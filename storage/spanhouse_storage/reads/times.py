"""Times as the integers in which parameters and cursors carry them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(time: datetime) -> int:
    """Return microseconds since the epoch; a time without a zone is taken as UTC."""
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def nanos(time: datetime) -> int:
    """Return nanoseconds since the epoch; a time without a zone is taken as UTC."""
    return micros(time) * 1_000
