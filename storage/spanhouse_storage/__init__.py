"""Where spans, audit events and facts are kept: one contract over an embedded ClickHouse and a ClickHouse server."""

from __future__ import annotations

from spanhouse_storage.allocators import give_back
from spanhouse_storage.contract import (
    Parameters,
    QueryError,
    SchemaTooNewError,
    StorageError,
    Store,
    StoreHeldError,
    StoreInfo,
    StoreUnavailableError,
)
from spanhouse_storage.migrations import migrate
from spanhouse_storage.opening import open_store

__all__ = [
    "Parameters",
    "QueryError",
    "SchemaTooNewError",
    "StorageError",
    "Store",
    "StoreHeldError",
    "StoreInfo",
    "StoreUnavailableError",
    "give_back",
    "migrate",
    "open_store",
]
