"""Loops, found the same way by the guard while a run goes and by the analysis afterwards.

A call is known by a signature: tool name and argument hash. The functions here see only signatures, so that live and
afterwards give the same verdict. Calls of tools declared as polling are left out by the caller before they get here.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

LOOP_LENGTH = 3
"""Equal consecutive calls that make a loop (metric ``loop_rate``)."""
CYCLE_REPEATS = 3
"""Times a pattern of two or more calls must stand in a row to be a cycle (metric ``cycle_rate``)."""
MAX_CYCLE = 6


def longest_streak(calls: Sequence[Hashable]) -> int:
    """Return the length of the longest run of equal consecutive calls; 0 for no calls."""
    best = current = 0
    previous: Hashable = object()
    for call in calls:
        current = current + 1 if call == previous else 1
        previous = call
        best = max(best, current)
    return best


def loops(calls: Sequence[Hashable], length: int = LOOP_LENGTH) -> int:
    """Return how many separate streaks of at least ``length`` equal consecutive calls there are."""
    found = current = 0
    previous: Hashable = object()
    for call in calls:
        current = current + 1 if call == previous else 1
        previous = call
        found += current == length
    return found


def cycle_length(calls: Sequence[Hashable], repeats: int = CYCLE_REPEATS, longest: int = MAX_CYCLE) -> int:
    """Return the length of the shortest cycle of two or more calls that repeats in a row, else 0.

    A B A B A B gives 2 with the default of three repeats. A pattern whose calls are all equal is a streak, not a cycle.
    """
    for size in range(2, longest + 1):
        needed = size * (repeats - 1)
        matched = 0
        for index in range(size, len(calls)):
            matched = matched + 1 if calls[index] == calls[index - size] else 0
            if matched >= needed and len(set(calls[index - size + 1 : index + 1])) > 1:
                return size
    return 0
