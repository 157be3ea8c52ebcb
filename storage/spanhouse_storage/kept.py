"""A store that shows nothing past its time and takes nothing of whoever was erased."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from spanhouse_storage.contract import Parameters, RawAnswer, Settings, StorageError, Store, StoreInfo
from spanhouse_storage.narrowing import SETTING, TableFilters
from spanhouse_storage.retention import Retention, kept
from spanhouse_storage.screen import Screen


class KeptStore:
    """The store contract over another store, under its tenants' retention; everyone but the jobs that delete uses it.

    What is past its time is left out of every query by the engine, on each table a statement names, before it is
    removed from disk. Without retention a query is passed on as it is.

    Args:
        store: the store; closing this closes it.
        screen: decides what may be inserted.
        retention: returns the lives that hold now.
        removed: returns up to when content is gone, see `retention.kept`.
        clock: the time, aware.
    """

    def __init__(
        self,
        store: Store,
        screen: Screen,
        *,
        retention: Callable[[], Retention],
        removed: Callable[[], Mapping[str, datetime]],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.inner = store
        self._screen, self._retention, self._removed, self._clock = screen, retention, removed, clock
        self._lock = threading.Lock()
        self._conditions: tuple[Any, dict[str, str]] = (None, {})

    @property
    def info(self) -> StoreInfo:
        """Which store this is."""
        return self.inner.info

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Store the rows that may be stored; see `contract.Store.insert`."""
        self.inner.insert(table, self._screen(table, rows).rows, token)

    def query(self, sql: str, parameters: Parameters | None = None, settings: Settings | None = None) -> pa.Table:
        """Return the statement's rows without those past their time; see `contract.Store.query`."""
        return self.inner.query(sql, parameters, self._narrowed(settings))

    def read_only(
        self, sql: str, output: str, parameters: Parameters | None = None, settings: Settings | None = None
    ) -> RawAnswer:
        """Return the statement's rows without those past their time; see `contract.Store.read_only`."""
        return self.inner.read_only(sql, output, parameters, self._narrowed(settings))

    def execute(self, sql: str, parameters: Parameters | None = None) -> None:
        """Run a statement without rows; see `contract.Store.execute`."""
        self.inner.execute(sql, parameters)

    def close(self) -> None:
        """Release the store."""
        self.inner.close()

    def _narrowed(self, settings: Settings | None) -> Settings | None:
        conditions = self._now()
        if not conditions:
            return settings
        given = (settings or {}).get(SETTING)
        if given is None:
            return {**(settings or {}), SETTING: TableFilters(conditions)}
        if not isinstance(given, TableFilters):
            msg = (
                f"the setting {SETTING} must be made by TableFilters: as bare text it would replace the retention's own"
            )
            raise StorageError(msg)
        return {**(settings or {}), SETTING: given.also(conditions)}

    def _now(self) -> dict[str, str]:
        retention, removed = self._retention(), self._removed()
        now = self._clock().replace(second=0, microsecond=0)
        known = (id(retention), tuple(sorted(removed.items())), now)
        with self._lock:
            if self._conditions[0] != known:
                self._conditions = known, kept(retention, now, removed)
            return self._conditions[1]
