"""JSON nested deeper than can be read, made shallow: what lies too deep is left out, everything else is as it was."""

from __future__ import annotations

import re
from typing import Final

# A string (to the end of the text where it is not closed, so that no part is looked at twice), or a bracket.
_PIECE: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)


def shallow(text: str, depth: int) -> str:
    """Return the JSON with every list and object that has ``depth`` others around it emptied."""
    kept: list[str] = []
    level = begin = 0
    for found in _PIECE.finditer(text):
        piece = found[0]
        if piece in "[{":
            level += 1
            if level == depth + 1:
                kept.append(text[begin : found.end()])
        elif piece in "]}":
            if level == depth + 1:
                begin = found.start()
            level -= 1
    if level <= depth:
        kept.append(text[begin:])
    return "".join(kept)
