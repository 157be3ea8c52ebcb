"""What the SDK writes, the collector reads: both sides of the wire put side by side."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.otlp_sink import OtlpSink

import spanhouse as sh
from spanhouse.canonical import args_hash
from spanhouse_collector.normalise import normalise
from spanhouse_collector.records import RawRecord


@pytest.fixture
def tables(telemetry: OtlpSink) -> dict[str, list[dict[str, Any]]]:
    """Rows of the store for one run with a model call, a failed, a denied and a replayed tool call."""
    with sh.run("refund", agent="support", agent_version="7", request_id="r-1", input="hi") as run:
        run.step(1, "model")
        with sh.model_call("gpt-4o-mini", provider="openai", messages="hi") as call:
            call.response(output="yo", input_tokens=10, output_tokens=3, cost_usd=0.5, finish_reasons=["stop"])
        run.step(2, "tool")
        with sh.tool_call("pay", {"sum": 5}, call_id="c-1", attempt=2) as pay:
            pay.failed("no money", sh.ErrorType.AUTH)
        with sh.tool_call("mail", {}) as mail:
            mail.denied("no-mail")
        with sh.tool_call("poll", {}, polling=True) as poll:
            poll.replayed()
        run.budget({"max_usd": {"limit": 1, "used": 0.5}})
        run.escalate("too hard")
        run.output("done")
        run.outcome("failure")
        run.stop("policy_deny:mail")
    assert sh.flush()
    records = [
        RawRecord("traces" if request.path == "/v1/traces" else "logs", request.body, received_us=1)
        for request in telemetry.requests
    ]
    return {name: table.to_pylist() for name, table in normalise(records).tables.items()}


def final(tables: dict[str, list[dict[str, Any]]], name: str) -> dict[str, Any]:
    """Return the row of a finished span."""
    (row,) = [row for row in tables["spans"] if row["name"] == name and row["is_final"]]
    return row


def test_the_run_row_holds_what_the_run_said(tables: dict[str, list[dict[str, Any]]]) -> None:
    """Identity, stop reason, outcome, budget and the count for completeness arrive in their columns."""
    row = final(tables, "invoke_agent support")
    expected = {
        "span_class": "agent",
        "tenant": "acme",
        "environment": "test",
        "agent": "support",
        "agent_version": "7",
        "request_id": "r-1",
        "task_type": "refund",
        "stop_reason": "policy_deny:mail",
        "outcome": "failure",
        "escalated": True,
        "steps": 2,
        "spans_expected": 5,
        "budget": '{"max_usd": {"limit": 1, "used": 0.5}}',
        "input": "hi",
        "output": "done",
    }
    assert {key: row[key] for key in expected} == expected
    assert {row["run_hint"] for row in tables["spans"]} == {row["run_hint"]}
    assert len([row for row in tables["spans"] if not row["is_final"]]) == 1
    assert len([row for row in tables["spans"] if row["is_final"]]) == row["spans_expected"]


def test_call_rows_hold_what_the_calls_said(tables: dict[str, list[dict[str, Any]]]) -> None:
    """Usage, cost, argument hashes, decisions and error types arrive in their columns."""
    chat = final(tables, "chat gpt-4o-mini")
    assert (chat["span_class"], chat["step"], chat["input_tokens"], chat["output_tokens"]) == ("llm", 1, 10, 3)
    assert (chat["cost_usd"], chat["cost_source"], chat["finish_reasons"]) == (0.5, "reported", ["stop"])
    pay = final(tables, "execute_tool pay")
    assert (pay["tool_name"], pay["tool_call_id"], pay["attempt"], pay["step"]) == ("pay", "c-1", 2, 2)
    assert (pay["args_hash"], pay["status"], pay["error_type"]) == (args_hash({"sum": 5}), "error", "auth")
    assert final(tables, "execute_tool mail")["decision"] == "deny"
    poll = final(tables, "execute_tool poll")
    assert (poll["polling"], poll["replayed"]) == (True, True)


def test_audit_rows_are_the_runs_events_in_order(tables: dict[str, list[dict[str, Any]]]) -> None:
    """One stream a run, numbered from 1, with the columns filled from the events' own fields."""
    events = sorted(tables["audit_events"], key=lambda row: int(row["seq"]))
    assert [(row["seq"], row["name"]) for row in events] == list(
        enumerate(["run.start", "model.call", "tool.call", "tool.call", "tool.call", "escalation", "run.end"], start=1)
    )
    assert {row["stream"] for row in events} == {row["run_id"] for row in events} == {tables["spans"][0]["run_hint"]}
    assert [row["status"] for row in events if row["name"] == "tool.call"] == ["error", "denied", "replayed"]
    assert events[3]["decision"] == "deny"
    assert events[2]["args_hash"] == args_hash({"sum": 5})
    assert tables["logs"] == []
