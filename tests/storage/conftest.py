from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.clickhouse_http import ClickHouseHttp

from spanhouse_storage import Store, migrate, open_store


@pytest.fixture(scope="module", params=["embedded", "server", "cluster"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A migrated store of each kind, opened once a module: what a test asks of it holds for all of them."""
    path = tmp_path_factory.mktemp("store")
    if request.param == "embedded":
        store = open_store(path / "store")
        migrate(store)
        yield store
        store.close()
        return
    cluster = "main" if request.param == "cluster" else ""
    with ClickHouseHttp(path / "engine", cluster=cluster) as server:
        store = open_store(server.url(), cluster=cluster)
        migrate(store)
        yield store
        store.close()


@pytest.fixture
def store(opened: Store) -> Store:
    """The module's store with its tables emptied."""
    for table in ("spans", "audit_events", "logs", "runs", "steps"):
        opened.execute(f"TRUNCATE TABLE {table}")
    return opened


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ClickHouseHttp]:
    with ClickHouseHttp(tmp_path / "engine") as running:
        yield running


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
