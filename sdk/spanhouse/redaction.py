"""Secrets cut out of text before it leaves the process."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

from spanhouse.detectors import CARD, DETECTORS, Detector
from spanhouse.secret_members import Mark

__all__ = ["cut", "mark", "redact"]

# Nearly every text holds one of the digits that a card's number may begin with; few go on like one.
_CARD_BEGINS: Final = re.compile("[2-6][0-9]{3}[ -]?[0-9]{4}[ -]?[0-9]{2}")
_ALL_HINTS: Final = {hint for detector in DETECTORS if detector.kind != CARD for hint in detector.hints}
_HINTS: Final = tuple(hint for hint in _ALL_HINTS if not any(other in hint for other in _ALL_HINTS - {hint}))


def redact(text: str) -> tuple[str, int]:
    """Return the text with secrets replaced by ``[REDACTED:<kind>]``, and how many were replaced.

    Finds what `spanhouse.detectors` lists. JSON stays JSON, and a text redacted before stays as it is.
    """
    folded = text.lower()
    for hint in _HINTS:
        if hint in folded:
            break
    else:
        if _CARD_BEGINS.search(text) is None:
            return text, 0
    text, found = cut(text, mark)
    return text, found.total()


def mark(kind: str, _secret: str) -> str:
    """Return what stands in the place of a secret."""
    return f"[REDACTED:{kind}]"


def cut(text: str, put: Mark, detectors: Iterable[Detector] = DETECTORS) -> tuple[str, Counter[str]]:
    """Return the text with each secret replaced by what ``put`` returns for it, and how many of each kind were."""
    found: Counter[str] = Counter()
    folded = text.lower()
    for detector in detectors:
        for hint in detector.hints:
            if hint in folded:
                text, count = detector.cut(text, put)
                if count:
                    found[detector.kind] += count
                break
    return text, found
