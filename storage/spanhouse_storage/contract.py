"""What a span store promises its callers, and the errors it fails with.

StorageError
+-- StoreHeldError          another process, or this one, already has the directory open
+-- StoreUnavailableError   the store did not answer; the same call may succeed later
+-- SchemaTooNewError       the store was migrated by a newer release
+-- QueryError              the store understood the statement and refused it
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias

import pyarrow as pa

from spanhouse.errors import SpanhouseError


class StorageError(SpanhouseError):
    """The store could not do what was asked; the message names the cause and the fix."""


class StoreHeldError(StorageError):
    """The store directory is open elsewhere; the message names the process that holds it.

    Attributes:
        pid: process that holds the directory, or None where it is not known.
    """

    def __init__(self, message: str, *, pid: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid


class StoreUnavailableError(StorageError):
    """The store did not answer in time or could not be reached; retrying the same call is safe.

    Attributes:
        code: ClickHouse error code, or None where it is not known.
    """

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class SchemaTooNewError(StorageError):
    """The store was migrated by a newer release than this program."""


class QueryError(StorageError):
    """The store refused a statement; retrying it unchanged fails again.

    Attributes:
        code: ClickHouse error code, or None where it is not known.
    """

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """Which store this is. `url` carries no password and may be shown."""

    kind: Literal["embedded", "server"]
    url: str
    database: str
    engine_version: str
    opened_at: datetime


Parameters: TypeAlias = Mapping[str, Any]
"""Values for `{name:Type}` placeholders; times are passed as integers (`Int64` nanoseconds)."""

Settings: TypeAlias = Mapping[str, str]
"""Settings of the engine that hold for one query."""


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """What the engine wrote for one statement, in the format asked for.

    Attributes:
        body: the rows, whole.
        rows: how many; None where the engine does not say.
        rows_read: rows read from tables; None where the engine does not say.
        bytes_read: uncompressed bytes read from tables; None where the engine does not say.
    """

    body: bytes
    rows: int | None
    rows_read: int | None
    bytes_read: int | None


class Store(Protocol):
    """A ClickHouse store, embedded or behind a URL.

    Ownership: whoever opened a store closes it, once, after its own threads have stopped calling it. Every method may
    be called from any thread; inserts are done one after another, queries side by side.

    Failures: `StoreUnavailableError` for what a later call may mend, `QueryError` for a refused statement,
    `StorageError` for a call on a closed store.
    """

    @property
    def info(self) -> StoreInfo:
        """Which store this is."""
        ...

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Store the rows, all of them, before returning.

        The same `token` with the same rows is stored once however often it is sent, also after a crash between the
        insert and the caller's own record of it. `rows` has the columns of `tables.SCHEMAS[table]` in any order;
        narrower or wider types are cast. No rows is a no-op. More than 50 partitions (weeks) in one call are inserted
        one part after another.

        Raises:
            QueryError: a column is missing, unknown, or holds nulls where the table has none.
            StoreUnavailableError: nothing is known about what was stored; send the same token again.
        """
        ...

    def query(self, sql: str, parameters: Parameters | None = None, settings: Settings | None = None) -> pa.Table:
        """Return the statement's rows, read whole into memory; no rows is a table with the columns and length 0."""
        ...

    def read_only(
        self, sql: str, output: str, parameters: Parameters | None = None, settings: Settings | None = None
    ) -> RawAnswer:
        """Return the statement's rows in a format of the engine (`JSONCompact`, `Native`, ...).

        The statement runs in a session of its own that is set up first and then locked: it can change no table and no
        setting, the lock included. What else it may name is for the caller to check: on the embedded store a function
        still reads files, and `INTO OUTFILE` still writes them. `parameters` are texts, as HTTP carries them.
        """
        ...

    def execute(self, sql: str, parameters: Parameters | None = None) -> None:
        """Run a statement that returns no rows (DDL, OPTIMIZE, SYSTEM)."""
        ...

    def close(self) -> None:
        """Release the store. A second call does nothing; other calls afterwards raise `StorageError`."""
        ...
