"""Restoring a backup into an empty directory, checked file by file and table by table."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from spanhouse_server.backup.archive import Archive
from spanhouse_server.backup.errors import BackupError
from spanhouse_server.backup.manifest import Manifest, Table
from spanhouse_storage.contract import Store
from spanhouse_storage.migrations import migrations
from spanhouse_storage.opening import open_store

_STORE: Final = "store"
_STATE: Final = "state/state.db"


def check(path: Path, progress: Callable[[int, int], None] = lambda _done, _all: None) -> Manifest:
    """Return the manifest of a backup of which every file is as it was made.

    Raises:
        BackupError: it is not; the message says what.
    """
    archive = Archive(path)
    try:
        members = archive.manifest.members
        for number, name in enumerate(members, 1):
            archive.copy(name, None)
            progress(number, len(members))
        return archive.manifest
    finally:
        archive.close()


def restore(path: Path, into: Path, progress: Callable[[int, int], None] = lambda _done, _all: None) -> Manifest:
    """Make the data directory that the backup was made of, and return the backup's manifest.

    Raises:
        BackupError: the directory holds something, the backup is of a newer schema, or a file or a table is not as the
            manifest says; nothing is left behind then.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        msg = f"{into} is not empty: name a directory that is, or is not there yet; nothing is overwritten"
        raise BackupError(msg)
    archive = Archive(path)
    try:
        newest = migrations()[-1].number
        if archive.manifest.schema > newest:
            msg = (
                f"{path} has schema {archive.manifest.schema}, made by spanhouse {archive.manifest.spanhouse_version}, "
                f"and this program knows up to {newest}: upgrade spanhouse"
            )
            raise BackupError(msg)
        into.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            _fill(archive, into, progress)
        except BaseException:
            for left in into.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            raise
        return archive.manifest
    finally:
        archive.close()


def _fill(archive: Archive, into: Path, progress: Callable[[int, int], None]) -> None:
    manifest = archive.manifest
    done = 0
    for name in manifest.members:
        if not name.startswith("tables/"):
            archive.copy(name, into / "state.db" if name == _STATE else into / name.partition("/")[2])
            done += 1
            progress(done, len(manifest.members))
    store = open_store(into / _STORE)
    try:
        for table in manifest.tables:
            store.execute(table.create)
            # Merging would replace old versions of rows before they are counted.
            store.execute(f"SYSTEM STOP MERGES {table.name}")
            folder = _folder(store, table.name)
            prefix = f"tables/{table.name}/"
            for name in [each for each in manifest.members if each.startswith(prefix)]:
                archive.copy(name, folder / "detached" / name.removeprefix(prefix))
                done += 1
                progress(done, len(manifest.members))
            _attach(store, table)
    finally:
        store.close()


def _folder(store: Store, table: str) -> Path:
    rows = store.query(
        "SELECT data_paths[1] AS path FROM system.tables WHERE database = currentDatabase() AND name = {name:String}",
        {"name": table},
    )
    return Path(rows.column("path")[0].as_py())


def _attach(store: Store, table: Table) -> None:
    # In the order of their age: of two equal versions of a row the later insert is the one that counts.
    for part in table.parts:
        store.execute(f"ALTER TABLE {table.name} ATTACH PART {{part:String}}", {"part": part})
    found = store.query(f"SELECT count() AS n FROM {table.name}").column("n")[0].as_py()  # noqa: S608 - a checked name
    if found != table.rows:
        msg = f"table {table.name} has {found:,} rows after restoring, not {table.rows:,}: use another backup"
        raise BackupError(msg)
