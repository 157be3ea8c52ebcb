"""Small state that changes in place and must not be lost: control flags, alert state, the outbox, watermarks.

Parts register their tables on `metadata` when they are imported; `open_state` creates those that are missing. SQLite by
default, any SQLAlchemy URL where several servers share the state.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.engine.url import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from spanhouse_storage.contract import SchemaTooNewError, StorageError

metadata = MetaData()

watermarks = Table(
    "watermarks",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("value", Text, nullable=False),
)
"""How far each job has come, by the job's name."""

STATE_VERSION: Final = 1
"""Number of the state's schema; a release that a former one could not read raises it."""

_VERSION_NAME: Final = "state.schema"

BUSY_MILLISECONDS = 5_000


def open_state(url: str | Path) -> Engine:
    """Return an engine on the state database with every registered table in place.

    `url` is a file path or an SQLAlchemy URL. A new SQLite file is readable by its owner alone. The caller disposes
    of the engine. A commit survives a killed process; a power cut may take the last commits, never the file's
    integrity.

    Raises:
        StorageError: the file cannot be created, or the database does not answer.
        SchemaTooNewError: a newer release made the state.
    """
    given = str(url)
    if "://" not in given:
        given = URL.create("sqlite", database=str(_private_file(Path(url)))).render_as_string()
    # A database that was restarted, or a fail-over, leaves dead connections in the pool.
    engine = create_engine(given, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    try:
        with _alone(engine) as connection:
            metadata.create_all(connection)
            _check_version(connection, engine)
    except SQLAlchemyError as error:
        engine.dispose()
        shown = engine.url.render_as_string(hide_password=True)
        msg = f"cannot use the state database {shown}: {error}; set SPANHOUSE_STATE to one that answers"
        raise StorageError(msg) from error
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """Begin a transaction that no other process setting up the same state runs beside."""
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(727174)"))
        yield connection


def _check_version(connection: Connection, engine: Engine) -> None:
    """Bring the schema of the state to this release's, or refuse one of a newer release.

    Raises:
        SchemaTooNewError: a newer release made it.
    """
    said = connection.scalar(select(watermarks.c.value).where(watermarks.c.name == _VERSION_NAME))
    version = int(said) if said is not None else 0
    if version > STATE_VERSION:
        shown = engine.url.render_as_string(hide_password=True)
        msg = (
            f"the state {shown} has schema {version} and this program knows up to {STATE_VERSION}: "
            f"install the spanhouse that wrote it or a newer one (pip install --upgrade spanhouse)"
        )
        raise SchemaTooNewError(msg)
    _add_missing_columns(connection)
    if said is None:
        connection.execute(insert(watermarks).values(name=_VERSION_NAME, value=str(STATE_VERSION)))
    elif version < STATE_VERSION:
        connection.execute(
            update(watermarks).where(watermarks.c.name == _VERSION_NAME).values(value=str(STATE_VERSION))
        )


def _add_missing_columns(connection: Connection) -> None:
    """Add columns that a table of an older release lacks: empty text and 0 where none may be null."""
    known = inspect(connection)
    for table in metadata.sorted_tables:
        held = {column["name"] for column in known.get_columns(table.name)}
        for column in table.columns:
            if column.name in held:
                continue
            kind = column.type.compile(connection.dialect)
            filled = "''" if isinstance(column.type, String | Text) else "0"
            rule = "" if column.nullable else f" DEFAULT {filled} NOT NULL"
            quote = connection.dialect.identifier_preparer.quote
            connection.execute(text(f"ALTER TABLE {quote(table.name)} ADD COLUMN {quote(column.name)} {kind}{rule}"))


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
