"""Opening a store by its URL."""

from __future__ import annotations

from pathlib import Path

from spanhouse.errors import ConfigurationError
from spanhouse_storage.contract import Store


def open_store(url: str | Path, *, cluster: str = "") -> Store:
    """Return the open store of a directory (embedded) or of `clickhouse://user:password@host:8123/database`.

    With `cluster` its tables are replicated and distributed over the ClickHouse cluster of that name. The caller owns
    it and closes it. Call `migrate` before the first insert.

    Raises:
        StoreHeldError: another process has the directory open.
        StoreUnavailableError: the server does not answer.
        StorageError: the directory or database cannot be used.
    """
    # Each backend pulls in its own driver, and a process needs one of them.
    if "://" in str(url):
        from spanhouse_storage.server import ServerStore  # noqa: PLC0415

        return ServerStore(str(url), cluster=cluster)
    if cluster:
        msg = (
            f"SPANHOUSE_STORE_CLUSTER={cluster} needs a ClickHouse server: set SPANHOUSE_STORE to its URL, not to {url}"
        )
        raise ConfigurationError(msg)
    from spanhouse_storage.embedded import EmbeddedStore  # noqa: PLC0415

    return EmbeddedStore(Path(url))
