"""How a span's attributes refer to text that a payload column holds already.

A text that an attribute holds word for word is not stored twice: in ``attributes`` the key then stands with the name of
the column behind an "@" (``@input``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

COLUMNS: Final = ("input", "output", "system_instructions", "tool_definitions")
REFERENCES: Final = {f"@{column}": column for column in COLUMNS}


def restored(attributes: Mapping[str, str], row: Mapping[str, Any]) -> dict[str, str]:
    """Return a span's attributes with every reference to a payload column replaced by that column's text."""
    return {key: str(row[REFERENCES[text]]) if text in REFERENCES else text for key, text in attributes.items()}
