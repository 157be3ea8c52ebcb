"""What the embedded and the server store have in common: both speak through clickhouse-connect's client."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

import pyarrow as pa
import pyarrow.ipc
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

from spanhouse_storage.contract import (
    Parameters,
    QueryError,
    RawAnswer,
    Settings,
    StorageError,
    StoreInfo,
    StoreUnavailableError,
)
from spanhouse_storage.partitions import parts
from spanhouse_storage.tables import SCHEMAS, conform

INSERT_SETTINGS = {"optimize_on_insert": 0, "async_insert": 0}
"""Merging inside the insert costs half its time, and replacing tables do it later anyway; an asynchronous insert
would answer before the rows are stored."""

READ_SETTINGS: dict[str, Any] = {
    # Every table's partition follows from its sorting key, so versions of a row never meet across partitions.
    "do_not_merge_across_partitions_select_final": 1,
    "output_format_arrow_string_as_string": 1,
    "output_format_arrow_compression_method": "none",
    # A list of thousands of ids is longer than the default 256 kB.
    "max_query_size": 64 << 20,
}

# Overload, lost connections, read-only replicas, too many parts, no memory, no disk: all pass without the caller
# changing anything.
_PASSING_CODES = frozenset({202, 203, 209, 210, 236, 241, 242, 243, 252, 279, 285, 319, 394, 425, 999})
_CODE = re.compile(r"Code: (\d+)\.")
_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


class ClickHouseStore(ABC):
    """The store contract over clickhouse-connect; subclasses lend the clients and hand over Arrow rows."""

    def __init__(self, *, kind: Literal["embedded", "server"], url: str, database: str, engine_version: str) -> None:
        self._info = StoreInfo(kind, url, database, engine_version, datetime.now(UTC))

    @property
    def info(self) -> StoreInfo:
        """Which store this is."""
        return self._info

    @abstractmethod
    def _reader(self) -> AbstractContextManager[Client]:
        """Lend a client for one query."""

    @abstractmethod
    def _writer(self) -> AbstractContextManager[Client]:
        """Lend the client that inserts and changes the schema, to one caller at a time."""

    @abstractmethod
    def _send(self, client: Client, table: str, rows: pa.Table, settings: dict[str, Any]) -> None:
        """Insert rows that already have the table's exact schema."""

    @abstractmethod
    def read_only(
        self, sql: str, output: str, parameters: Parameters | None = None, settings: Settings | None = None
    ) -> RawAnswer:
        """Return the statement's rows from a locked session; see `contract.Store.read_only`."""

    @abstractmethod
    def close(self) -> None:
        """Release the store."""

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Store the rows once; see `contract.Store.insert`."""
        if table not in SCHEMAS:
            msg = f"cannot insert into {table!r}: the tables are {', '.join(SCHEMAS)}"
            raise QueryError(msg)
        if not rows.num_rows:
            return
        try:
            exact = conform(table, rows)
        except ValueError as error:
            raise QueryError(str(error)) from error
        with self._writer() as client:
            for part, part_token in parts(table, exact, token):
                settings = {**INSERT_SETTINGS, "insert_deduplication_token": part_token}
                with translated(f"insert {part.num_rows} rows into {table}"):
                    self._send(client, table, part, settings)

    def query(self, sql: str, parameters: Parameters | None = None, settings: Settings | None = None) -> pa.Table:
        """Return the statement's rows; see `contract.Store.query`."""
        with self._reader() as client, translated("query"):
            answer = client.raw_query(sql, dict(parameters or {}), dict(settings or {}), fmt="ArrowStream")
        with pa.ipc.open_stream(answer) as stream:
            return stream.read_all()

    def execute(self, sql: str, parameters: Parameters | None = None) -> None:
        """Run a statement without rows; see `contract.Store.execute`."""
        with self._writer() as client, translated("execute"):
            client.command(sql, dict(parameters or {}))


def use_database(client: Client, database: str, cluster: str = "") -> None:
    """Make `database` the client's own, creating it first where it does not exist.

    Raises:
        StorageError: the name is no plain identifier.
    """
    if not _NAME.match(database):
        msg = f"database name {database!r} cannot be used: use letters, digits and underscores"
        raise StorageError(msg)
    known = client.command(
        "SELECT count() FROM system.databases WHERE name = {name:String}", {"name": database}, use_database=False
    )
    if known == 0:
        everywhere = f" ON CLUSTER {cluster}" if cluster else ""
        client.command(f"CREATE DATABASE IF NOT EXISTS {database}{everywhere}", use_database=False)
    client.database = database


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn the driver's errors into those of the store."""
    try:
        yield
    except ClickHouseError as error:
        raise translate(error, what) from error


def refused(text: str, what: str) -> StorageError:
    """Return the storage error for the engine's own text, which begins with its code."""
    found = _CODE.search(text)
    code = int(found[1]) if found else None
    kind = StoreUnavailableError if code in _PASSING_CODES else QueryError
    return kind(f"could not {what}: {text}", code=code)


def translate(error: ClickHouseError, what: str) -> StorageError:
    """Return the storage error that says whether the same call may succeed later."""
    code: int | None = getattr(error, "code", None)
    # The driver raises OperationalError where no answer came, or one that it took for passing.
    if code in _PASSING_CODES or (isinstance(error, OperationalError) and code is None):
        return StoreUnavailableError(f"could not {what}: {error}", code=code)
    return QueryError(f"could not {what}: {error}", code=code)
