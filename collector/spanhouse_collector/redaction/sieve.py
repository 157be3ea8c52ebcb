"""Which of many texts may hold a secret, decided in bulk: whoever comes through is looked at one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from spanhouse.detectors import DETECTORS
from spanhouse.secret_members import ASSIGNMENT, MEMBER
from spanhouse_collector.policy.model import Effective

_NAMED: Final = (MEMBER, ASSIGNMENT)
_DIGITS: Final = "card"
_SHORTEST: Final = 8
"""Characters below which no text holds a secret that has a form; patterns of one's own look at all."""
_SHORTEST_CARD: Final = 15

Pass: TypeAlias = tuple[str, int]
"""An expression, and the length in bytes below which no text needs to be held against it."""

_NOTHING: Final = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(bytes(8)), pa.py_buffer(b"")])

_SIEVES: Final = {detector.kind: detector.sieve for detector in DETECTORS}
# Names and cards are passes of their own: together with the others the engine finds no literals to leap by.
_FORMS: Final = "|".join(sieve for kind, sieve in _SIEVES.items() if kind not in {*_NAMED, _DIGITS})
_PASSES: Final[tuple[Pass, ...]] = (
    (_FORMS, _SHORTEST),
    (_SIEVES[MEMBER], _SHORTEST),
    (_SIEVES[_DIGITS], _SHORTEST_CARD),
)


class Sieve:
    """Finds the texts that any of some tenants' cutters could find something in."""

    def __init__(self, rules: Iterable[Effective]) -> None:
        patterns = {pattern.match for each in rules for pattern in each.patterns.values()}
        # Anchors and word boundaries mean something at the ends of a text, so these see every text on its own.
        self._patterns = "|".join(f"(?:{pattern})" for pattern in sorted(patterns))

    def texts(self, texts: pa.Array) -> np.ndarray:
        """Return the positions of the texts that may hold a secret, in order."""
        return self.columns([texts])[0]

    def columns(self, columns: Sequence[pa.Array]) -> list[np.ndarray]:
        """Return for every column the positions of the texts that may hold a secret, in order."""
        found = [np.zeros(len(column), np.bool_) for column in columns]
        for expression, shortest in _PASSES:
            for number in np.flatnonzero(_suspects(columns, expression)).tolist():
                _look(columns[number], expression, shortest, found[number])
        if self._patterns:
            found = [marks | _contains(column, self._patterns) for marks, column in zip(found, columns, strict=True)]
        return [np.flatnonzero(marks) for marks in found]

    def body(self, body: bytes) -> bool:
        """Return whether a request's bytes may hold a secret."""
        if self._patterns:
            return True
        text = pl.Series([body.decode("latin-1")])
        return any(text.str.contains(expression)[0] for expression, _ in _PASSES)


def _suspects(columns: Sequence[pa.Array], expression: str) -> np.ndarray:
    # A column's texts end to end are one text to look through, which spares the cost of each, and a column that holds
    # nothing needs no closer look. Where two texts meet a secret may seem to be, never not to be: the expressions have
    # no anchors.
    joined = [_joined(column) for column in columns]
    return _contains(pa.chunked_array(joined, pa.string()), expression)


def _look(texts: pa.Array, expression: str, shortest: int, found: np.ndarray) -> None:
    long = pc.greater_equal(pc.binary_length(texts), shortest)
    chosen = texts.filter(long)
    if _suspects([chosen], expression)[0]:
        positions = np.flatnonzero(long.to_numpy(zero_copy_only=False))
        found[positions[_contains(chosen, expression)]] = True


def _joined(texts: pa.Array) -> pa.Array:
    if not len(texts):
        return _NOTHING
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    if offsets[-1] - offsets[0] < _SHORTEST:
        return _NOTHING
    ends = pa.py_buffer(np.array([offsets[0], offsets[-1]], np.int32))
    return pa.Array.from_buffers(pa.string(), 1, [None, ends, texts.buffers()[2]])


def _contains(texts: pa.Array | pa.ChunkedArray, expression: str) -> np.ndarray:
    return pl.Series(texts).str.contains(expression).to_numpy()
