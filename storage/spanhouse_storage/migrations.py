"""Bringing a store's tables to this release: numbered files in `schema/`, each run once and in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version

from spanhouse_storage.contract import SchemaTooNewError, Store

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    number UInt32,
    name String,
    applied_at DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree ORDER BY number
"""

_RELEASE = "ALTER TABLE schema_migrations ADD COLUMN IF NOT EXISTS release String"

# In this order: quoted text (with escapes), quoted names, comments, the separator.
_TOKEN = re.compile(r"'(?:\\.|[^'\\])*'|`[^`]*`|\"[^\"]*\"|--[^\n]*|/\*.*?\*/|(?P<end>;)", re.DOTALL)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered schema file."""

    number: int
    name: str
    sql: str


def migrations() -> list[Migration]:
    """Return this release's migrations in order."""
    files = [file for file in resources.files(__package__).joinpath("schema").iterdir() if file.name.endswith(".sql")]
    return [
        Migration(int(file.name.split("_", 1)[0]), file.name.removesuffix(".sql"), file.read_text(encoding="utf-8"))
        for file in sorted(files, key=lambda file: file.name)
    ]


def migrate(store: Store) -> list[str]:
    """Run the migrations the store has not seen and return their names; none is run twice.

    Several processes may do this at once: every statement is harmless when repeated.

    Raises:
        SchemaTooNewError: the store knows a migration that this release does not.
    """
    store.execute(_LEDGER)
    store.execute(_RELEASE)
    known = migrations()
    applied = set(store.query("SELECT number FROM schema_migrations").column("number").to_pylist())
    newest = known[-1].number
    if applied and max(applied) > newest:
        msg = (
            f"the store {store.info.url} has schema {max(applied)} and this program knows up to {newest}: "
            f"upgrade spanhouse{_to_release(store)} (pip install --upgrade spanhouse), or point "
            "SPANHOUSE_STORE at another store"
        )
        raise SchemaTooNewError(msg)
    pending = [migration for migration in known if migration.number not in applied]
    for migration in pending:
        for statement in statements(migration.sql):
            store.execute(statement)
        store.execute(
            "INSERT INTO schema_migrations (number, name, release)"
            " SELECT {number:UInt32}, {name:String}, {release:String}",
            {"number": migration.number, "name": migration.name, "release": version("spanhouse")},
        )
    return [migration.name for migration in pending]


def _to_release(store: Store) -> str:
    rows = store.query("SELECT release FROM schema_migrations ORDER BY number DESC LIMIT 1")
    release = rows.column("release")[0].as_py()
    return f" to {release} or newer" if release else ""


def statements(sql: str) -> Iterator[str]:
    """Yield the statements of a file; semicolons in quotes and comments separate nothing."""
    begin = 0
    ends = [match.end() for match in _TOKEN.finditer(sql) if match["end"]]
    for end in [*ends, len(sql)]:
        statement = sql[begin:end].rstrip("; \n\t")
        begin = end
        if _COMMENT.sub("", statement).strip():
            yield statement.strip()
