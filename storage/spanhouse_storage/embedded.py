"""The store in a directory: ClickHouse inside this process (chDB), one process a directory."""

from __future__ import annotations

import os
import queue
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import chdb
import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from spanhouse_storage.clickhouse import READ_SETTINGS, ClickHouseStore, refused, use_database
from spanhouse_storage.contract import Parameters, RawAnswer, Settings, StorageError, StoreUnavailableError
from spanhouse_storage.directory import StoreDirectory
from spanhouse_storage.signals import restore_defaults

READERS = 4
"""Queries that run side by side; one client runs one call at a time."""

READER_WAIT_SECONDS = 30.0
QUERY_SECONDS = 60

_MIB = 1 << 20
_DATABASE = "spanhouse"
_OTHER_PATH = re.compile(r"already initialized with path '([^']*)'")


def memory_options(physical_bytes: int) -> dict[str, int]:
    """Return the engine's memory caps for a machine of that size.

    The engine's own defaults are 90 % of memory, a 5 GB mark cache and no cap a query: too much for a guest in
    someone's process.
    """
    engine = min(max(physical_bytes * 2 // 5, 1024 * _MIB), 8192 * _MIB)
    query = engine // 2
    return {
        "max_server_memory_usage": engine,
        "mark_cache_size": 256 * _MIB,
        "max_memory_usage": query,
        "max_bytes_before_external_group_by": query // 2,
        "max_bytes_before_external_sort": query // 2,
    }


class EmbeddedStore(ClickHouseStore):
    """The store contract on a directory that this process owns while the store is open."""

    def __init__(self, path: Path) -> None:
        self._directory = StoreDirectory(path.absolute())
        self._closed = False
        self._write_lock = threading.Lock()
        self._sessions, self._sessions_changed = 0, threading.Condition()
        self._clients: list[Client] = []
        self._idle: queue.LifoQueue[Client] = queue.LifoQueue()
        try:
            self._write_client = self._open_client({})
            use_database(self._write_client, _DATABASE)
            for _ in range(READERS):
                reader = self._open_client({**READ_SETTINGS, "max_execution_time": QUERY_SECONDS})
                reader.database = _DATABASE
                self._idle.put(reader)
        except ClickHouseError as error:
            self._release()
            raise self._refusal(error) from error
        except BaseException:
            self._release()
            raise
        restore_defaults()
        super().__init__(
            kind="embedded",
            url=str(self._directory.path),
            database=_DATABASE,
            engine_version=str(self._write_client.server_version),
        )

    def _refusal(self, error: ClickHouseError) -> StorageError:
        """Return what kept the engine from opening; its own message is empty where another process runs one here."""
        elsewhere = _OTHER_PATH.search(str(error))
        if elsewhere:
            return StorageError(
                f"cannot open the store {self._directory.path}: this process has {elsewhere[1]} open, "
                "and an engine serves one directory at a time; close that store first"
            )
        return self._directory.engine_holder() or StorageError(f"cannot open the store {self._directory.path}: {error}")

    def _open_client(self, settings: dict[str, Any]) -> Client:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        client = clickhouse_connect.get_client(
            interface="chdb",
            path=str(self._directory.engine),
            chdb_options=memory_options(physical),
            settings=settings,
        )
        self._clients.append(client)
        return client

    def read_only(
        self, sql: str, output: str, parameters: Parameters | None = None, settings: Settings | None = None
    ) -> RawAnswer:
        """Return the statement's rows from a locked session; see `contract.Store.read_only`."""
        with self._locked({**READ_SETTINGS, **(settings or {})}) as session:
            try:
                answer = session.query(sql, output, params=dict(parameters or {}))
            except RuntimeError as error:
                raise refused(str(error), "query") from error
            # What the engine calls read is what it gave back; what it read is its storage's.
            return RawAnswer(
                answer.bytes() or b"", answer.rows_read(), answer.storage_rows_read(), answer.storage_bytes_read()
            )

    @contextmanager
    def _locked(self, settings: Settings) -> Iterator[Any]:
        # Two milliseconds to open; what one statement could leave behind in a session is gone with it.
        with self._sessions_changed:
            self._check_open()
            session = chdb.connect(str(self._directory.engine))
            self._sessions += 1
        try:
            session.query(f"USE {_DATABASE}")
            for name, value in settings.items():
                session.query(f"SET {name} = {_literal(value)}")
            session.query("SET readonly = 1")
            yield session
        except RuntimeError as error:
            raise refused(str(error), "prepare a session") from error
        finally:
            session.close()
            with self._sessions_changed:
                self._sessions -= 1
                self._sessions_changed.notify_all()

    @contextmanager
    def _reader(self) -> Iterator[Client]:
        self._check_open()
        try:
            client = self._idle.get(timeout=READER_WAIT_SECONDS)
        except queue.Empty:
            msg = (
                f"all {READERS} readers of the store were busy for {READER_WAIT_SECONDS:.0f} s: ask for less, or later"
            )
            raise StoreUnavailableError(msg) from None
        try:
            self._check_open()
            yield client
        finally:
            self._idle.put(client)

    @contextmanager
    def _writer(self) -> Iterator[Client]:
        with self._write_lock:
            self._check_open()
            yield self._write_client

    def _send(self, client: Client, table: str, rows: pa.Table, settings: dict[str, Any]) -> None:
        # The driver would copy the batch through the system's temporary directory; ours is private and swept at the
        # next start.
        file = self._directory.scratch / f"{uuid.uuid4().hex}.arrow"
        try:
            with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
                writer.write_table(rows)
            columns = ", ".join(rows.column_names)
            clause = ", ".join(f"{name} = {_literal(value)}" for name, value in settings.items())
            client.command(
                f"INSERT INTO {table} ({columns}) FROM INFILE {_literal(str(file))} SETTINGS {clause} FORMAT Arrow"
            )
        finally:
            with suppress(FileNotFoundError):
                file.unlink()

    def _check_open(self) -> None:
        if self._closed:
            msg = f"the store {self._directory.path} is closed"
            raise StorageError(msg)

    def close(self) -> None:
        """Wait for calls under way, close every client and release the directory."""
        if self._closed:
            return
        self._closed = True
        with self._sessions_changed:
            self._sessions_changed.wait_for(lambda: not self._sessions)
        with self._write_lock:
            self._release()

    def _release(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()
        self._directory.release()


def _literal(value: Any) -> str:  # noqa: ANN401 - settings are text or numbers
    escaped = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
