"""Secrets cut out of text before it leaves the process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from spanhouse.detectors import DETECTORS, Detector
from spanhouse.secret_members import Mark

__all__ = ["cut", "mark", "redact"]


def redact(text: str) -> tuple[str, int]:
    """Return the text with secrets replaced by ``[REDACTED:<kind>]``, and how many were replaced.

    Finds what `spanhouse.detectors` lists. JSON stays JSON, and a text redacted before stays as it is.
    """
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
