"""A map column taken apart into its flat keys and values, changed, and put together again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class FlatMap:
    """A map column whose entries can be replaced, taken out and added.

    Attributes:
        keys: keys of all entries, row after row.
        items: their values.
    """

    def __init__(self, maps: pa.MapArray) -> None:
        self._type = maps.type
        offsets = maps.offsets.to_numpy(zero_copy_only=False)
        first, size = int(offsets[0]), int(offsets[-1] - offsets[0])
        self._offsets = offsets - first
        self.keys: pa.Array = maps.keys.slice(first, size)
        self.items: pa.Array = maps.items.slice(first, size)

    def rows(self) -> np.ndarray:
        """Return the row of every entry."""
        return np.repeat(np.arange(len(self._offsets) - 1), np.diff(self._offsets))

    def with_key(self, keys: Sequence[str]) -> np.ndarray:
        """Return which entries have one of the keys."""
        if not keys:
            return np.zeros(len(self.keys), np.bool_)
        found: np.ndarray = pc.is_in(self.keys, pa.array(keys, pa.string())).to_numpy(zero_copy_only=False)
        return found

    def remove(self, entries: np.ndarray) -> None:
        """Take out the entries that are marked true."""
        kept = ~entries
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])
        self._offsets = ends[self._offsets]
        mask = pa.array(kept)
        self.keys, self.items = self.keys.filter(mask), self.items.filter(mask)

    def put(self, key: str, rows: np.ndarray, values: Sequence[str]) -> None:
        """Set an entry of some rows, in place of one under the same key."""
        marked = np.zeros(len(self._offsets) - 1, np.bool_)
        marked[rows] = True
        self.remove(self.with_key([key]) & marked[self.rows()])
        order = np.insert(np.arange(len(self.keys)), self._offsets[rows + 1], len(self.keys) + np.arange(len(rows)))
        chosen = pa.array(order)
        self.keys = pa.concat_arrays([self.keys, pa.array([key] * len(rows), pa.string())]).take(chosen)
        self.items = pa.concat_arrays([self.items, pa.array(values, pa.string())]).take(chosen)
        self._offsets = self._offsets + np.concatenate([np.zeros(1, np.int64), np.cumsum(marked)])

    def array(self) -> pa.MapArray:
        """Return the column."""
        offsets = pa.array(self._offsets.astype(np.int32))
        return pa.MapArray.from_arrays(offsets, self.keys, self.items, self._type)


def replaced(texts: pa.Array, positions: Sequence[int], values: Sequence[str]) -> pa.Array:
    """Return the texts with those at some positions, in order, replaced."""
    mask = np.zeros(len(texts), np.bool_)
    mask[np.asarray(positions, np.int64)] = True
    return pc.replace_with_mask(texts, pa.array(mask), pa.array(values, texts.type))
