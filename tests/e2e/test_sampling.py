"""Sampling on the real server: what is kept, what goes, and that every record is accounted for, killed or not."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
from tests.support.process import ServerProcess, pages

from spanhouse_analysis.sampling.rules import in_sample

POLICY = """
version: 1
default:
  sampling: {rate: 0.25, keep: {slower_than: 1h}}
"""
RUNS = 60
DEADLINE = 60.0


def trace(number: int) -> str:
    return f"{number + 1:032x}"


def spans(number: int, now: int, *, failed: bool) -> list[dict[str, Any]]:
    """Return an agent's run of a model call and a tool call, as OTLP JSON."""

    def span(place: int, name: str, parent: str, **attributes: Any) -> dict[str, Any]:
        given = [{"key": key, "value": value} for key, value in attributes.items()]
        status = {"code": 2, "message": "down"} if failed and place == 3 else {}
        times = {"startTimeUnixNano": str(now - 10**9), "endTimeUnixNano": str(now)}
        ids = {"traceId": trace(number), "spanId": f"{number + 1:08x}{place:08x}", "parentSpanId": parent}
        return {**ids, **times, "name": name, "attributes": given, "status": status}

    root = f"{number + 1:08x}{1:08x}"
    agent = {"gen_ai.operation.name": {"stringValue": "invoke_agent"}, "gen_ai.agent.name": {"stringValue": "helper"}}
    model = {"gen_ai.operation.name": {"stringValue": "chat"}, "gen_ai.usage.input_tokens": {"intValue": "10"}}
    tool = {"gen_ai.operation.name": {"stringValue": "execute_tool"}, "gen_ai.tool.name": {"stringValue": "search"}}
    return [
        span(1, "invoke_agent helper", "", **agent),
        span(
            2,
            "chat",
            root,
            **model,
            **{"gen_ai.response.finish_reasons": {"arrayValue": {"values": [{"stringValue": "stop"}]}}},
        ),
        span(3, "execute_tool search", root, **tool),
    ]


def send(running: ServerProcess) -> None:
    now = time.time_ns()
    for number in range(RUNS):
        body = {"resourceSpans": [{"scopeSpans": [{"spans": spans(number, now, failed=number % 10 == 0)}]}]}
        assert httpx.post(f"{running.url}/v1/traces", json=body).is_success


def totals(running: ServerProcess) -> dict[str, Any]:
    found: dict[str, Any] = running.get("/api/v1/ledger")["totals"]
    told = sum(found[name] for name in ("stored", "rejected", "sampled_out", "duplicated", "pending"))
    assert found["received"] == told, found
    return found


def until_deleted(running: ServerProcess, left: int) -> dict[str, Any]:
    """Wait until the ledger says that so many spans are left; it adds up at every look."""
    deadline = time.monotonic() + DEADLINE
    while (found := totals(running))["stored"] != left:
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found


def test_a_sample_is_kept_and_the_rest_accounted_for_over_a_kill(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "policy.yaml").write_text(POLICY)
    failed = {trace(number) for number in range(0, RUNS, 10)}
    kept = failed | {trace(number) for number in range(RUNS) if in_sample(trace(number), 0.25)}
    with ServerProcess(data, grpc="", sampling_delay="3s") as running:
        send(running)
        running.drain()
        running.kill()
        running.start()
        running.drain()
        found = until_deleted(running, 3 * len(kept))
        assert found["sampled_out"] == 3 * (RUNS - len(kept))
        listed = pages(running, "/api/v1/runs", "runs")
        assert {run["trace_id"]: run["weight"] for run in listed} == {
            each: 1.0 if each in failed else 4.0 for each in kept
        }
        one, spent = running.get("/api/v1/metrics", name="runs,tokens_spent", since="24h")["points"]
        assert one["sampled"]
        assert one["value"] == len(failed) + 4 * (len(kept) - len(failed))
        assert one["low"] < RUNS < one["high"]
        assert (spent["value"], spent["sampled"]) == (10.0 * RUNS, False)
