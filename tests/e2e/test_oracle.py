"""Published runs, imported through the front door, give their published figures through command line and API alike."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.process import ServerProcess

DATA = Path(__file__).parents[2].parent / "shared" / "data"
FILES = [DATA / f"{name}_runs.jsonl.gz" for name in ("tau_bench", "tau2_bench", "mcpmark")]

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not all(f.exists() for f in FILES), reason="the published runs are not here"),
]

NAMES = "runs,completion_rate,autonomous_completion_rate,tool_error_rate,tool_calls_per_run_p50,loop_rate,tokens,cost"

# agent, model, task_type, variant:
# runs, completed, autonomous, tool calls, tool errors, p50 of tool calls, loop runs, tokens, cost
GROUPS: dict[tuple[str, str, str, str], tuple[float | None, ...]] = {
    ("tau-bench", "gpt-4o", "airline", "default"): (200, 84, 49, 1164, 73, 5, 0, None, None),
    ("tau2-bench", "gpt-4.1", "airline", "default"): (20, 10, 9, 148, 1, 6, 0, 1_011_434, 0.783268),
    ("tau2-bench", "gpt-4.1", "retail", "default"): (40, 34, 32, 299, 12, 7, 0, 2_456_051, 1.888618),
    ("tau2-bench", "gpt-4.1", "telecom", "default"): (40, 18, 9, 207, 0, 5, 0, 4_746_168, 3.11103),
    ("tau2-bench", "gpt-4.1", "telecom", "solo"): (40, 20, 15, 626, 2, 15.5, 0, 5_249_212, 3.03263),
    ("tau2-bench", "qwen2.5:7b", "airline", "default"): (50, 9, 6, 344, 79, 6, 5, 5_015_090, 0.0),
    ("tau2-bench", "claude-sonnet-4-5", "airline", "default"): (50, 36, 21, 371, 1, 7, 0, 4_033_552, 14.443248),
}
MCPMARK = {
    "claude-sonnet-4": 0.2815,
    "o3": 0.2539,
    "gpt-5-low": 0.4685,
    "gpt-4-1-nano": 0.0,
    "claude-opus-4-1": 0.2992,
    "grok-4": 0.3169,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that has imported the three files."""
    with ServerProcess(tmp_path_factory.mktemp("oracle") / "data") as running:
        running.cli("import", *map(str, FILES))
        yield running


def _by_group(points: list[dict[str, Any]]) -> dict[tuple[str, ...], dict[str, dict[str, Any]]]:
    table: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for point in points:
        table.setdefault(tuple(point["group"].values()), {})[point["metric"]] = point
    return table


@pytest.mark.parametrize("door", ["cli", "api"])
def test_conversations_give_their_figures(server: ServerProcess, door: str) -> None:
    """Each group's row of the published table."""
    by = "agent,model,task_type,variant"
    if door == "cli":
        points = json.loads(
            server.cli(
                "metrics", "--name", NAMES, "--by", by, "--agent", "tau-bench", "--agent", "tau2-bench", "--json"
            )
        )["points"]
    else:
        points = server.get("/api/v1/metrics", name=NAMES, by=by, agent="tau-bench,tau2-bench")["points"]
    found = _by_group(points)
    assert set(found) == set(GROUPS)
    for group, (runs, completed, autonomous, calls, errors, p50, loops, tokens, cost) in GROUPS.items():
        row = found[group]
        assert row["runs"]["value"] == runs
        assert (row["completion_rate"]["numerator"], row["completion_rate"]["denominator"]) == (completed, runs), group
        assert row["autonomous_completion_rate"]["numerator"] == autonomous, group
        assert (row["tool_error_rate"]["numerator"], row["tool_error_rate"]["denominator"]) == (errors, calls), group
        assert row["tool_calls_per_run_p50"]["value"] == p50, group
        assert row["loop_rate"]["numerator"] == loops, group
        assert row["tokens"]["value"] == tokens, group
        assert row["cost"]["value"] == (pytest.approx(cost, abs=1e-9) if cost is not None else None), group


def test_figures_of_runs_without_messages_are_the_published_ones(server: ServerProcess) -> None:
    """10,287 runs; per model, completion rate, tokens and cost as the file itself adds up and as was published."""
    points = server.get("/api/v1/metrics", name=NAMES, by="model", agent="mcpmark")["points"]
    found = {group[0]: row for group, row in _by_group(points).items()}
    assert sum(row["runs"]["value"] for row in found.values()) == 10_287
    expected: dict[str, list[float]] = {}
    with gzip.open(FILES[2], "rt") as lines:
        for line in lines:
            run = json.loads(line)
            sums = expected.setdefault(run["model"], [0, 0, 0.0])
            sums[0] += run["success"]
            sums[1] += run["total_tokens"] or 0
            sums[2] += run["cost_usd"] or 0.0
    assert len(found) == 21
    for model, (succeeded, tokens, cost) in expected.items():
        assert found[model]["completion_rate"]["numerator"] == succeeded
        assert found[model]["tokens"]["value"] == tokens
        assert found[model]["cost"]["value"] == pytest.approx(cost, abs=1e-6)
    for model, rate in MCPMARK.items():
        assert round(found[model]["completion_rate"]["value"], 4) == pytest.approx(rate, abs=1e-4)


def test_importing_a_file_twice_changes_nothing(server: ServerProcess) -> None:
    """Every figure and every run id is what it was."""
    asked = {"name": NAMES, "by": "agent,model,task_type", "until": "2026-01-01T00:00:00Z"}
    before = server.get("/api/v1/metrics", **asked)["points"]
    server.cli("import", str(FILES[1]))
    server.drain()
    assert server.get("/api/v1/metrics", **asked)["points"] == before


def test_a_recorded_run_is_found_by_its_id(server: ServerProcess) -> None:
    """Triage by the line's run_id says why it stopped and lists every tool call with its hash, time and status."""
    with gzip.open(FILES[0], "rt") as lines:
        run = next(r for r in map(json.loads, lines) if r["end_reason"] == "transfer_to_human")
    answer = json.loads(server.cli("triage", run["run_id"], "--json"))
    assert answer["matched_by"] == "request_id"
    (found,) = answer["runs"]
    assert found["run"]["stop_reason"] == "escalated"
    assert found["run"]["escalated"] is True
    calls = [call for message in run["messages"] for call in message.get("tool_calls") or ()]
    assert [c["tool"] for c in found["tool_calls"]] == [c["name"] for c in calls]
    assert all(c["args_hash"] for c in found["tool_calls"])
    assert found["asked"] == next(m["content"] for m in run["messages"] if m["role"] == "user")
    assert run["run_id"] in server.cli("triage", run["run_id"])


def test_exports_hold_every_run(server: ServerProcess, tmp_path: Path) -> None:
    """The CSV has one line a run; nothing is cut."""
    out = tmp_path / "runs.csv"
    server.cli("export", "runs", "--agent", "mcpmark", "--format", "csv", "--out", str(out))
    with out.open(newline="") as file:
        assert sum(1 for _ in csv.DictReader(file)) == 10_287
