from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanhouse_alerts.durations import format_duration, parse_duration


@given(st.integers(min_value=0, max_value=366 * 86_400))
def test_a_written_duration_reads_back(seconds: int) -> None:
    """Every duration up to 366 days survives being written and read."""
    duration = timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("1h", 3600), ("7d", 604_800), ("1w", 604_800), ("1h30m", 5400)]
)
def test_units_mean_what_they_say(text: str, seconds: int) -> None:
    """Each unit stands for its number of seconds, and units add up."""
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize(
    "value", ["", "5", "m", "5 m", "-5m", "5m1h", "1.5h", "367d", 90, 5.0, True, None, "\u0665m", "5m\n"]
)
def test_what_is_no_duration_is_refused(value: object) -> None:
    """A number without a unit (YAML reads 1:30 as 90) and unreadable text are refused, saying how to write it."""
    with pytest.raises(ValueError, match="duration"):
        parse_duration(value)
