"""What a store is made of at this moment: sizes by table, and how its schema differs from this program's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spanhouse_storage import sql
from spanhouse_storage.cluster import LOCAL
from spanhouse_storage.contract import Store
from spanhouse_storage.drift import drift
from spanhouse_storage.tables import SCHEMAS

__all__ = ["TableSize", "drift", "engine_seconds", "outdated_parts", "schema_number", "sizes"]

_PACKAGE = "spanhouse_storage"


@dataclass(frozen=True, slots=True)
class TableSize:
    """One table: its rows, versions of the same row included, and its bytes on disk."""

    table: str
    rows: int
    bytes: int


def sizes(store: Store) -> list[TableSize]:
    """Return the sizes of this program's tables, the largest first."""
    rows = store.query(sql.load(_PACKAGE, "table_sizes"), {"tables": list(SCHEMAS)}).to_pylist()
    return [TableSize(**row) for row in rows]


def engine_seconds(store: Store) -> int:
    """Return the engine's own time in seconds since 1970, the one its parts are stamped with."""
    return int(store.query("SELECT toUnixTimestamp(now()) AS at").column("at")[0].as_py())


def outdated_parts(store: Store, tables: Iterable[str], before: int) -> int:
    """Return how many parts of these tables nobody reads since before an `engine_seconds` and are still on disk."""
    named = [*tables]
    # On a cluster the rows are in the shards' own tables.
    named += [table + LOCAL for table in named]
    found = store.query(sql.load(_PACKAGE, "outdated_parts"), {"tables": named, "before": before})
    return int(found.column("parts")[0].as_py())


def schema_number(store: Store) -> int:
    """Return the number of the newest migration the store has."""
    found = store.query("SELECT max(number) AS newest FROM schema_migrations").column("newest")[0].as_py()
    return int(found)
