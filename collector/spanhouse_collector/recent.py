"""Which records came before: 64-bit hashes of the last ten million, in sorted arrays."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Hashes: TypeAlias = npt.NDArray[np.uint64]

CAPACITY: Final = 10_000_000
"""Hashes remembered: 80 MB. By chance two records out of so many are taken for one once in about 400,000 windows."""

_LARGEST_SHARE: Final = 10


class Recent:
    """Remembers hashes until newer ones need their room. Not safe for threads by itself.

    Args:
        capacity: hashes remembered at most; a tenth of them is forgotten at a time, the oldest first.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        # Sorted, oldest first. Neighbours of like size are merged, so there are few, and each keeps its age.
        self._arrays: list[Hashes] = []

    def __len__(self) -> int:
        return sum(len(array) for array in self._arrays)

    def seen(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Return for each hash whether it was remembered, or stands further in front among the given ones."""
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        again = np.zeros(len(hashes), np.bool_)
        again[1:] = ordered[1:] == ordered[:-1]
        for array in self._arrays:
            at = np.searchsorted(array, ordered)
            again |= array[np.minimum(at, len(array) - 1)] == ordered
        found = np.empty(len(hashes), np.bool_)
        found[order] = again
        return found

    def add(self, hashes: Hashes) -> None:
        """Remember hashes that were not seen."""
        if not len(hashes):
            return
        self._arrays.append(np.sort(hashes))
        largest = max(1, self._capacity // _LARGEST_SHARE)
        while len(self._arrays) > 1:
            older, newer = self._arrays[-2:]
            if len(older) > 2 * len(newer) or len(older) + len(newer) > largest:
                break
            # A stable sort merges two sorted halves in linear time.
            self._arrays[-2:] = [np.sort(np.concatenate([older, newer]), kind="stable")]
        while len(self._arrays) > 1 and len(self) > self._capacity:
            del self._arrays[0]
