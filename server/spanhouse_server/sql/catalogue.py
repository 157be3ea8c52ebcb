"""The engine's own tables that clients read when they connect, cut down to what is ours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from spanhouse_server.sql import allowed

CHANGEABLE: Final = allowed.words("settings", "changeable")
"""Settings that a client may send: they say how the answer is written. None of them widens what can be read."""

IGNORED: Final = allowed.words("settings", "ignored")
"""Settings that a client may send and that change nothing: the door's own bounds hold."""


_DATABASES: Final = "SELECT name, engine, engine_full, comment FROM system.databases WHERE name = '{database}'"
_TABLES: Final = """
SELECT database, name, engine, primary_key, sorting_key, partition_key, comment, total_rows, total_bytes
FROM system.tables WHERE database = '{database}' AND name IN ({ours})
"""
_COLUMNS: Final = """
SELECT database, table, name, type, position, default_kind, default_expression, comment, is_in_partition_key,
    is_in_sorting_key, is_in_primary_key, compression_codec
FROM system.columns WHERE database = '{database}' AND table IN ({ours})
"""
_SETTINGS: Final = """
SELECT name, value, changed, description, 0 AS readonly, type FROM system.settings WHERE name IN ({known})
"""
_FUNCTIONS: Final = """
SELECT name, is_aggregate, case_insensitive, alias_to, origin, description, syntax, arguments, returned_value, examples,
    categories
FROM system.functions WHERE name IN ({functions})
"""
_SHOW_DATABASES: Final = "SELECT name FROM system.databases ORDER BY name"
_SHOW_TABLES: Final = "SELECT name FROM system.tables WHERE database = '{}' ORDER BY name"
_DESCRIBE: Final = """
SELECT name, type, default_kind AS default_type, default_expression, comment, compression_codec AS codec_expression,
    '' AS ttl_expression
FROM system.columns WHERE database = '{}' AND table = '{}' ORDER BY position
"""


def sources(database: str, tables: Iterable[str]) -> dict[str, str]:
    """Return, by name of the system table, the SELECT that stands in for it."""
    ours = ", ".join(f"'{name}'" for name in tables)
    known = ", ".join(f"'{name}'" for name in sorted(CHANGEABLE | IGNORED))
    functions = ", ".join(f"'{name}'" for name in sorted(allowed.functions()))
    return {
        "databases": _DATABASES.format(database=database),
        "tables": _TABLES.format(database=database, ours=ours),
        "columns": _COLUMNS.format(database=database, ours=ours),
        "settings": _SETTINGS.format(known=known),
        "functions": _FUNCTIONS.format(functions=functions),
    }


def asked(sql: str, database: str) -> str | None:
    """Return the SELECT that a SHOW or DESCRIBE means, or None where the statement is neither."""
    words = _words(sql)
    verbs = [word.upper() for word in words[:2]]
    if verbs == ["SHOW", "DATABASES"] and len(words) == 2:  # noqa: PLR2004 - the two words
        return _SHOW_DATABASES
    if verbs == ["SHOW", "TABLES"]:
        named = _database(words[2:], database)
        return _SHOW_TABLES.format(named) if named else None
    if verbs[:1] in (["DESCRIBE"], ["DESC"]):
        rest = words[2:] if verbs[1:] == ["TABLE"] else words[1:]
        if len(rest) == 1:
            rest = [database, ".", *rest]
        if len(rest) == 3 and rest[1] == ".":  # noqa: PLR2004 - database, dot, table
            return _DESCRIBE.format(rest[0], rest[2])
    return None


def _database(rest: list[str], database: str) -> str | None:
    if not rest:
        return database
    return rest[1] if len(rest) == 2 and rest[0].upper() in {"FROM", "IN"} else None  # noqa: PLR2004 - the two words


def _words(sql: str) -> list[str]:
    """Return the words of a short command, names without their quotes; nothing where it is no such command."""
    text = sql.strip().rstrip(";").replace(".", " . ")
    words = [word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in '"`' else word for word in text.split()]
    return words if len(words) <= 6 and all(word == "." or word.isidentifier() for word in words) else []  # noqa: PLR2004 - DESCRIBE TABLE database.table
