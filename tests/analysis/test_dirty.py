"""When traces are due, over an explicit clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from spanhouse_analysis.dirty import RUNNING_SECONDS, RUNNING_SECONDS_AT_MOST, RUNNING_SHARE, DirtyTraces

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def touched(*ages: float, again: bool = True) -> DirtyTraces:
    """Return running traces that were first touched so many seconds before noon, and again just now."""
    dirty = DirtyTraces()
    for number, age in enumerate(ages):
        for at in (NOON - timedelta(seconds=age), NOON):
            dirty.touch(
                ("t", str(number)), at, first_start=NOON, last_start=NOON, rooted=False, floor=None, again=again
            )
    return dirty


def test_running_runs_are_computed_every_few_seconds_and_the_nearly_due_go_along() -> None:
    assert list(touched(4.9, 3).due(NOON, 10)) == []
    assert list(touched(5, 3, 1).due(NOON, 10)) == [("t", "0"), ("t", "1")]


@pytest.mark.parametrize(
    ("running", "seconds_a_trace", "expected"),
    [
        (10, 0.001, RUNNING_SECONDS),
        (20_000, 0.0001, 20_000 * 0.0001 / RUNNING_SHARE),
        (1_000, 1, RUNNING_SECONDS_AT_MOST),
    ],
)
def test_the_longer_passes_take_the_longer_running_runs_wait(
    running: int, seconds_a_trace: float, expected: float
) -> None:
    """Passes over running runs never take more than their share of the time, up to the longest wait."""
    dirty = touched(*[1.0] * running)
    dirty.took(seconds_a_trace * 500, 500)
    assert dirty.running_seconds() == pytest.approx(expected)


def test_a_trace_whose_pass_failed_keeps_all_that_is_not_computed() -> None:
    """Touched anew while its pass went on, it still counts from what that pass was to compute."""
    dirty = DirtyTraces()
    earlier, later = NOON - timedelta(minutes=5), NOON - timedelta(minutes=1)

    def touch(floor: datetime) -> None:
        dirty.touch(("t", "0"), NOON, first_start=NOON, last_start=NOON, rooted=True, floor=floor)

    touch(earlier)
    taken = dirty.due(NOON + timedelta(seconds=2), 10)
    touch(later)
    dirty.put_back(taken.items())
    assert dirty.floors() == [earlier]


def test_finished_traces_do_not_wait_for_running_ones() -> None:
    dirty = touched(*[1.0] * 100)
    dirty.took(100, 100)
    over = NOON - timedelta(seconds=1)
    dirty.touch(("t", "over"), over, first_start=NOON, last_start=NOON, rooted=True, floor=None)
    assert list(dirty.due(NOON, 10)) == [("t", "over")]
