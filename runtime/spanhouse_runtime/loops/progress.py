"""Calls that bring back nothing new, and texts that say the same again."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from spanhouse_runtime.loops.settings import LoopSettings
from spanhouse_runtime.loops.verdict import NONE, LoopPattern, LoopVerdict, Warned

_CHUNK: Final = 50
_LONGEST: Final = 20_000
_CODE: Final = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_SHORT: Final = 8
"""Results such as "ok" or "[]" say so little that meeting them again says nothing either."""


def digest(text: str) -> str:
    """Return a short hash of a text."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


class NoProgress:
    """Watches results: so many in a row that have all been seen before in this run are no progress."""

    def __init__(self, settings: LoopSettings) -> None:
        self._settings = settings
        self._seen: set[str] = set()
        self._stale = 0
        self._warned = Warned()

    def answered(self, result: str) -> LoopVerdict:
        """Return the verdict after a result."""
        if len(result) <= _SHORT:
            return NONE
        key = digest(result)
        if key not in self._seen:
            self._seen.add(key)
            self._stale = 0
            return self._warned.broken()
        self._stale += 1
        if self._stale < self._settings.no_progress:
            return self._warned.broken()
        return self._warned.about(LoopPattern.NO_PROGRESS, self._stale)


class RepeatedText:
    """Watches what the model says: equal texts in a row, and one text that repeats itself."""

    def __init__(self, settings: LoopSettings) -> None:
        self._settings = settings
        self._last = ""
        self._count = 0
        self._warned = Warned()

    def said(self, text: str) -> LoopVerdict:
        """Return the verdict on a text of the model; an empty one is none."""
        words = " ".join(text.lower().split())
        if not words:
            return NONE
        self._count = self._count + 1 if words == self._last else 1
        self._last = words
        if self._count >= self._settings.equal_texts:
            return self._warned.about(LoopPattern.REPEATED_TEXT, self._count)
        if (times := repeats_within(text, self._settings.chunk_repeats)) >= self._settings.chunk_repeats:
            return self._warned.about(LoopPattern.REPEATED_TEXT, times)
        return self._warned.broken()


def repeats_within(text: str, enough: int) -> int:
    """Return how often, without a gap, the text's end repeats itself; 0 where it does so less than ``enough`` times.

    Looks outside code blocks for a piece of up to ten times fifty characters that stands over and over at the end.
    """
    prose = " ".join(_CODE.sub(" ", text[-_LONGEST:]).split())
    for size in range(1, min(10 * _CHUNK, len(prose) // enough) + 1):
        piece = prose[-size:]
        if len(piece) * enough < _CHUNK or not piece.strip(" .-=_*#|"):
            continue
        times, place = 1, len(prose) - 2 * size
        while place >= 0 and prose.startswith(piece, place):
            times, place = times + 1, place - size
        if times >= enough:
            return times
    return 0
