"""The store behind a URL: a ClickHouse server or cluster, over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from spanhouse.errors import ConfigurationError
from spanhouse_storage.clickhouse import READ_SETTINGS, ClickHouseStore, translate, translated, use_database
from spanhouse_storage.cluster import LOCAL, SETTINGS, statements
from spanhouse_storage.contract import Parameters, RawAnswer, Settings, StorageError
from spanhouse_storage.narrowing import SETTING, TableFilters

CONNECT_SECONDS = 5
ANSWER_SECONDS = 120


class ServerStore(ClickHouseStore):
    """The store contract on a ClickHouse server; several processes may use one at once."""

    def __init__(self, url: str, *, cluster: str = "") -> None:
        self._cluster = cluster
        parsed = urlsplit(url)
        secure = parsed.scheme == "clickhouses"
        if parsed.scheme not in {"clickhouse", "clickhouses"} or not parsed.hostname:
            msg = (
                f"SPANHOUSE_STORE {_shown(url)!r} is no store URL: write clickhouse://user:password@host:8123/database"
            )
            raise ConfigurationError(msg)
        database = parsed.path.strip("/") or "spanhouse"
        self._closed = False
        self._write_lock = threading.Lock()
        try:
            self._client = clickhouse_connect.get_client(
                host=parsed.hostname,
                port=parsed.port or (8443 if secure else 8123),
                username=unquote(parsed.username or "default"),
                password=unquote(parsed.password or ""),
                secure=secure,
                settings={**READ_SETTINGS, **(SETTINGS if cluster else {})},
                connect_timeout=CONNECT_SECONDS,
                send_receive_timeout=ANSWER_SECONDS,
                # A session would let one call run at a time, and would be lost with its replica.
                autogenerate_session_id=False,
                # Thousands of ids do not fit into a URL.
                form_encode_query_params=True,
                dedicated_pool=True,
            )
            use_database(self._client, database, cluster)
        except ClickHouseError as error:
            raise translate(error, f"open {_shown(url)}") from error
        super().__init__(
            kind="server", url=_shown(url), database=database, engine_version=str(self._client.server_version)
        )

    def read_only(
        self, sql: str, output: str, parameters: Parameters | None = None, settings: Settings | None = None
    ) -> RawAnswer:
        """Return the statement's rows from a locked session; see `contract.Store.read_only`."""
        # The server checks a request's settings together, before any holds; the statement's own meet the lock.
        locked = {**(self._on_shards(settings) or {}), "readonly": "1"}
        with self._reader() as client, translated("query"):
            body = client.raw_query(sql, dict(parameters or {}), locked, fmt=output)
        return RawAnswer(bytes(body), None, None, None)

    def query(self, sql: str, parameters: Parameters | None = None, settings: Settings | None = None) -> pa.Table:
        """Return the statement's rows; see `contract.Store.query`."""
        return super().query(sql, parameters, self._on_shards(settings))

    def execute(self, sql: str, parameters: Parameters | None = None) -> None:
        """Run a statement without rows, on every shard where there are several; see `contract.Store.execute`."""
        if not self._cluster:
            super().execute(sql, parameters)
            return
        for statement in statements(sql, self._cluster, self.info.database):
            super().execute(statement, parameters)

    def _on_shards(self, settings: Settings | None) -> Settings | None:
        """Return settings whose conditions hold on the shards' own tables too: there a statement names those."""
        given = (settings or {}).get(SETTING)
        if not self._cluster or not isinstance(given, TableFilters):
            return settings
        local = {table + LOCAL: condition for table, condition in given.conditions.items()}
        return {**(settings or {}), SETTING: TableFilters({**given.conditions, **local})}

    @contextmanager
    def _reader(self) -> Iterator[Client]:
        self._check_open()
        yield self._client

    @contextmanager
    def _writer(self) -> Iterator[Client]:
        with self._write_lock:
            self._check_open()
            yield self._client

    def _send(self, client: Client, table: str, rows: pa.Table, settings: dict[str, Any]) -> None:
        client.insert_arrow(table, rows, settings=settings)

    def _check_open(self) -> None:
        if self._closed:
            msg = f"the store {self.info.url} is closed"
            raise StorageError(msg)

    def close(self) -> None:
        """Close the connections."""
        if self._closed:
            return
        self._closed = True
        self._client.close()


def _shown(url: str) -> str:
    parsed = urlsplit(url)
    return parsed._replace(netloc=parsed.netloc.rpartition("@")[2]).geturl()
