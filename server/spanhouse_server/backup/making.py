"""Making a backup: what belongs to a server, taken at one moment, as a stream of bytes."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, fields
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from sqlalchemy import make_url

from spanhouse_analysis.times import rfc3339
from spanhouse_server.backup import archive
from spanhouse_server.backup.frozen import Frozen
from spanhouse_server.backup.manifest import Manifest
from spanhouse_server.settings import Settings
from spanhouse_storage.contract import Store
from spanhouse_storage.inspection import schema_number

_SQLITE: Final = b"SQLite format 3\x00"
_STAGING: Final = "backup-"
_BESIDE: Final = ("-wal", "-shm", "-journal", ".lock")
"""Endings of files that belong to an open database or process."""


@dataclass(frozen=True, slots=True)
class Source:
    """The server that is backed up.

    Attributes:
        online: whether it takes records meanwhile; else its journal is copied too.
        as_of: everything acknowledged before it is stored.
    """

    store: Store
    settings: Settings
    online: bool
    as_of: datetime


class Backup:
    """A backup that is ready to be read, once: iterate over its bytes; close it in any case.

    Raises:
        BackupError: the store is none that can be backed up here.
    """

    def __init__(self, source: Source) -> None:
        self._undo = ExitStack()
        with ExitStack() as undo:
            staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=source.settings.data_dir))
            undo.callback(shutil.rmtree, staging)
            # The state goes first: how far jobs have come must not be ahead of the rows, which they compute again.
            notes = _copy_state(source.settings, staging)
            frozen = undo.enter_context(Frozen(source.store))
            _copy_files(source, staging)
            unfinished = frozen.unfinished()
            if unfinished:
                notes.append(f"{unfinished} deletions were under way and are not carried over: repeat them")
            self.manifest = Manifest(
                spanhouse_version=version("spanhouse"),
                schema=schema_number(source.store),
                as_of=rfc3339(source.as_of) or "",
                online=source.online,
                tables=frozen.tables,
                settings=_told(source.settings),
                notes=notes,
            )
            self._frozen, self._staging = frozen, staging
            self._undo = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        return archive.pieces(self._files(), self.manifest)

    def close(self) -> None:
        """Let go of what was held."""
        self._undo.close()

    def _files(self) -> Iterator[tuple[str, Path]]:
        for path in _below(self._staging):
            yield str(path.relative_to(self._staging)), path
        for part in self._frozen.parts:
            for path in _below(part.path):
                yield f"tables/{part.table}/{part.name}/{path.relative_to(part.path)}", path


def _copy_state(settings: Settings, staging: Path) -> list[str]:
    path = state_file(settings)
    if path is None:
        kind = make_url(settings.state_url).get_backend_name()
        return [f"the state database is {kind} and not in it: back it up with its own tools at the same time"]
    _copy_sqlite(path, staging / "state" / "state.db")
    return []


def state_file(settings: Settings) -> Path | None:
    """Return the file of the state database; None where it is none of SQLite's."""
    if "://" not in settings.state_url:
        return Path(settings.state_url)
    url = make_url(settings.state_url)
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def _copy_files(source: Source, staging: Path) -> None:
    """Copy what else is in the data directory: token, keys, policy, rules, dead letters."""
    settings = source.settings
    left_out = {Path(settings.store_url).resolve(), staging.resolve()}
    state = state_file(settings)
    if state is not None:
        left_out.add(state.resolve())
    if source.online:
        # What the journal holds is stored by now; only what nobody can store is kept there alone.
        left_out.add((settings.data_dir / "journal").resolve())
        _copy_tree(settings.data_dir / "journal" / "dead-letters", staging / "data/journal/dead-letters", left_out)
    _copy_tree(settings.data_dir, staging / "data", left_out)
    for name in ("policy", "rules"):
        given = getattr(settings, name)
        target = staging / "data" / f"{name}.yaml"
        if given and not target.exists():
            _copy(Path(given).expanduser(), target)


def _copy_tree(folder: Path, target: Path, left_out: set[Path]) -> None:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.resolve() in left_out or path.is_symlink() or path.name.startswith(_STAGING):
            continue
        if path.is_dir():
            _copy_tree(path, target / path.name, left_out)
        elif path.is_file() and not path.name.endswith(_BESIDE):
            _copy(path, target / path.name)


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with path.open("rb") as file:
        database = file.read(len(_SQLITE)) == _SQLITE
    (_copy_sqlite if database else shutil.copyfile)(path, target)


def _copy_sqlite(path: Path, target: Path) -> None:
    """Copy a database that others write to, as of one moment."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


def _below(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(root) / name for name in sorted(names))


def _told(settings: Settings) -> dict[str, Any]:
    """Return the settings that are not the defaults, without what may hold a password."""
    default = Settings()
    said = {each.name: getattr(settings, each.name) for each in fields(Settings)}
    told = {name: value for name, value in said.items() if value != getattr(default, name)}
    return {name: _shown(str(value)) if isinstance(value, str) else value for name, value in told.items()}


def _shown(text: str) -> str:
    if "://" not in text:
        return text
    parsed = urlsplit(text)
    return parsed._replace(netloc=parsed.netloc.rpartition("@")[2]).geturl()
