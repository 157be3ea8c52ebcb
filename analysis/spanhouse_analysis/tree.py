"""Ancestors and depths of many span trees at once, as arrays of row numbers.

A forest is one array: the row of each row's parent, or its own row at a root. Walks double their stride each round
(pointer jumping), so the deepest tree of n spans takes log2 n rounds over all of them.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

Rows: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

NONE = -1
"""Stands for "no such row"."""


def parent_rows(spans: pl.DataFrame) -> Rows:
    """Return the forest of the spans: parents that are present are linked, every link on a cycle is cut.

    Args:
        spans: one row a span, with ``tenant``, ``trace_id``, ``span_id`` and ``parent_span_id``.
    """
    children = spans.select("tenant", "trace_id", "parent_span_id")
    ids = spans.select("tenant", "trace_id", parent_span_id="span_id").with_row_index("parent")
    found = children.join(ids, on=["tenant", "trace_id", "parent_span_id"], how="left", maintain_order="left")
    own = np.arange(spans.height, dtype=np.int64)
    linked = found["parent"].cast(pl.Int64).fill_null(NONE).to_numpy()
    parent = np.where(linked == NONE, own, linked)
    # After n strides every pointer stands on a root or on a cycle; what is reached and is no root, is on a cycle.
    far = parent
    for _ in range(_rounds(spans.height)):
        far = far[far]
    return np.where(np.isin(own, far), own, parent)


def _rounds(count: int) -> int:
    return max(count, 1).bit_length()


def farthest(parent: Rows, marked: Flags) -> Rows:
    """Return for each row the highest marked row among itself and its ancestors, or ``NONE``."""
    best = np.where(marked, np.arange(parent.size), NONE)
    pointer = parent
    for _ in range(_rounds(parent.size)):
        above = best[pointer]
        best = np.where(above == NONE, best, above)
        pointer = pointer[pointer]
    return best


def nearest(parent: Rows, marked: Flags) -> Rows:
    """Return for each row the lowest marked row among itself and its ancestors, or ``NONE``."""
    best = np.where(marked, np.arange(parent.size), NONE)
    pointer = parent
    for _ in range(_rounds(parent.size)):
        best = np.where(best == NONE, best[pointer], best)
        pointer = pointer[pointer]
    return best


def above(parent: Rows, marked: Flags) -> Rows:
    """Return for each row the lowest marked row among its ancestors, itself left out, or ``NONE``."""
    own = np.arange(parent.size)
    result: Rows = np.where(parent == own, NONE, nearest(parent, marked)[parent])
    return result


def depths(parent: Rows) -> Rows:
    """Return how many links lie between each row and its root."""
    distance: Rows = (parent != np.arange(parent.size)).astype(np.int64)
    pointer = parent
    for _ in range(_rounds(parent.size)):
        distance = distance + distance[pointer]
        pointer = pointer[pointer]
    return distance


def all_above(parent: Rows, marked: Flags) -> Flags:
    """Return for each row whether itself and every ancestor is marked."""
    held = marked
    pointer = parent
    for _ in range(_rounds(parent.size)):
        held = held & held[pointer]
        pointer = pointer[pointer]
    return held


def has_below(parent: Rows, marked: Flags) -> Flags:
    """Return for each row whether some descendant, itself left out, is marked."""
    own = np.arange(parent.size)
    found = np.zeros(parent.size, dtype=np.bool_)
    frontier = own[marked]
    while frontier.size:
        up = np.unique(parent[frontier[parent[frontier] != frontier]])
        frontier = up[~found[up]]
        found[frontier] = True
    return found
