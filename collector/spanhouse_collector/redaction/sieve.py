"""Which of many texts may hold a secret, decided in bulk: whoever comes through is looked at one by one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

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

_SIEVES: Final = {detector.kind: detector.sieve for detector in DETECTORS}
# Names and cards are passes of their own: together with the others the engine finds no literals to leap by.
_FORMS: Final = "|".join(sieve for kind, sieve in _SIEVES.items() if kind not in {*_NAMED, _DIGITS})
_PASSES: Final = (_FORMS, _SIEVES[MEMBER])
_CARD: Final = _SIEVES[_DIGITS]


class Sieve:
    """Finds the texts that any of some tenants' cutters could find something in."""

    def __init__(self, rules: Iterable[Effective]) -> None:
        patterns = {pattern.match for each in rules for pattern in each.patterns.values()}
        # Anchors and word boundaries mean something at the ends of a text, so these see every text on its own.
        self._patterns = "|".join(f"(?:{pattern})" for pattern in sorted(patterns))

    def texts(self, texts: pa.Array) -> np.ndarray:
        """Return the positions of the texts that may hold a secret, in order."""
        found = np.zeros(len(texts), np.bool_)
        sizes = pc.binary_length(texts)
        _look(texts, pc.greater_equal(sizes, _SHORTEST), _PASSES, found)
        _look(texts, pc.greater_equal(sizes, _SHORTEST_CARD), (_CARD,), found)
        if self._patterns:
            found |= _contains(texts, self._patterns)
        return np.flatnonzero(found)

    def body(self, body: bytes) -> bool:
        """Return whether a request's bytes may hold a secret."""
        if self._patterns:
            return True
        text = pl.Series([body.decode("latin-1")])
        return any(text.str.contains(expression)[0] for expression in (*_PASSES, _CARD))


def _look(texts: pa.Array, long: pa.Array, expressions: Iterable[str], found: np.ndarray) -> None:
    chosen = texts.filter(long)
    if not len(chosen):
        return
    # All texts end to end are one text to look through, which spares the cost of each. Where two texts meet a secret
    # may seem to be, never not to be: the expressions have no anchors.
    joined = _joined(chosen)
    for expression in expressions:
        if _contains(joined, expression)[0]:
            positions = np.flatnonzero(long.to_numpy(zero_copy_only=False))
            found[positions[_contains(chosen, expression)]] = True


def _joined(texts: pa.Array) -> pa.Array:
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    ends = pa.py_buffer(np.array([offsets[0], offsets[-1]], np.int32))
    return pa.Array.from_buffers(pa.string(), 1, [None, ends, texts.buffers()[2]])


def _contains(texts: pa.Array, expression: str) -> np.ndarray:
    return pl.Series(texts).str.contains(expression).to_numpy()
