"""What every column means, one sentence each: for `spanhouse sql --tables`, the API and docs/sql.md."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any, Final

from spanhouse_storage.contract import Store
from spanhouse_storage.tables import SCHEMAS

_COMMON: Final = "every_table"
_TABLES: Final = "tables"


@cache
def tables() -> tuple[str, ...]:
    """Return the tables that statements may read: those that are described."""
    return tuple(table for table in SCHEMAS if table in _file()[_TABLES])


@cache
def sentences() -> dict[str, dict[str, str]]:
    """Return, by table, a sentence for each column; under the empty name the sentence of the table itself."""
    given = _file()
    return {
        table: {
            "": given[_TABLES][table],
            **{name: given[table].get(name) or given[_COMMON].get(name, "") for name in SCHEMAS[table].names},
        }
        for table in tables()
    }


def described(store: Store) -> list[dict[str, Any]]:
    """Return every table that statements may read: `name`, `meaning`, `columns` of `name`, `type`, `meaning`."""
    rows = store.query(
        "SELECT table, name, type FROM system.columns WHERE database = {database:String} ORDER BY table, position",
        {"database": store.info.database},
    ).to_pylist()
    meanings = sentences()
    return [
        {
            "name": table,
            "meaning": meanings[table][""],
            "columns": [
                {"name": row["name"], "type": row["type"], "meaning": meanings[table].get(row["name"], "")}
                for row in rows
                if row["table"] == table
            ],
        }
        for table in tables()
    ]


@cache
def _file() -> dict[str, dict[str, str]]:
    return tomllib.loads(resources.files("spanhouse_server.sql").joinpath("columns.toml").read_text(encoding="utf-8"))
