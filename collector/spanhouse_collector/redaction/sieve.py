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
_PASSES: Final = ((_FORMS, _SHORTEST), (_SIEVES[MEMBER], _SHORTEST), (_SIEVES[_DIGITS], _SHORTEST_CARD))


class Sieve:
    """Finds the texts that any of some tenants' cutters could find something in."""

    def __init__(self, rules: Iterable[Effective]) -> None:
        patterns = {pattern.match for each in rules for pattern in each.patterns.values()}
        # Anchors and word boundaries mean something at the ends of a text, so these see every text on its own.
        self._patterns = "|".join(f"(?:{pattern})" for pattern in sorted(patterns))

    def texts(self, texts: pa.Array) -> np.ndarray:
        """Return the positions of the texts that may hold a secret, in order."""
        found = np.zeros(len(texts), np.bool_)
        for expression, shortest in _PASSES:
            _look(texts, expression, shortest, found)
        if self._patterns:
            found |= _contains(texts, self._patterns)
        return np.flatnonzero(found)

    def body(self, body: bytes) -> bool:
        """Return whether a request's bytes may hold a secret."""
        if self._patterns:
            return True
        text = pl.Series([body.decode("latin-1")])
        return any(text.str.contains(expression)[0] for expression, _ in _PASSES)


def _look(texts: pa.Array, expression: str, shortest: int, found: np.ndarray) -> None:
    # All texts end to end are one text to look through, which spares the cost of each. Where two texts meet a secret
    # may seem to be, never not to be: the expressions have no anchors.
    if not _holds(_joined(texts), expression):
        return
    long = pc.greater_equal(pc.binary_length(texts), shortest)
    chosen = texts.filter(long)
    if _holds(_joined(chosen), expression):
        positions = np.flatnonzero(long.to_numpy(zero_copy_only=False))
        found[positions[_contains(chosen, expression)]] = True


def _joined(texts: pa.Array) -> pa.Array | None:
    if not len(texts):
        return None
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    if offsets[-1] - offsets[0] < _SHORTEST:
        return None
    ends = pa.py_buffer(np.array([offsets[0], offsets[-1]], np.int32))
    return pa.Array.from_buffers(pa.string(), 1, [None, ends, texts.buffers()[2]])


def _holds(joined: pa.Array | None, expression: str) -> bool:
    return joined is not None and bool(_contains(joined, expression)[0])


def _contains(texts: pa.Array, expression: str) -> np.ndarray:
    return pl.Series(texts).str.contains(expression).to_numpy()
