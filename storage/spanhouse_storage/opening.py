"""Opening a store by its URL."""

from __future__ import annotations

from pathlib import Path

from spanhouse_storage.contract import Store


def open_store(url: str | Path) -> Store:
    """Return the open store of a directory (embedded) or of `clickhouse://user:password@host:8123/database`.

    The caller owns it and closes it. Call `migrate` before the first insert.

    Raises:
        StoreHeldError: another process has the directory open.
        StoreUnavailableError: the server does not answer.
        StorageError: the directory or database cannot be used.
    """
    # Each backend pulls in its own driver, and a process needs one of them.
    if "://" in str(url):
        from spanhouse_storage.server import ServerStore  # noqa: PLC0415

        return ServerStore(str(url))
    from spanhouse_storage.embedded import EmbeddedStore  # noqa: PLC0415

    return EmbeddedStore(Path(url))
