"""Paces: never more at once and never more a minute than was said, whoever asks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanhouse.errors import ConfigurationError
from spanhouse_runtime.guard.rates import Rate, Rates


def test_a_tool_without_a_pace_never_waits() -> None:
    rates = Rates({"mail.*": Rate(at_once=1)})
    assert [rates.enter("look", "acme") for _ in range(100)] == [0.0] * 100


def test_tenants_have_a_pace_each() -> None:
    rates = Rates({"mail.*": Rate(at_once=1)})
    assert rates.enter("mail.send", "acme") == 0.0
    assert rates.enter("mail.send", "globex") == 0.0
    assert rates.enter("mail.send", "acme") > 0.0
    rates.leave("mail.send", "acme")
    assert rates.enter("mail.send", "acme") == 0.0


@given(
    per_minute=st.integers(1, 120),
    gaps=st.lists(st.floats(min_value=0, max_value=5), min_size=1, max_size=200),
)
def test_in_no_minute_are_there_more_calls_than_twice_the_pace(per_minute: int, gaps: list[float]) -> None:
    """A full bucket at the start and a minute's refill is the most a window can hold."""
    now = [0.0]
    rates = Rates({"*": Rate(per_minute=per_minute)}, clock=lambda: now[0])
    made: list[float] = []
    for gap in gaps:
        now[0] += gap
        if rates.enter("look", "acme") == 0.0:
            made.append(now[0])
            rates.leave("look", "acme")
    for start in made:
        assert sum(start <= time < start + 60 for time in made) <= 2 * per_minute


@given(per_minute=st.floats(min_value=0.5, max_value=600))
def test_asking_again_after_the_wait_that_was_told_gets_a_turn(per_minute: float) -> None:
    now = [0.0]
    rates = Rates({"*": Rate(per_minute=per_minute)}, clock=lambda: now[0])
    while (wait := rates.enter("look", "acme")) == 0.0:
        pass
    now[0] += wait * 1.000001
    assert rates.enter("look", "acme") == 0.0


@pytest.mark.parametrize(
    "bad", [{"per_minute": 0}, {"at_once": 0}, {"per_minute": float("nan")}, {"queue_seconds": -1}]
)
def test_a_pace_that_cannot_be_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(bad))):
        Rate(**bad)  # type: ignore[arg-type]
