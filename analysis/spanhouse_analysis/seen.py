"""Which traces came before: a filter of fixed size that may name too many and never too few."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from spanhouse_analysis.reading import Trace

Sums: TypeAlias = npt.NDArray[np.uint32]

TRACES_A_GENERATION: Final = 4_000_000
"""One new trace in two hundred is taken for a known one when a generation is full; it is read from the store."""
MARGIN: Final = timedelta(minutes=5)
"""Spans of one trace start this close to one another across batches, as far as reading them cheaply goes."""

_BITS: Final = 26
_FACTORS: Final = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)


def checksums(traces: Iterable[Trace]) -> Sums:
    """Return the checksum of each trace; the store's ``CRC32(concat(tenant, '/', trace_id))`` is the same."""
    return np.array([zlib.crc32(f"{tenant}/{trace}".encode()) for tenant, trace in traces], dtype=np.uint32)


class _Generation:
    """A Bloom filter of checksums, 8 MB, and the latest start among the traces in it."""

    def __init__(self) -> None:
        self.size = 0
        self.latest: datetime | None = None
        self._bytes = np.zeros(1 << (_BITS - 3), dtype=np.uint8)

    def add(self, sums: Sums) -> None:
        places = _places(sums).ravel()
        np.bitwise_or.at(self._bytes, places >> 3, _bit(places))
        self.size += sums.size

    def contains(self, sums: Sums) -> npt.NDArray[np.bool_]:
        places = _places(sums)
        found: npt.NDArray[np.bool_] = (self._bytes[places >> 3] & _bit(places)).all(axis=1)
        return found


class SeenTraces:
    """The traces of which spans may be in the store. Not thread-safe: the owner locks.

    Traces are forgotten by the million, the oldest first, and with them every trace that starts no later than they
    did: those count as seen from then on. Until ``complete`` all do.

    Args:
        generation: traces after which another filter begins; two are kept.
    """

    def __init__(self, generation: int = TRACES_A_GENERATION) -> None:
        self._since: datetime | None = None
        self._limit = generation
        self._generations = [_Generation()]

    def complete(self, sums: Sums, since: datetime) -> None:
        """Note the last traces that ``add`` was not told of: all with a span that starts at ``since`` or later."""
        self.add(sums, None)
        self._since = since

    def add(self, sums: Sums, latest: datetime | None) -> None:
        """Note traces as seen; ``latest`` is the latest start of a span of theirs."""
        if self._generations[-1].size >= self._limit:
            self._generations.append(_Generation())
        for forgotten in self._generations[:-2]:
            self._since = _later(self._since, forgotten.latest)
        del self._generations[:-2]
        current = self._generations[-1]
        current.add(sums)
        current.latest = _later(current.latest, latest)

    def contain(self, sums: Sums) -> npt.NDArray[np.bool_]:
        """Return for each checksum whether such a trace was added and is not forgotten."""
        found = np.zeros(sums.size, dtype=np.bool_)
        for generation in self._generations:
            found |= generation.contains(sums)
        return found

    def reaches(self, first_start: datetime | None) -> bool:
        """Return whether a trace of which spans are stored would be known, going by its earliest new span."""
        return first_start is not None and self._since is not None and first_start >= self._since + MARGIN


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((time for time in (one, other) if time), default=None)


def _places(sums: Sums) -> npt.NDArray[np.int64]:
    places: npt.NDArray[np.int64] = ((sums[:, None].astype(np.uint64) + 1) * _FACTORS >> np.uint64(64 - _BITS)).astype(
        np.int64
    )
    return places


def _bit(places: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    bit: npt.NDArray[np.uint8] = np.left_shift(np.uint8(1), (places & 7).astype(np.uint8))
    return bit
