"""A moment of the embedded store, held by hard links while it is read: no insert waits, and no merge takes it away."""

from __future__ import annotations

import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from spanhouse_server.backup.errors import BackupError
from spanhouse_server.backup.manifest import Table
from spanhouse_storage.contract import Store

_PREFIX: Final = "spanhouse_backup_"
"""Of letters that the engine does not escape in names of folders."""
_PART: Final = re.compile(r"(?P<partition>.+)_(?P<first>\d+)_(?P<last>\d+)_(?P<level>\d+)(_\d+)?")


@dataclass(frozen=True, slots=True)
class FrozenPart:
    """One part of a table: a folder of files that nobody changes."""

    table: str
    name: str
    path: Path


class Frozen:
    """All tables as they are when it is entered; a context manager that lets go of them at its end.

    Attributes:
        tables: what the tables are.
        parts: their parts, in order of table and age.
    """

    def __init__(self, store: Store) -> None:
        if store.info.kind != "embedded":
            msg = f"{store.info.url} is a ClickHouse server, which backs up its own tables: {advice(store)}"
            raise BackupError(msg)
        self._store = store
        self.tables: list[Table] = []
        self.parts: list[FrozenPart] = []
        self._shadow: Path | None = None

    def __enter__(self) -> Self:
        [disk] = self._store.query("SELECT path FROM system.disks WHERE name = 'default'").to_pylist()
        shadow = Path(disk["path"]) / "shadow"
        for left in shadow.glob(f"{_PREFIX}*"):
            # Links of a backup whose process was killed: they keep files on the disk that the store has dropped.
            shutil.rmtree(left)
        name = f"{_PREFIX}{secrets.token_hex(6)}"
        self._shadow = shadow / name
        try:
            self._freeze(name)
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._release()

    def unfinished(self) -> int:
        """Return how many changes of whole tables (deletions among them) are still under way and not in the parts."""
        rows = self._store.query(
            "SELECT count() AS n FROM system.mutations WHERE database = currentDatabase() AND NOT is_done"
        )
        return int(rows.column("n")[0].as_py())

    def _freeze(self, name: str) -> None:
        assert self._shadow is not None
        known = self._store.query(
            "SELECT name, toString(uuid) AS uuid, create_table_query AS create FROM system.tables "
            "WHERE database = currentDatabase() AND engine LIKE '%MergeTree' ORDER BY name"
        ).to_pylist()
        for table in known:
            self._store.execute(f"ALTER TABLE {table['name']} FREEZE WITH NAME '{name}'")
        if not self._shadow.is_dir():
            msg = f"the engine froze its tables and left nothing in {self._shadow}; is its directory elsewhere?"
            raise BackupError(msg)
        for table in known:
            folder = self._shadow / "store" / table["uuid"][:3] / table["uuid"]
            parts = sorted((path for path in folder.glob("*") if _PART.fullmatch(path.name)), key=_age)
            rows = sum(int((path / "count.txt").read_text()) for path in parts)
            self.tables.append(Table(table["name"], table["create"], rows, [path.name for path in parts]))
            self.parts += [FrozenPart(table["name"], path.name, path) for path in parts]

    def _release(self) -> None:
        if self._shadow is not None and self._shadow.exists():
            shutil.rmtree(self._shadow)


def advice(store: Store) -> str:
    """Return how a ClickHouse server is backed up."""
    database = store.info.database
    return (
        f"run `BACKUP DATABASE {database} TO Disk('backups', '{database}.zip')` there, or use clickhouse-backup, and "
        "keep a copy of the data directory of this server beside it"
    )


def _age(path: Path) -> tuple[str, int]:
    found = _PART.fullmatch(path.name)
    assert found is not None
    return found["partition"], int(found["first"])
