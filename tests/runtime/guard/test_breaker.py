"""A breaker's states, against a plain model of them."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from spanhouse_runtime.guard.breaker import Breaker, BreakerSettings, BreakerState

SETTINGS = BreakerSettings(in_a_row=3, share=0.5, calls=6, window_seconds=10, open_seconds=20, successes=2)


def clocked() -> tuple[Breaker, list[float]]:
    now = [0.0]
    return Breaker(SETTINGS, clock=lambda: now[0]), now


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        assert breaker.admit()[0]
        breaker.failed()


def test_failures_in_a_row_open_it_and_two_tried_calls_close_it() -> None:
    breaker, now = clocked()
    fail(breaker, 3)
    assert breaker.state is BreakerState.OPEN
    assert breaker.admit() == (False, None)
    now[0] = 20
    admitted, change = breaker.admit()
    assert admitted
    assert change is not None
    assert (change.before, change.after) == (BreakerState.OPEN, BreakerState.HALF_OPEN)
    assert breaker.worked() is None
    assert breaker.admit()[0]
    closed = breaker.worked()
    assert closed is not None
    assert (closed.after, closed.reason) == (BreakerState.CLOSED, "2 calls worked")


def test_half_of_enough_calls_failing_opens_it_without_a_row_of_failures() -> None:
    breaker, _ = clocked()
    for failed in (True, False, True, False, True, False):
        breaker.admit()
        if failed:
            breaker.failed()
        else:
            breaker.worked()
    assert breaker.state is BreakerState.CLOSED
    breaker.admit()
    change = breaker.failed()
    assert change is not None
    assert change.reason == "4 of 7 calls failed within 10 s"


def test_failures_of_long_ago_do_not_count() -> None:
    breaker, now = clocked()
    for n in range(10):
        now[0] = n * 11.0
        breaker.admit()
        if n % 2:
            breaker.failed()
        else:
            breaker.worked()
    assert breaker.state is BreakerState.CLOSED


def test_one_failed_try_opens_it_again_for_the_whole_time() -> None:
    breaker, now = clocked()
    fail(breaker, 3)
    now[0] = 25
    assert breaker.admit()[0]
    breaker.failed()
    now[0] = 44
    assert breaker.admit() == (False, None)
    now[0] = 45
    assert breaker.admit()[0]


class Laws(RuleBasedStateMachine):
    """Whatever happens, an open breaker admits nothing before its time and a half-open one only a few at once."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker, self.now = clocked()
        self.under_way = 0
        self.opened = 0.0

    @rule(seconds=st.floats(min_value=0, max_value=30))
    def time_passes(self, seconds: float) -> None:
        self.now[0] += seconds

    @rule()
    def ask(self) -> None:
        was_open = self.breaker.state is BreakerState.OPEN
        admitted, _ = self.breaker.admit()
        if was_open and self.now[0] - self.opened < SETTINGS.open_seconds:
            assert not admitted
        if self.breaker.state is BreakerState.CLOSED:
            assert admitted
        self.under_way += admitted

    @precondition(lambda self: self.under_way > 0)
    @rule(worked=st.sampled_from(["worked", "failed", "dropped"]))
    def end(self, worked: str) -> None:
        self.under_way -= 1
        change = getattr(self.breaker, worked)()
        if change is not None and change.after is BreakerState.OPEN:
            self.opened = self.now[0]

    @invariant()
    def changes_are_of_the_three(self) -> None:
        assert self.breaker.state in BreakerState


TestLaws = Laws.TestCase
