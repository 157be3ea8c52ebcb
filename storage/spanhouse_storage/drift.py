"""How a store's tables differ from those this program's migrations make, and what mends each difference."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from spanhouse_storage import sql
from spanhouse_storage.cluster import LOCAL
from spanhouse_storage.contract import Store
from spanhouse_storage.migrations import migrations, statements
from spanhouse_storage.tables import SCHEMAS

_PACKAGE: Final = "spanhouse_storage"
_COMMENT: Final = re.compile(r"--[^\n]*")
_CREATE: Final = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)\s*\(\n(.*)\n\)\s*ENGINE", re.DOTALL)
_ALTER: Final = re.compile(r"ALTER TABLE (\w+)\s+(.*)", re.DOTALL)
_ADDED: Final = re.compile(r"ADD COLUMN (?:IF NOT EXISTS )?(\w+)\s+(.+)", re.DOTALL)
_INDEX: Final = re.compile(r"(?:ADD )?INDEX (?:IF NOT EXISTS )?(\w+)\s+(.+)", re.DOTALL)
_DROPPED: Final = re.compile(r"DROP (?:INDEX|COLUMN) (?:IF EXISTS )?(\w+)")
_MODIFIED: Final = re.compile(r"MODIFY COLUMN (?:IF EXISTS )?(\w+)\s+(.+)", re.DOTALL)
_REST: Final = re.compile(r"\s+(?:CODEC|DEFAULT|AFTER|FIRST|COMMENT)\b.*", re.DOTALL)


@dataclass(slots=True)
class _Made:
    """A table as the migrations make it: column -> type, index -> its definition."""

    columns: dict[str, str] = field(default_factory=dict)
    indexes: dict[str, str] = field(default_factory=dict)


def drift(store: Store) -> list[str]:
    """Return what is otherwise in the store than this program expects, each with its fix; none where all is right.

    A migration that was not run, a table, column or index that is missing, a column of another type, and a column that
    nobody here knows.
    """
    applied = set(store.query("SELECT number FROM schema_migrations").column("number").to_pylist())
    found = [
        f"migration {each.name} was not run: restart the server, which runs it"
        for each in migrations()
        if each.number not in applied
    ]
    columns = _by_table(store, "table_columns", "type")
    indexes = _by_table(store, "table_indexes", "type")
    for table, made in _expected().items():
        if table not in SCHEMAS:
            continue
        if table not in columns:
            number = next(m.number for m in migrations() if f"EXISTS {table}\n" in m.sql)
            forget = f"DELETE FROM schema_migrations WHERE number = {number}"  # noqa: S608 - advice, not run
            found.append(f"table {table} is missing: {forget}, then restart the server")
            continue
        found += _of_columns(table, made, columns[table])
        found += [
            f"index {table}.{name} is missing, reads by it are slow: "
            f"ALTER TABLE {table} ADD INDEX {name} {definition}, then MATERIALIZE INDEX {name}"
            for name, definition in made.indexes.items()
            if name not in indexes.get(table, {})
        ]
    return found


def _of_columns(table: str, made: _Made, held: dict[str, str]) -> Iterator[str]:
    for name, kind in made.columns.items():
        if name not in held:
            yield f"column {table}.{name} is missing: ALTER TABLE {table} ADD COLUMN {name} {kind}"
        elif _plain(held[name]) != _plain(kind):
            yield f"column {table}.{name} is {held[name]}, not {kind}: ALTER TABLE {table} MODIFY COLUMN {name} {kind}"
    for name in sorted(set(held) - set(made.columns)):
        yield f"column {table}.{name} is unknown: ALTER TABLE {table} DROP COLUMN {name}, if no newer release made it"


def _by_table(store: Store, statement: str, value: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    # On a cluster the indexes are those of the shards' own tables.
    tables = [*SCHEMAS, *(table + LOCAL for table in SCHEMAS)]
    rows: list[dict[str, Any]] = store.query(sql.load(_PACKAGE, statement), {"tables": tables}).to_pylist()
    for row in rows:
        found.setdefault(row["table"].removesuffix(LOCAL), {})[row["name"]] = row[value]
    return found


@cache
def _expected() -> dict[str, _Made]:
    found: dict[str, _Made] = {}
    for migration in migrations():
        for statement in statements(migration.sql):
            plain = _COMMENT.sub("", statement).strip()
            if created := _CREATE.search(plain):
                made = found.setdefault(created[1], _Made())
                for line in _parts(created[2]):
                    _add(made, line if line.startswith("INDEX") else f"ADD COLUMN {line}")
            elif altered := _ALTER.fullmatch(plain):
                for change in _parts(altered[2]):
                    _add(found.setdefault(altered[1], _Made()), change)
    return found


def _add(made: _Made, change: str) -> None:
    if index := _INDEX.fullmatch(change):
        made.indexes[index[1]] = index[2]
    elif column := _ADDED.fullmatch(change) or _MODIFIED.fullmatch(change):
        made.columns[column[1]] = _REST.sub("", column[2]).strip()
    elif dropped := _DROPPED.fullmatch(change):
        made.columns.pop(dropped[1], None)
        made.indexes.pop(dropped[1], None)


def _parts(text: str) -> Iterator[str]:
    """Yield what commas separate outside brackets."""
    depth, begin = 0, 0
    for at, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if character == "," and not depth:
            yield text[begin:at].strip()
            begin = at + 1
    if text[begin:].strip():
        yield text[begin:].strip()


def _plain(kind: str) -> str:
    return re.sub(r"\s+", "", kind)
