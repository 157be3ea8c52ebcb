"""Small state that changes in place and must not be lost: control flags, alert state, the outbox, watermarks.

Parts register their tables on `metadata` when they are imported; `open_state` creates those that are missing. SQLite by
default, any SQLAlchemy URL where several servers share the state.
"""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import Column, Engine, MetaData, String, Table, Text, create_engine, event, insert, select, update
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.engine.url import URL
from sqlalchemy.pool import ConnectionPoolEntry

from spanhouse_storage.contract import StorageError

metadata = MetaData()

watermarks = Table(
    "watermarks",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("value", Text, nullable=False),
)
"""How far each job has come, by the job's name."""

BUSY_MILLISECONDS = 5_000


def open_state(url: str | Path) -> Engine:
    """Return an engine on the state database with every registered table in place.

    `url` is a file path or an SQLAlchemy URL. A new SQLite file is readable by its owner alone. The caller disposes
    of the engine. A commit survives a killed process; a power cut may take the last commits, never the file's
    integrity.

    Raises:
        StorageError: the file cannot be created.
    """
    text = str(url)
    if "://" not in text:
        text = URL.create("sqlite", database=str(_private_file(Path(url)))).render_as_string()
    engine = create_engine(text)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    metadata.create_all(engine)
    return engine


def get_watermark(engine: Engine, name: str) -> str | None:
    """Return the value last set under `name`, None where none was."""
    with engine.connect() as connection:
        return connection.scalar(select(watermarks.c.value).where(watermarks.c.name == name))


def set_watermark(engine: Engine, name: str, value: str) -> None:
    """Remember `value` under `name`, replacing what was there."""
    with engine.begin() as connection:
        changed = connection.execute(update(watermarks).where(watermarks.c.name == name).values(value=value))
        if not changed.rowcount:
            connection.execute(insert(watermarks).values(name=name, value=value))


def _private_file(path: Path) -> Path:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        # A file that an older umask left open is closed to others too; the journal files take their mode from it.
        path.chmod(0o600)
    except OSError as error:
        msg = f"cannot use {path} for state: {error.strerror}; set SPANHOUSE_DATA to a directory you own"
        raise StorageError(msg) from error
    return path


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    # With a write-ahead log, readers never wait for the writer, and NORMAL keeps every commit across a killed process.
    for pragma in (
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
        f"busy_timeout = {BUSY_MILLISECONDS}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
