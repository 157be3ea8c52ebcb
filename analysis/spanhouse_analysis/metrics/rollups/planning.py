"""Which parts of a window are read from which rows: a pure function of the window and of what is kept."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from spanhouse_analysis.metrics.rollups.layout import DAY, HOUR

SMALL: Final = timedelta(hours=25)
"""A window up to this long is read from runs themselves, and its quantiles are exact."""
FEW_RUNS: Final = 100_000
"""A window with fewer runs is read from runs too: that is as fast."""
MOST_PIECES: Final = 8
"""With more gaps than this between clean buckets the whole window is read from runs."""
_NANOS: Final = 1_000_000_000

Piece = tuple[datetime | None, datetime | None]


@dataclass(frozen=True, slots=True)
class Plan:
    """Buckets to read, as seconds since the epoch, and the pieces of the window that no clean bucket covers."""

    days: tuple[int, ...]
    hours: tuple[int, ...]
    exact: tuple[Piece, ...]


def plan(
    since: datetime | None,
    until: datetime | None,
    step: int | None,
    computed: dict[int, int],
    dirty: AbstractSet[tuple[int, int]],
) -> Plan | None:
    """Return how to read a window, None where it is to be read from runs alone.

    Args:
        since: where the window begins; None where the first bucket kept begins, which is given as a time by the caller.
        until: where it ends, None for no bound.
        step: length of the time buckets asked for in nanoseconds, None for one.
        computed: up to when buckets are computed, by level; both in seconds.
        dirty: ``(level, bucket)`` of those that changed since.
    """
    if since is None or (step is not None and step % (HOUR * _NANOS)):
        return None
    first = -int(-since.timestamp() // HOUR) * HOUR
    end = computed.get(HOUR, 0)
    if until is not None:
        end = min(end, int(until.timestamp()) // HOUR * HOUR)
    if end - first < SMALL.total_seconds() - HOUR:
        return None
    whole_days = step is None or step % (DAY * _NANOS) == 0
    days: list[int] = []
    hours: list[int] = []
    gaps: list[tuple[int, int]] = []
    place = first
    while place < end:
        is_day = place % DAY == 0 and place + DAY <= min(end, computed.get(DAY, 0))
        if whole_days and is_day and (DAY, place) not in dirty:
            days.append(place)
            place += DAY
            continue
        if (HOUR, place) in dirty:
            gaps.append((place, place + HOUR))
        else:
            hours.append(place)
        place += HOUR
    edges: list[Piece] = []
    if since.timestamp() < first:
        edges.append((since, _time(first)))
    edges += [(_time(begin), _time(stop)) for begin, stop in _joined(gaps)]
    if until is None or until.timestamp() > end:
        edges.append((_time(end), until))
    return Plan(tuple(days), tuple(hours), tuple(edges)) if len(edges) <= MOST_PIECES else None


def _joined(gaps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for begin, end in gaps:
        if joined and joined[-1][1] == begin:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return joined


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
