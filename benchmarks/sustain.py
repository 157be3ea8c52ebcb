"""The search for the highest pace that holds, over whatever says whether a pace holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

STEPS = 3
BACK = 0.92
"""A pace that held for seconds and not for the whole length is tried again at this share."""


@dataclass(frozen=True)
class Probe:
    """Whether a pace held, and the pace that was really reached."""

    held: bool
    rate: float


def highest(
    holds: Callable[[float, float], Probe], *, low: float, high: float, probe_seconds: float, confirm_seconds: float
) -> float:
    """Return the highest pace found that holds for ``confirm_seconds``: bisected by short probes, then confirmed.

    Args:
        holds: tries a pace for so many seconds.
        low: a pace that is taken to hold.
        high: a pace that is taken not to.
        probe_seconds: length of a step of the search.
        confirm_seconds: length of the last.
    """
    for _ in range(STEPS):
        middle = (low + high) / 2
        if holds(middle, probe_seconds).held:
            low = middle
        else:
            high = middle
    pace = low
    while not (probe := holds(pace, confirm_seconds)).held:
        pace *= BACK
    return probe.rate
