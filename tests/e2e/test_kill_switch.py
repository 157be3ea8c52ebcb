"""An operator stops fifty agents in five processes: none begins another call, and all end, soon enough."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.kill import NO_NEW_CALL_SECONDS, STOPPED_SECONDS, measured
from tests.support.process import ServerProcess

from spanhouse import Client, ControlPoller, ServerError

pytestmark = pytest.mark.e2e


def test_a_stop_reaches_fifty_agents_within_a_second(tmp_path: Path) -> None:
    """No call begins a second after the operator's request was sent, and 95 of 100 runs are over within two."""
    with ServerProcess(tmp_path / "data") as server:
        found = measured(server.url, (server.data / "operator.token").read_text().strip(), 50, 5)
    assert found["reasons"] == ["operator_kill"]
    assert found["calls_before"] > 50
    assert found["last_new_call_s"] <= NO_NEW_CALL_SECONDS, found
    assert found["stopped_p95_s"] <= STOPPED_SECONDS, found


def test_a_stop_outlives_the_server_and_the_agent(tmp_path: Path) -> None:
    """The server is killed, the agent restarts and still knows the stop; the server comes back with it and lifts it."""
    cache = tmp_path / "flags.json"
    with ServerProcess(tmp_path / "data") as server:
        operator = Client(server.url, token=(server.data / "operator.token").read_text().strip())
        operator.set_control("stop", "agent", "support", reason="runaway", by="ann")
        ControlPoller(Client(server.url, token=""), cache=cache).poll_once()
        server.kill()
        again = ControlPoller(Client(server.url, token=""), cache=cache)
        with pytest.raises(ServerError):
            again.poll_once()
        found = again.matching(agent="support")
        assert found is not None
        assert (found.action, found.by, found.reason) == ("stop", "ann", "runaway")
        assert again.age() < float("inf")
        server.start()
        again.poll_once()
        assert again.matching(agent="support") == found
        operator.set_control("enable", "agent", "support", by="ann")
        again.poll_once()
        assert again.matching(agent="support") is None
