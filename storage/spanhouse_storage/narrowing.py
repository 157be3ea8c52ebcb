"""Conditions that the engine adds to each table a statement names: for tenants, and for what is past its time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Self

SETTING: Final = "additional_table_filters"


class TableFilters(str):
    """The engine's setting as text, its conditions still known apart, so that two narrowings can meet in one query.

    Attributes:
        conditions: table -> condition in ClickHouse's SQL.
    """

    __slots__ = ("conditions",)
    conditions: dict[str, str]

    def __new__(cls, conditions: Mapping[str, str]) -> Self:
        """Return the filters of some conditions."""
        text = ", ".join(f"'{table}': '{_escaped(condition)}'" for table, condition in conditions.items())
        made = super().__new__(cls, f"{{{text}}}")
        made.conditions = dict(conditions)
        return made

    def also(self, others: Mapping[str, str]) -> TableFilters:
        """Return filters under which a row must meet these conditions and the others of its table."""
        both = dict(others)
        for table, condition in self.conditions.items():
            both[table] = f"({condition}) AND ({both[table]})" if table in both else condition
        return TableFilters(both)


def literal(text: str) -> str:
    """Return SQL of a text: in hexadecimal nothing can be anything but a value."""
    return f"unhex('{text.encode().hex()}')"


def _escaped(condition: str) -> str:
    return condition.replace("\\", "\\\\").replace("'", "\\'")
