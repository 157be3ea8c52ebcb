"""An operator stops fifty agents in five processes: none begins another call, and all end, soon enough."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.kill import NO_NEW_CALL_SECONDS, STOPPED_SECONDS, measured
from tests.support.process import ServerProcess

pytestmark = pytest.mark.e2e


def test_a_stop_reaches_fifty_agents_within_a_second(tmp_path: Path) -> None:
    """No call begins a second after the operator's request was sent, and 95 of 100 runs are over within two."""
    with ServerProcess(tmp_path / "data") as server:
        found = measured(server.url, (server.data / "operator.token").read_text().strip(), 50, 5)
    assert found["reasons"] == ["operator_kill"]
    assert found["calls_before"] > 50
    assert found["last_new_call_s"] <= NO_NEW_CALL_SECONDS, found
    assert found["stopped_p95_s"] <= STOPPED_SECONDS, found
