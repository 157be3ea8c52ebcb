"""The loop guard warns at the third equal call, stops at the next, and leaves honest work alone."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanhouse.loops import cycle_length, longest_streak
from spanhouse_runtime.loops import LoopAction, LoopGuard

NONE, WARN, STOP = LoopAction.NONE, LoopAction.WARN, LoopAction.STOP


def watch(calls: str) -> list[LoopAction]:
    guard = LoopGuard()
    return [guard.asked(call, "hash").action for call in calls]


@pytest.mark.parametrize(
    ("calls", "actions"),
    [
        ("AAAA", [NONE, NONE, WARN, STOP]),
        ("AABAA", [NONE] * 5),
        ("AAABAAAA", [NONE, NONE, WARN, NONE, NONE, NONE, WARN, STOP]),
        ("ABABABA", [NONE] * 5 + [WARN, STOP]),
        ("ABABABC", [NONE] * 5 + [WARN, NONE]),
        ("ABCABCABCA", [NONE] * 8 + [WARN, STOP]),
        ("ABCDEABCDEABCDEA", [NONE] * 14 + [WARN, STOP]),
        ("ABACADAEAF", [NONE] * 10),
    ],
)
def test_a_pattern_is_warned_of_when_complete_and_stopped_when_it_goes_on(
    calls: str, actions: list[LoopAction]
) -> None:
    assert watch(calls) == actions


def test_other_arguments_are_another_call() -> None:
    guard = LoopGuard()
    assert [guard.asked("search", str(page)).action for page in range(9)] == [NONE] * 9


def test_polling_tools_are_neither_looked_at_nor_a_break_of_the_pattern() -> None:
    guard = LoopGuard()
    assert {guard.asked("status", "x", polling=True).action for _ in range(20)} == {NONE}
    actions = []
    for _ in range(4):
        actions.append(guard.asked("fetch", "x").action)
        guard.asked("status", "x", polling=True)
    assert actions == [NONE, NONE, WARN, STOP]


def test_the_verdict_says_which_pattern_and_how_long() -> None:
    guard = LoopGuard()
    repeats = [guard.asked("a", "x") for _ in range(4)]
    assert (repeats[3].pattern, repeats[3].length) == ("repeat", 4)
    guard = LoopGuard()
    cycles = [guard.asked(call, "x") for call in "abababa"]
    assert (cycles[6].pattern, cycles[6].length) == ("cycle", 2)


@given(st.text("ABC", max_size=40))
def test_the_guard_acts_if_and_only_if_the_metrics_would_count_a_loop_or_cycle(calls: str) -> None:
    acted = any(action is not NONE for action in watch(calls))
    assert acted == (longest_streak(calls) >= 3 or cycle_length(calls) > 0)


@given(st.text("AB", max_size=40))
def test_no_run_is_stopped_without_a_warning_right_before(calls: str) -> None:
    actions = watch(calls)
    assert all(before is not NONE for before, now in pairwise([NONE, *actions]) if now is STOP)
