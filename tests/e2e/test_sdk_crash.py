"""An agent dies while its server is away: the next start of the agent tells the server all of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.killed import killed
from tests.support.process import ServerProcess, free_port, pages

import spanhouse as sh
from spanhouse.active import active
from spanhouse.audit.chain import verify

pytestmark = pytest.mark.e2e


def test_nothing_of_a_killed_run_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill -9 of the agent with no server there: its run is seen as begun, its trail is whole to the last event."""
    monkeypatch.setenv("SPANHOUSE_SPOOL", str(tmp_path / "spool"))
    port = free_port()
    told = killed(f"http://127.0.0.1:{port}", seconds=0.5)
    with ServerProcess(tmp_path / "data", port=port) as server:
        sh.init("shop", url=server.url, tenant="acme")
        try:
            assert sh.flush(30)
            gauges = active().pipeline.gauges  # type: ignore[union-attr]
            assert gauges is not None
            gauges.report()
        finally:
            sh.shutdown()
        server.drain()
        (run,) = server.get("/api/v1/runs")["runs"]
        assert (run["request_id"], run["status"], run["tenant"]) == ("R-1", "running", "acme")
        events = [event for event in pages(server, "/api/v1/audit", "events") if event["run_id"] == run["run_id"]]
        events.sort(key=lambda event: event["seq"])
        assert verify(run["run_id"], events).flaw is None
        decisions = [event["data"]["option"] for event in events if event["name"] == "decision"]
        assert decisions[:told] == [str(number) for number in range(told)]
        assert server.get("/api/v1/points", name="process.memory.usage")["points"][0]["value"] > 1_000_000
    assert list((tmp_path / "spool").iterdir()) == []
