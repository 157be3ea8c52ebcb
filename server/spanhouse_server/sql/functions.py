"""Which functions a statement may call: those in `allowed.toml`, and aggregates with combinators."""

from __future__ import annotations

from typing import Final

from spanhouse_server.sql import allowed

AGGREGATES: Final = allowed.words("functions", "aggregates")
_ANY_CASE: Final = {name.lower() for name in allowed.functions()}
_COMBINATORS: Final = ("If", "Array", "Map", "OrNull", "OrDefault", "Distinct", "ForEach", "ArgMin", "ArgMax")

MEMBERSHIP: Final = frozenset(name for name in allowed.words("functions", "operators") if name.lower().endswith("in"))
"""Functions whose second argument may be the name of a table."""


def is_allowed(name: str) -> bool:
    """Return whether a function may be called, combinators of aggregates (`countIf`) included.

    The engine tells most names apart by case and some not, so a name counts in any case: no allowed function has a
    forbidden one that differs from it in case alone.
    """
    if name.lower() in _ANY_CASE:
        return True
    return any(name.endswith(ending) and is_aggregate(name.removesuffix(ending)) for ending in _COMBINATORS)


def is_aggregate(name: str) -> bool:
    """Return whether this is an allowed aggregate, combinators included."""
    if name in AGGREGATES or name.lower() in {"count", "sum", "min", "max", "avg"}:
        return True
    return any(name.endswith(ending) and is_aggregate(name.removesuffix(ending)) for ending in _COMBINATORS)
