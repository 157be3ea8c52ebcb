"""Collectors and servers apart: one ClickHouse, one PostgreSQL, jobs in one place, and another takes over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.clickhouse_process import ClickHouseProcess
from tests.support.deletable import body
from tests.support.postgres import missing, postgres
from tests.support.process import ServerProcess

from spanhouse_storage import leases
from spanhouse_storage.state import open_state

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[dict[str, str]]:
    with postgres() as state, ClickHouseProcess(tmp_path / "clickhouse") as clickhouse:
        yield {"store": clickhouse.url, "state": state}


def _runs(server: ServerProcess, wanted: int) -> list[str]:
    deadline = time.monotonic() + 60
    found: list[str] = []
    while time.monotonic() < deadline:
        found = [run["trace_id"][-2:] for run in server.get("/api/v1/runs", limit=50)["runs"]]
        if len(found) >= wanted:
            return sorted(found)
        time.sleep(0.2)
    raise AssertionError(found)


def _send(server: ServerProcess, trace: int) -> None:
    answer = httpx.post(
        f"{server.url}/v1/traces", content=body(trace, "ada"), headers={"content-type": "application/x-protobuf"}
    )
    assert answer.is_success, answer.text


def test_the_server_that_is_killed_is_replaced_by_another(shared: dict[str, str], tmp_path: Path) -> None:
    """What a collector takes becomes runs on whichever server leads; after a kill the other one goes on."""
    more: dict[str, Any] = dict(shared)
    with (
        ServerProcess(tmp_path / "c1", command="collector", collector="1", **more) as collector,
        ServerProcess(tmp_path / "s1", command="server", collector="2", **more) as first,
    ):
        state = open_state(shared["state"])
        try:
            leader = leases.holder_of(state, "jobs")
            assert leader is not None
            assert f":{first.process.pid}:" in leader
            with ServerProcess(tmp_path / "s2", command="server", collector="3", **more) as second:
                _send(collector, 1)
                assert _runs(second, 1) == ["01"]
                assert leases.holder_of(state, "jobs") == leader
                first.kill()
                _send(collector, 2)
                assert _runs(second, 2) == ["01", "02"]
                assert f":{second.process.pid}:" in str(leases.holder_of(state, "jobs"))
        finally:
            state.dispose()
        assert httpx.get(f"{collector.url}/api/v1/runs").status_code == 404
