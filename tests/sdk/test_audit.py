"""Audit events: closed names, checked fields, one number each."""

from __future__ import annotations

import threading
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.otlp_sink import OtlpSink

import spanhouse as sh
from spanhouse.audit import AUDIT_EVENTS, build, json_schemas
from spanhouse.audit.emitter import AuditTrail

NAMES = (  # noqa: SIM905 - a list of words reads better than thirty quoted ones
    "run.start run.end state plan model.call tool.call decision policy.decision approval.asked approval.given "
    "approval.denied approval.timeout budget.reserve budget.settle budget.warn budget.stop limit.near loop breaker "
    "retry fallback cache.hit memory.read memory.write compaction checkpoint resume escalation review kill disabled "
    "override config prompt key.create key.revoke key.rotate audit.key deletion"
).split()


def test_the_names_are_those_of_the_contract() -> None:
    """No event is missing, none is there that nobody knows of."""
    assert sorted(AUDIT_EVENTS) == sorted(NAMES)


def test_every_event_publishes_its_fields() -> None:
    """Each event has a JSON schema of an object, and says what it means."""
    schemas = json_schemas()
    assert sorted(schemas) == sorted(NAMES)
    assert all(schema["type"] == "object" and schema["description"] for schema in schemas.values())
    assert schemas["tool.call"]["required"] == ["tool", "args_hash"]


def test_wrong_names_and_fields_are_named() -> None:
    """Building an event in a test of one's own tells what is wrong."""
    with pytest.raises(ValueError, match=r"unknown audit event 'tool.cal': it must be one of approval.asked"):
        build("tool.cal", {})
    with pytest.raises(pydantic.ValidationError, match="confidence"):
        build("decision", {"confidence": 1.5})


def test_fields_beyond_the_model_are_kept() -> None:
    """A trail that drops what it was told is none."""
    assert build("decision", {"option": "a", "why_not_b": "price"}).model_dump(exclude_none=True) == {
        "option": "a",
        "why_not_b": "price",
    }


def test_events_carry_identity_step_and_span(telemetry: OtlpSink) -> None:
    """An event stands alone: who, where in the run, and which span it was made under."""
    with sh.run("refund", agent="support", agent_version="7", request_id="r-1", user_id="u-1") as run:
        run.step(4, "tool")
        with sh.tool_call("look", {}):
            number = run.event("decision", option="a", confidence=0.8)
    assert sh.flush()
    (event,) = [event for event in telemetry.audit if event.event_name == "decision"]
    assert number == 2
    assert event.scope == "spanhouse.audit"
    assert event.trace_id == run.trace_id
    assert event.span_id == telemetry.span("execute_tool look").span_id
    assert event.data == {"option": "a", "confidence": 0.8}
    chained = {"spanhouse.audit.prev_hash", "spanhouse.audit.hash", "spanhouse.audit.body_hash"}
    assert chained <= set(event.attributes)
    assert {key: value for key, value in event.attributes.items() if key not in chained} == {
        "spanhouse.run_id": run.run_id,
        "spanhouse.request_id": "r-1",
        "tenant.id": "acme",
        "deployment.environment.name": "test",
        "gen_ai.agent.name": "support",
        "gen_ai.agent.version": "7",
        "spanhouse.step": 4,
        "spanhouse.audit.seq": 2,
        "spanhouse.audit.version": 1,
    }


def test_a_run_has_its_start_and_end_on_record(telemetry: OtlpSink) -> None:
    """The first and last numbers are the run's own, and the run span says how many there are."""
    with sh.run("refund", task="order 17", variant="b") as run:
        run.event("plan", steps=["look", "pay"])
        run.stop("max_usd")
        run.outcome("failure")
    assert sh.flush()
    assert [event.attributes["spanhouse.audit.seq"] for event in telemetry.audit] == [1, 2, 3]
    start, _, end = telemetry.audit
    assert start.data == {"task": "order 17", "variant": "b"}
    assert end.event_name == "run.end"
    assert (end.data["stop_reason"], end.data["outcome"], end.data["escalated"]) == ("max_usd", "failure", False)
    assert telemetry.span("invoke_agent refund").attributes["spanhouse.audit_expected"] == 3


@pytest.mark.parametrize(
    ("name", "fields"), [("decision", {"confidence": "very"}), ("no.such", {"a": 1}), ("tool.call", {})]
)
def test_a_misfit_is_sent_marked_and_raises_nothing(telemetry: OtlpSink, name: str, fields: dict[str, Any]) -> None:
    """In production an untidy record beats an agent that falls over its own telemetry."""
    with sh.run("refund") as run:
        run.event(name, **fields)
    assert sh.flush()
    (event,) = [event for event in telemetry.audit if event.event_name == name]
    assert event.data.pop("invalid")
    assert fields.items() <= event.data.items()
    assert event.attributes["spanhouse.audit.version"] == 0


def test_secrets_in_events_are_redacted(telemetry: OtlpSink) -> None:
    """An audit event is kept for years: no key may be in it, and it stays JSON."""
    key = "sk-ant-" + "a1B2" * 8
    with sh.run("refund") as run:
        run.event("override", by="ann", what=f"key {key}", password="hunter22")
    assert sh.flush()
    (event,) = [event for event in telemetry.audit if event.event_name == "override"]
    assert event.data == {
        "by": "ann",
        "what": "key [REDACTED:anthropic_key]",
        "password": "[REDACTED:secret_field]",
    }


@given(st.integers(1, 4), st.integers(1, 30))
def test_numbers_have_no_gap_and_no_double(threads: int, each: int) -> None:
    """However many threads write, the numbers are 1 to n."""
    trail = AuditTrail()
    seen: list[int] = []

    def write() -> None:
        seen.extend(trail.write("plan", {}, {}) for _ in range(each))

    workers = [threading.Thread(target=write) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(seen) == list(range(1, threads * each + 1))
    assert trail.written == threads * each
