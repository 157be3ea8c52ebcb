"""The simple filters (``agent=support``) as what they are: conditions of the language.

Their names are query parameters of the API, options of the command line, and what the dashboards keep in the address.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from spanhouse.filters.fields import RUN_FIELDS
from spanhouse.filters.nodes import Compare, Name, Node, OneOf, all_of

SIMPLE_TEXTS: Final = (
    *("tenant", "environment", "agent", "agent_version", "model", "status", "stop_reason", "outcome", "type", "task"),
    *("task_type", "variant", "session_id", "user_id", "request_id", "tool"),
)
"""Filters that take one or several values, any of which will do."""

SIMPLE_FLAGS: Final = ("escalated", "completed", "complete")
"""Filters that are true or false."""

SIMPLE_WORDS: Final = ("text",)
"""Filters that take a word to look for."""


def expression_of(given: Mapping[str, str | bool | Iterable[str] | None]) -> Node | None:
    """Return the condition that simple filters stand for, all of which must hold; None where none is set.

    Raises:
        KeyError: a name is none of the simple filters.
    """
    parts: list[Node] = []
    for name, value in given.items():
        if value is None or value == "":
            continue
        subject = Name(RUN_FIELDS[name].name)
        if name in SIMPLE_FLAGS:
            wanted = value if isinstance(value, bool) else str(value).lower() == "true"
            parts.append(Compare(subject, "=", wanted))
        elif name in SIMPLE_WORDS:
            parts.append(Compare(subject, "~", str(value)))
        elif name in SIMPLE_TEXTS:
            texts = [value] if isinstance(value, str) else [text for text in _texts(value) if text]
            if len(texts) == 1:
                parts.append(Compare(subject, "=", texts[0]))
            elif texts:
                parts.append(OneOf(subject, tuple(texts)))
        else:
            raise KeyError(name)
    return all_of(parts)


def _texts(value: object) -> Iterable[str]:
    return value if isinstance(value, Iterable) else (str(value),)
