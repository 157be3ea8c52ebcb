from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanhouse_dashboards import text


@pytest.mark.parametrize(
    "show", [text.count, text.compact, text.usd, text.percent, text.duration, text.seconds, text.clock, text.known]
)
def test_what_is_not_known_is_a_dash_and_never_a_zero(show: object) -> None:
    assert callable(show)
    assert show(None) == "—"


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        (0.0, "0.0 ms"),
        (0.42, "0.4 ms"),
        (320, "320 ms"),
        (4_200, "4.2 s"),
        (185_000, "3m 05s"),
        (7_620_000, "2h 07m"),
        (273_600_000, "3d 04h"),
    ],
)
def test_a_duration_is_said_in_the_unit_that_fits(milliseconds: float, shown: str) -> None:
    assert text.duration(milliseconds) == shown


def test_small_sums_keep_their_digits_and_nothing_rounds_to_zero() -> None:
    assert [text.usd(sum_) for sum_ in (0, 0.00002, 0.0042, 0.84, 1234.5)] == [
        "$0",
        "<$0.0001",
        "$0.0042",
        "$0.84",
        "$1,234.50",
    ]


def test_a_value_is_shown_in_the_unit_its_metric_has() -> None:
    assert text.quantity(0.955, "ratio") == "95.5%"
    assert text.quantity(12_400, "tokens") == "12.4k"
    assert text.quantity(0.84, "usd") == "$0.84"
    assert text.quantity(61, "s") == "1m 01s"
    assert text.quantity(None, "ratio") == "—"


def test_ages_count_from_the_given_moment() -> None:
    now = datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC)
    assert text.age("2026-03-01T11:56:00Z", now) == "4m 10s ago"
    assert text.age("2026-03-01T13:00:00Z", now) == "0.0 ms ago"


@given(st.text())
def test_inert_text_leaves_no_character_that_markdown_would_act_on(words: str) -> None:
    acting = set("`*_{}[]()<>$:~|#")
    shown = text.inert(words)
    unescaped = [char for index, char in enumerate(shown) if char in acting and shown[index - 1 : index] != "\\"]
    assert unescaped == []
    assert "\n" not in shown


def test_long_text_is_cut_with_an_ellipsis_and_kept_on_one_line() -> None:
    assert text.shortened("a\n b   c") == "a b c"
    assert text.shortened("x" * 50, 10) == "x" * 9 + "…"
    assert text.shortened("   ") == "—"
