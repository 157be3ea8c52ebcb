"""A store narrowed to some tenants: whatever is asked of it, the engine leaves out every other tenant's rows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import pyarrow as pa

from spanhouse_storage.contract import Parameters, RawAnswer, Settings, StorageError, Store, StoreInfo
from spanhouse_storage.narrowing import SETTING, TableFilters, literal
from spanhouse_storage.tables import SCHEMAS

TABLES: Final = tuple(name for name, schema in SCHEMAS.items() if "tenant" in schema.names)
"""Tables of which a tenant has rows of its own; the others are the server's and show nothing."""

_READ_ONLY: Final = "cannot {} through a store narrowed to some tenants: it is for reading"


class TenantStore:
    """The store contract for reads on behalf of somebody who may see some tenants only.

    The engine adds the condition to each table a statement names, wherever in it, before anything is grouped or joined,
    and uses it for the primary key, which begins with the tenant. So a statement need not know whom it is for.

    Args:
        store: the store; it stays its owner's to close.
        tenants: those whose rows are seen; none means no rows at all.
    """

    def __init__(self, store: Store, tenants: Collection[str]) -> None:
        self._store = store
        self.tenants = frozenset(tenants)
        values = ", ".join(map(literal, sorted(self.tenants)))
        condition = f"tenant IN ({values})" if values else "0"
        filters = TableFilters({table: condition if table in TABLES else "0" for table in SCHEMAS})
        self._settings: Settings = {SETTING: filters}

    @property
    def info(self) -> StoreInfo:
        """Which store this is."""
        return self._store.info

    def query(self, sql: str, parameters: Parameters | None = None, settings: Settings | None = None) -> pa.Table:
        """Return the statement's rows, those of other tenants left out; see `contract.Store.query`."""
        return self._store.query(sql, parameters, {**(settings or {}), **self._settings})

    def read_only(
        self, sql: str, output: str, parameters: Parameters | None = None, settings: Settings | None = None
    ) -> RawAnswer:
        """Return the statement's rows, those of other tenants left out; see `contract.Store.read_only`."""
        return self._store.read_only(sql, output, parameters, {**(settings or {}), **self._settings})

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Refuse: what is written is not narrowed.

        Raises:
            StorageError: always.
        """
        del rows, token
        raise StorageError(_READ_ONLY.format(f"insert into {table}"))

    def execute(self, sql: str, parameters: Parameters | None = None) -> None:
        """Refuse: what is changed is not narrowed.

        Raises:
            StorageError: always.
        """
        del parameters
        raise StorageError(_READ_ONLY.format(f"execute {sql[:80]!r}"))

    def close(self) -> None:
        """Leave the store to its owner."""
