"""Times as the API writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(time: datetime | None) -> str | None:
    """Return RFC 3339 in UTC with microseconds and ``Z``; None of None."""
    if time is None:
        return None
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
