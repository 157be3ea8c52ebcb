from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanhouse_alerts.windows import Span, window_at

ZONES = [
    "UTC",
    "Europe/Brussels",
    "America/New_York",
    "Africa/Cairo",
    "America/Havana",
    "Pacific/Apia",
    "Asia/Kathmandu",
]


@pytest.mark.parametrize(
    ("at", "hours", "label"),
    [
        ("2026-03-28T12:00:00", 24, "2026-03-28T00:00:00+01:00"),
        ("2026-03-29T12:00:00", 23, "2026-03-29T00:00:00+01:00"),
        ("2026-03-30T12:00:00", 24, "2026-03-30T00:00:00+02:00"),
        ("2026-10-25T12:00:00", 25, "2026-10-25T00:00:00+02:00"),
        ("2026-10-25T23:30:00", 24, "2026-10-26T00:00:00+01:00"),
    ],
)
def test_a_local_day_has_23_or_25_hours_where_clocks_change(at: str, hours: int, label: str) -> None:
    """In Brussels the day of 2026-03-29 has 23 hours and that of 2026-10-25 has 25."""
    window = window_at("day", "Europe/Brussels", datetime.fromisoformat(at).replace(tzinfo=UTC))
    assert (window.end - window.start, window.label) == (timedelta(hours=hours), label)


@pytest.mark.parametrize(
    ("span", "at", "start", "end"),
    [
        ("month", "2028-02-29T10:00:00", "2028-02-01T00:00:00", "2028-03-01T00:00:00"),
        ("month", "2026-12-31T23:59:59", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
        ("week", "2026-11-20T10:00:00", "2026-11-16T00:00:00", "2026-11-23T00:00:00"),
        ("week", "2027-01-03T10:00:00", "2026-12-28T00:00:00", "2027-01-04T00:00:00"),
    ],
)
def test_weeks_start_on_monday_and_months_on_the_first(span: Span, at: str, start: str, end: str) -> None:
    """Month ends, leap days and weeks across a new year have the right bounds."""
    window = window_at(span, "UTC", datetime.fromisoformat(at).replace(tzinfo=UTC))
    assert [window.start.replace(tzinfo=None).isoformat(), window.end.replace(tzinfo=None).isoformat()] == [start, end]


@given(
    st.sampled_from(["day", "week", "month"]),
    st.sampled_from(ZONES),
    st.datetimes(datetime(2000, 1, 2), datetime(2040, 1, 1)),  # noqa: DTZ001 - the zone is given below
)
def test_windows_tile_time(span: Span, zone: str, naive: datetime) -> None:
    """Every moment is in exactly one window, and the next window starts where this one ends, in any zone."""
    at = naive.replace(tzinfo=UTC)
    window = window_at(span, zone, at)
    assert window.start <= at < window.end
    following = window_at(span, zone, window.end)
    assert following.start == window.end
    assert following.label != window.label
    assert window_at(span, zone, window.end - timedelta(microseconds=1)) == window
