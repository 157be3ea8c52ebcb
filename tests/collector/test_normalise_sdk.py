"""Telemetry made by real SDKs: OpenTelemetry's with GenAI attributes, and Spanhouse's own."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.otlp_bodies import RECEIVED_US
from tests.support.otlp_sink import OtlpSink

import spanhouse as sh
from spanhouse.canonical import args_hash
from spanhouse_collector.normalise import Normaliser
from spanhouse_collector.records import Normalised, RawRecord


def test_a_run_traced_with_opentelemetry() -> None:
    """Agent, model call and failing tool of a hand-instrumented program come out as such."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": "shop", "service.version": "1.2"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("my.app", "0.3", attributes={"team": "a"})
    with tracer.start_as_current_span(
        "invoke_agent planner", attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": "c1"}
    ):
        with tracer.start_as_current_span("chat gpt-4o") as chat:
            chat.set_attributes(
                {
                    "gen_ai.operation.name": "chat",
                    "gen_ai.provider.name": "openai",
                    "gen_ai.request.model": "gpt-4o",
                    "gen_ai.response.finish_reasons": ("tool_calls",),
                    "gen_ai.usage.input_tokens": 12,
                    "gen_ai.usage.output_tokens": 3,
                }
            )
        with (
            pytest.raises(TimeoutError),
            tracer.start_as_current_span("execute_tool find", attributes={"gen_ai.operation.name": "execute_tool"}),
        ):
            raise TimeoutError
    body = encode_spans(exporter.get_finished_spans()).SerializeToString()
    provider.shutdown()
    table = Normaliser()([RawRecord("traces", body, RECEIVED_US)]).tables["spans"]
    by_class: dict[str, Any] = {row["span_class"]: row for row in table.to_pylist()}
    assert set(by_class) == {"agent", "llm", "tool"}
    agent, chat_row, tool = by_class["agent"], by_class["llm"], by_class["tool"]
    assert (agent["agent"], agent["session_id"], agent["parent_span_id"]) == ("planner", "c1", "")
    assert (agent["service_name"], agent["service_version"], agent["scope_version"]) == ("shop", "1.2", "0.3")
    assert agent["scope_attributes"] == [("team", "a")]
    assert chat_row["parent_span_id"] == tool["parent_span_id"] == agent["span_id"]
    assert (chat_row["finish_reasons"], chat_row["cost_source"]) == (["tool_calls"], "computed")
    assert (tool["tool_name"], tool["status"], tool["error_type"]) == ("find", "error", "timeout")
    assert tool["exception_type"] == "TimeoutError"


def test_a_run_recorded_with_spanhouse(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the SDK says of a run stands in its spans' columns, and its audit events in their table."""
    for name in ("SPANHOUSE_URL", "SPANHOUSE_TENANT", "SPANHOUSE_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    with OtlpSink() as sink:
        sh.init("shop", url=sink.url, environment="test", tenant="acme")
        with sh.run("refund", agent="support", request_id="q1", session_id="s1", user_id="u1", input="help") as run:
            with sh.model_call("gpt-4o-mini", provider="openai", messages=[{"role": "user", "content": "hi"}]) as call:
                call.response(output=[{"role": "assistant", "content": "ho"}], input_tokens=1_000_000, output_tokens=0)
            with sh.tool_call("lookup", {"order": 17}) as made:
                made.result({"state": "sent"})
            run.event("decision", option="a", confidence=0.8)
            run.outcome("success")
        assert sh.flush()
        sh.shutdown()
        found = _normalised(sink)
    spans = found.tables["spans"].to_pylist()
    assert {row["convention"] for row in spans} == {"spanhouse"}
    assert {(row["run_hint"], row["request_id"], row["tenant"]) for row in spans} == {(run.run_id, "q1", "acme")}
    final = {row["span_class"]: row for row in spans if row["is_final"]}
    assert set(final) == {"agent", "llm", "tool"}
    root = final["agent"]
    assert (root["stop_reason"], root["outcome"], root["spans_expected"]) == ("finish", "success", 3)
    assert (root["agent"], root["session_id"], root["user_id"], root["input"]) == ("support", "s1", "u1", "help")
    assert [row["span_id"] for row in spans if not row["is_final"]] == [root["span_id"]]
    assert (final["llm"]["cost_usd"], final["llm"]["cost_source"]) == (pytest.approx(0.15), "computed")
    assert (final["tool"]["tool_name"], final["tool"]["args_hash"]) == ("lookup", args_hash({"order": 17}))
    assert found.traces["rooted"].to_pylist() == [True]

    audit = sorted(found.tables["audit_events"].to_pylist(), key=lambda row: row["seq"])
    assert {(row["stream"], row["request_id"], row["tenant"]) for row in audit} == {(run.run_id, "q1", "acme")}
    names = [row["name"] for row in audit]
    assert (names[0], names[-1]) == ("run.start", "run.end")
    assert {"model.call", "tool.call", "decision"} <= set(names)
    tool_call = next(row for row in audit if row["name"] == "tool.call")
    assert (tool_call["tool"], tool_call["args_hash"]) == ("lookup", args_hash({"order": 17}))
    assert found.counts.logs == 0


def _normalised(sink: OtlpSink) -> Normalised:
    return Normaliser()(
        [
            RawRecord("traces" if request.path.endswith("traces") else "logs", request.body, RECEIVED_US)
            for request in sink.requests
        ]
    )
