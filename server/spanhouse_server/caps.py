"""What one question to the API may cost the store, and what to tell somebody who asked for more."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import pyarrow as pa

from spanhouse_server.settings import Settings
from spanhouse_storage.contract import Parameters, QueryError, RawAnswer, StorageError, Store, StoreUnavailableError
from spanhouse_storage.contract import Settings as EngineSettings

_SLOW: Final = frozenset({159, 160})
_MEMORY: Final = 241
_ROWS: Final = frozenset({158, 307})
_NARROWER: Final = (
    "ask for a shorter window (since=, until=), add a filter on a field of runs, or take out text and span(…)"
)


class OverCapError(StorageError):
    """A question cost more than its cap; the message names the cap and how to narrow the question.

    Attributes:
        status: HTTP status of the answer.
    """

    def __init__(self, message: str, status: HTTPStatus) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class QueryCaps:
    """What each query of a request may use: seconds of time, bytes of memory, and rows it may read."""

    seconds: float
    memory: int
    rows: int

    @classmethod
    def of(cls, settings: Settings) -> QueryCaps:
        """Return the caps that the settings name."""
        return cls(settings.query_seconds, settings.query_memory, settings.query_rows)

    def settings(self) -> EngineSettings:
        """Return the engine's settings that hold a query to this; at half the memory sorting uses the disk."""
        return {
            "max_execution_time": f"{self.seconds:g}",
            "max_memory_usage": str(self.memory),
            "max_bytes_before_external_group_by": str(self.memory // 2),
            "max_bytes_before_external_sort": str(self.memory // 2),
            "max_rows_to_read": str(self.rows),
        }

    def judged(self, error: QueryError | StoreUnavailableError) -> StorageError:
        """Return what a failed query means: over a cap, or what it was."""
        if error.code in _SLOW:
            message = f"the question took longer than {self.seconds:g} s (SPANHOUSE_QUERY_SECONDS): {_NARROWER}"
            return OverCapError(message, HTTPStatus.SERVICE_UNAVAILABLE)
        # Where the whole engine is short of memory, a narrower question is no help and a later one may be.
        if error.code == _MEMORY and "(total)" not in str(error):
            message = (
                f"the question needed more than {self.memory:,} bytes of memory (SPANHOUSE_QUERY_MEMORY): {_NARROWER}"
            )
            return OverCapError(message, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if error.code in _ROWS:
            message = f"the question had to read more than {self.rows:,} rows (SPANHOUSE_QUERY_ROWS): {_NARROWER}"
            return OverCapError(message, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return error


class CappedStore:
    """The store contract for questions from outside, each held to the caps.

    Args:
        store: the store; it stays its owner's to close.
        caps: what a query may use.
    """

    def __init__(self, store: Store, caps: QueryCaps) -> None:
        self._store = store
        self._caps = caps
        self.info = store.info

    def query(self, sql: str, parameters: Parameters | None = None, settings: EngineSettings | None = None) -> pa.Table:
        """Return the statement's rows; see `contract.Store.query`.

        Raises:
            OverCapError: it would have used more than its caps.
        """
        try:
            return self._store.query(sql, parameters, {**self._caps.settings(), **(settings or {})})
        except (QueryError, StoreUnavailableError) as error:
            raise self._caps.judged(error) from error

    def read_only(
        self, sql: str, output: str, parameters: Parameters | None = None, settings: EngineSettings | None = None
    ) -> RawAnswer:
        """Return the statement's rows from a locked session, which has caps of its own."""
        return self._store.read_only(sql, output, parameters, settings)

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Store the rows."""
        self._store.insert(table, rows, token)

    def execute(self, sql: str, parameters: Parameters | None = None) -> None:
        """Run a statement that returns no rows."""
        self._store.execute(sql, parameters)

    def close(self) -> None:
        """Leave the store to its owner."""
