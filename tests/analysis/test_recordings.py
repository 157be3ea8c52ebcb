"""Real telemetry of agent frameworks, normalised by the collector, becomes the run each must become."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from spanhouse_analysis import facts, frames
from spanhouse_collector.normalise import normalise
from spanhouse_collector.records import RawRecord

RECORDINGS = Path(__file__).parents[2].parent / "shared" / "otlp"
EXPECTED = sorted(RECORDINGS.glob("*.expected.json"))
SAME = ("input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens", "tool_calls", "tool_errors")
NAMED = {
    "llm_calls": "model_calls",
    "agent_name": "agent",
    "model": "model",
    "session_id": "session_id",
    "user_id": "user_id",
}


@pytest.mark.skipif(not EXPECTED, reason="the recordings are not part of the repository")
@pytest.mark.parametrize("expected", EXPECTED, ids=[path.name.split(".")[0] for path in EXPECTED])
def test_a_recording_becomes_the_run_it_was(expected: Path) -> None:
    body = expected.with_name(expected.name.replace(".expected.json", ".otlp.pb")).read_bytes()
    received = datetime(2026, 1, 1, tzinfo=UTC)
    stored = normalise([RawRecord("traces", body, int(received.timestamp() * 1e6))]).tables["spans"]
    found = facts.compute(frames.from_table(stored), received)
    wanted = json.loads(expected.read_text())
    # A lone embedding beside the agent is a run of type call, which the count of runs leaves out.
    [run] = found.runs.filter(pl.col("type") != "call").to_dicts()
    assert wanted["runs"] == 1
    for name in SAME:
        assert run[name] == wanted.get(name, run[name])
    for theirs, ours in NAMED.items():
        assert run[ours] == wanted.get(theirs, run[ours])
    calls = found.steps.filter((pl.col("kind") == "tool") & (pl.col("run_id") == run["run_id"]))
    assert calls["tool"].to_list() == [wanted["tool_name"]]
    assert run["cost_usd"] == pytest.approx(wanted.get("cost_usd", run["cost_usd"]))
    assert (run["status"], run["convention"] != "") == ("ended", True)
    failed = wanted.get("tool_errors", 0)
    assert run["stop_reason"] == ("tool_error_exhausted:weather" if failed else "finish")
