"""The examples run against a real server as a reader would run them, and leave the runs they promise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.process import ServerProcess

pytestmark = pytest.mark.e2e
EXAMPLES = Path(__file__).parents[2] / "examples"


def _example(name: str, url: str) -> str:
    ended = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "SPANHOUSE_URL": url},
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_examples_leave_the_runs_they_promise(tmp_path: Path) -> None:
    """One finishes although a tool failed; one is stopped by its policy; every span and event is there."""
    with ServerProcess(tmp_path / "data") as server:
        request_id = _example("watched_agent.py", server.url).split()[-1]
        assert "policy_deny:delete_account" in _example("guarded_agent.py", server.url)
        server.drain()
        (watched,) = server.get(f"/api/v1/requests/{request_id}")["runs"]
        assert watched["run"]["stop_reason"] == "finish"
        assert watched["run"]["outcome"] == "success"
        assert watched["run"]["complete"] is True
        assert [(c["tool"], c["status"]) for c in watched["tool_calls"]] == [
            ("lookup_order", "ok"),
            ("mail.send", "error"),
        ]
        assert watched["first_failing_step"]["tool"] == "mail.send"
        assert watched["run"]["cost_usd"] > 0
        (guarded,) = server.get("/api/v1/requests/req-guarded")["runs"]
        assert guarded["run"]["stop_reason"] == "policy_deny:delete_account"
        assert [e["decision"] for e in guarded["policy_decisions"]] == ["allow", "allow", "deny"]
        assert guarded["budget"]["max_usd"]["limit"] == 0.05
