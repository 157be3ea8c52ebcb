"""Triage and live reads on a real store."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.support.rows import rows
from tests.support.small_traces import EPOCH, Row, put, span

from spanhouse_analysis import frames, live
from spanhouse_analysis.reading import facts_of_traces
from spanhouse_analysis.triage import triage
from spanhouse_storage import Store

NOW = EPOCH + timedelta(minutes=1)


def publish(store: Store, *trace_ids: str) -> None:
    found = facts_of_traces(store, [("default", trace_id) for trace_id in trace_ids], NOW)
    store.insert("steps", frames.to_table(found.steps, "steps"), f"steps-{trace_ids}")
    store.insert("runs", frames.to_table(found.runs, "runs"), f"runs-{trace_ids}")


def trace(trace_id: str = "t1", **root: Any) -> list[Row]:
    question = (
        '[{"role":"system","content":"Be brief."},{"role":"user","parts":[{"type":"text","content":"Refund 7?"}]}]'
    )
    answer = '[{"role":"assistant","parts":[{"type":"text","content":"Done."}]}]'
    own: dict[str, Any] = {
        "agent": "desk",
        "request_id": f"req-{trace_id}",
        "session_id": "s",
        "run_hint": f"run-{trace_id}",
    }
    own["budget"] = '{"max_usd":{"limit":1.0,"used":0.2}}'
    return [
        span("a", "agent", trace_id=trace_id, seconds=9, **{**own, **root}),
        span("m", "llm", "a", at=1, trace_id=trace_id, input_tokens=9, output_tokens=1, input=question, output=answer),
        span("t", "tool", "a", at=3, trace_id=trace_id, tool_name="refund", status="error", error_type="timeout"),
        span("u", "tool", "a", at=5, trace_id=trace_id, tool_name="refund"),
    ]


@pytest.mark.parametrize(
    ("id_", "kind"), [("req-t1", "request_id"), ("run-t1", "run_id"), ("t1", "trace_id"), ("s", "session_id")]
)
@pytest.mark.parametrize("published", [True, False])
def test_any_id_finds_the_run_published_or_not(store: Store, id_: str, kind: str, *, published: bool) -> None:
    put(store, None, *trace())
    if published:
        publish(store, "t1")
    found = triage(store, id_, now=NOW)
    assert found is not None
    assert (found["query"], found["matched_by"]) == (id_, kind)
    [entry] = found["runs"]
    assert (entry["run"]["run_id"], entry["run"]["status"]) == ("run-t1", "ended")
    assert (entry["asked"], entry["answered"]) == ("Refund 7?", "Done.")
    assert [step["tool"] for step in entry["tool_calls"]] == ["refund", "refund"]
    assert (entry["first_failing_step"]["span_id"], entry["first_failing_step"]["error_type"]) == ("t", "timeout")
    assert entry["budget"] == {"max_usd": {"limit": 1.0, "used": 0.2}}
    assert entry["link"] == "/ui/run?run_id=run-t1"


def test_a_run_that_sent_its_first_spans_a_moment_ago_is_there(store: Store) -> None:
    put(store, None, span("a", "agent", seconds=0, is_final=False, request_id="req", run_hint="r"))
    publish(store, "t1")
    put(store, None, span("t", "tool", "a", at=2, tool_name="refund", run_hint="r"))
    found = triage(store, "req", now=NOW)
    assert found is not None
    [entry] = found["runs"]
    assert (entry["run"]["status"], entry["run"]["tool_calls"], len(entry["tool_calls"])) == ("running", 1, 1)
    assert entry["run"]["stop_reason"] is None


def test_the_events_of_a_run_come_with_it(store: Store) -> None:
    put(store, None, *trace())
    publish(store, "t1")
    event = {"tenant": "default", "stream": "run-t1", "run_id": "run-t1", "version": 1, "time": EPOCH}
    events = [
        {**event, "seq": 1, "name": "policy.decision", "tool": "refund", "decision": "deny", "data": '{"rule":"r1"}'},
        {**event, "seq": 2, "name": "run.end"},
    ]
    store.insert("audit_events", rows("audit_events", *events), "audit")
    found = triage(store, "run-t1", now=NOW)
    assert found is not None
    [entry] = found["runs"]
    assert [(event["name"], event["data"]) for event in entry["policy_decisions"]] == [
        ("policy.decision", {"rule": "r1"})
    ]
    assert [event["name"] for event in entry["audit"]] == ["policy.decision", "run.end"]


def test_a_session_gives_all_its_runs_in_order_of_start(store: Store) -> None:
    put(store, None, *trace("t1"), *trace("t2"), span("z", "agent", trace_id="t0", at=-9, session_id="s", run_hint="z"))
    publish(store, "t1", "t2")
    found = triage(store, "s", now=NOW)
    assert found is not None
    assert [entry["run"]["run_id"] for entry in found["runs"]] == ["z", "run-t1", "run-t2"]


def test_an_id_of_nothing_is_none(store: Store) -> None:
    put(store, None, *trace())
    assert triage(store, "nothing", now=NOW) is None
    assert triage(store, "", now=NOW) is None
    assert live.run(store, "nothing", now=NOW) is None


def test_a_live_run_is_computed_from_its_spans_and_an_ended_one_read(store: Store) -> None:
    put(store, None, *trace())
    live_run = live.run(store, "run-t1", now=NOW)
    publish(store, "t1")
    assert live.run(store, "run-t1", now=NOW) == live_run
    assert live.run(store, "req-t1", now=NOW) == live_run
    assert live_run is not None
    assert [step["kind"] for step in live.steps(store, live_run)] == ["model", "tool", "tool"]
    assert live.span_ids(store, "default", "t1", "run-t1") == ["a", "m", "t", "u"]


def test_a_derived_run_id_is_found_while_it_runs(store: Store) -> None:
    put(store, None, span("a", "agent", seconds=0, is_final=False), span("m", "llm", "a", at=1, input_tokens=1))
    publish(store, "t1")
    put(store, None, span("n", "llm", "a", at=2, input_tokens=5))
    [stored] = store.query("SELECT run_id FROM runs FINAL").to_pylist()
    found = live.run(store, stored["run_id"], now=NOW)
    assert found is not None
    assert (found["status"], found["input_tokens"]) == ("running", 6)
    assert len(live.steps(store, found)) == 2
