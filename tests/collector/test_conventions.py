"""What each convention's attributes become: one group of tests a convention, and the rules all of them share."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.otlp_bodies import event, row, rows, span, traces

from spanhouse.canonical import args_hash
from spanhouse_collector.conventions import CONVENTIONS, readers
from spanhouse_collector.conventions.convention import SPAN_CLASSES, Sighting
from spanhouse_storage.tables import SCHEMAS

VIRTUAL = {
    *("tenant", "pending", "error_class", "error_code", "status_code", "status_text", "failed"),
    *("tool_arguments", "tool_result", "input_messages", "output_messages", "preview_input", "preview_output"),
}
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini"}


def test_every_source_fills_a_column_that_exists() -> None:
    """A misspelt column in a convention's file would otherwise be read and thrown away."""
    named = {source.column for convention in CONVENTIONS for source in convention.sources}
    assert named <= set(SCHEMAS["spans"].names) | VIRTUAL
    assert len({convention.name for convention in CONVENTIONS}) == len(CONVENTIONS)


@given(st.text(max_size=20) | st.integers() | st.none() | st.lists(st.integers(), max_size=2))
def test_class_rules_answer_with_known_classes(value: Any) -> None:
    """Whatever stands in an attribute, a rule says a span class or nothing."""
    for convention in CONVENTIONS:
        for rule in convention.classes:
            answer = rule.decide(Sighting(dict.fromkeys(rule.keys, value), "name", "scope"))
            assert answer in {"", *SPAN_CLASSES}


@given(st.text() | st.floats() | st.integers() | st.binary() | st.none() | st.booleans() | st.lists(st.floats()))
def test_readers_never_raise(value: Any) -> None:
    """Each gives its own type or nothing for a value of any type."""
    assert isinstance(readers.count(value), int | None)
    assert isinstance(readers.number(value), float | None)
    assert isinstance(readers.flag(value), bool | None)
    assert isinstance(readers.name(value), str | None)
    assert isinstance(readers.arguments(value), str | None)
    assert isinstance(readers.finish_reasons(value), list | None)
    assert isinstance(readers.as_text(value), str)


@pytest.mark.parametrize(
    ("sent", "read"),
    [(7, 7), ("8", 8), (9.0, 9), ("10.0", 10), (-1, None), (True, None), ("many", None), (1.5, None), (2**64, None)],
)
def test_counts_are_read_whatever_their_type(sent: Any, read: int | None) -> None:
    """What cannot be a count is dropped from the column, and the attribute stays."""
    assert readers.count(sent) == read


# --- Span classes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "span_class"),
    [
        *(({"gen_ai.operation.name": name}, "llm") for name in ("chat", "text_completion", "GENERATE_CONTENT")),
        ({"gen_ai.operation.name": "embeddings"}, "embedding"),
        ({"gen_ai.operation.name": "execute_tool"}, "tool"),
        ({"gen_ai.operation.name": "retrieval"}, "retrieval"),
        ({"gen_ai.operation.name": "search_memory"}, "retrieval"),
        ({"gen_ai.operation.name": "apply_guardrail"}, "guardrail"),
        ({"gen_ai.operation.name": "invoke_agent"}, "agent"),
        ({"gen_ai.operation.name": "invoke_workflow"}, "workflow"),
        ({"gen_ai.operation.name": "execute_event_loop_cycle"}, "step"),
        ({"gen_ai.operation.name": "create_agent", "gen_ai.agent.name": "a"}, "other"),
        ({"gen_ai.operation.name": "chat", "gen_ai.agent.name": "a"}, "llm"),
        ({"mcp.method.name": "tools/call"}, "tool"),
        ({"mcp.method.name": "tools/list"}, "other"),
        ({"gen_ai.tool.name": "find"}, "tool"),
        ({"gen_ai.data_source.id": "docs"}, "retrieval"),
        ({"gen_ai.embeddings.dimension.count": 3}, "embedding"),
        ({"gen_ai.request.model": "gpt-4o"}, "other"),
        ({"gen_ai.request.model": "gpt-4o", "gen_ai.usage.prompt_tokens": 3}, "llm"),
        ({"gen_ai.agent.name": "a"}, "agent"),
        ({"openinference.span.kind": "CHAIN"}, "step"),
        ({"openinference.span.kind": "LLM", "gen_ai.operation.name": "invoke_agent"}, "llm"),
        ({"mlflow.spanType": '"CHAT_MODEL"'}, "llm"),
        ({"traceloop.span.kind": "workflow"}, "workflow"),
        ({"traceloop.span.kind": "workflow", "gen_ai.operation.name": "invoke_agent"}, "agent"),
        ({"llm.request.type": "embedding"}, "embedding"),
        ({"langfuse.observation.type": "generation"}, "llm"),
        ({"langfuse.observation.type": "span", "langfuse.observation.model.name": "m"}, "llm"),
        ({"langfuse.observation.type": "span", "gen_ai.operation.name": "invoke_agent"}, "agent"),
        ({"ai.operationId": "ai.generateText.doGenerate"}, "llm"),
        ({"ai.operationId": "ai.generateText"}, "agent"),
        ({"operation.name": "ai.embedMany.doEmbed my-function"}, "embedding"),
        ({"ai.operationId": "ai.toolCall"}, "tool"),
        ({"http.route": "/"}, "other"),
        ({}, "other"),
    ],
)
def test_span_class(attributes: dict[str, Any], span_class: str) -> None:
    """The first row of the decision table that fits says what a span is."""
    assert row(attributes)["span_class"] == span_class


# --- OpenTelemetry GenAI --------------------------------------------------------------------------------------------


def test_todays_and_deprecated_names_give_the_same_row() -> None:
    """A model call in the first names of the convention reads as one in today's."""
    today = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_write.input_tokens": 2,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 1,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.conversation.id": "s",
        "user.id": "u",
    }
    deprecated = {
        "gen_ai.operation.name": "chat",
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.usage.prompt_tokens": "10",
        "gen_ai.usage.completion_tokens": 5.0,
        "gen_ai.usage.cache_creation.input_tokens": 2,
        "gen_ai.usage.cache_read_input_tokens": 3,
        "gen_ai.usage.details.reasoning_tokens": 1,
        "gen_ai.response.finish_reasons": '["end_turn"]',
        "session.id": '"s"',
        "enduser.id": "u",
    }
    first, second = row(today), row(deprecated)
    del first["attributes"], second["attributes"]
    assert first == second
    assert first["convention"] == "otel_genai"


def test_the_first_non_empty_name_wins() -> None:
    """An empty value under the better name leaves the place to the next; a zero to a larger count alone."""
    only = row({**CHAT, "session.id": "", "gen_ai.conversation.id": "c", "gen_ai.usage.input_tokens": 0})
    assert (only["session_id"], only["input_tokens"]) == ("c", 0)
    only = row({**CHAT, "gen_ai.usage.input_tokens": 0, "gen_ai.usage.prompt_tokens": 9})
    assert only["input_tokens"] == 9


def test_tokens_are_made_inclusive() -> None:
    """Cached tokens beyond the input were counted apart, as was reasoning beyond the output."""
    only = row(
        {
            **CHAT,
            "gen_ai.usage.input_tokens": 2,
            "gen_ai.usage.cache_read.input_tokens": 80,
            "gen_ai.usage.cache_creation.input_tokens": 10,
            "gen_ai.usage.output_tokens": 5,
            "gen_ai.usage.reasoning.output_tokens": 7,
        }
    )
    assert (only["input_tokens"], only["output_tokens"]) == (92, 12)
    inclusive = row({**CHAT, "gen_ai.usage.input_tokens": 90, "gen_ai.usage.cache_read.input_tokens": 90})
    assert inclusive["input_tokens"] == 90


def test_aggregated_usage_is_no_usage() -> None:
    """An agent's sums under another prefix stay out of the token columns."""
    only = row({"gen_ai.operation.name": "invoke_agent", "gen_ai.aggregated_usage.input_tokens": 5})
    assert only["input_tokens"] is None


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (["tool_use"], ["tool_calls"]),
        ("MAX_TOKENS", ["length"]),
        ('["SAFETY"]', ["content_filter"]),
        ("stop,tool-calls", ["stop", "tool_calls"]),
        (["refusal"], ["refusal"]),
        (7, []),
    ],
)
def test_finish_reasons_under_common_names(sent: Any, expected: list[str]) -> None:
    """Providers' words for one thing become one word."""
    assert row({**CHAT, "gen_ai.response.finish_reasons": sent})["finish_reasons"] == expected


@pytest.mark.parametrize(
    ("sent", "model", "expected"),
    [
        ("az.ai.openai", "m", "azure.openai"),
        ("openai.responses", "m", "openai"),
        ("strands-agents", "claude-x", "anthropic"),
        ("function", "anything", ""),
        ("acme", "gpt-4o", "acme"),
    ],
)
def test_provider_names(sent: str, model: str, expected: str) -> None:
    """One name a provider; where a framework's name stands, the model's name tells."""
    assert row({**CHAT, "gen_ai.request.model": model, "gen_ai.system": sent})["provider"] == expected


def test_structured_messages_become_json() -> None:
    """Messages sent as OTLP maps read like those sent as JSON text."""
    messages = [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
    only = row({**CHAT, "gen_ai.input.messages": messages, "gen_ai.output.messages": json.dumps(messages)})
    assert json.loads(only["input"]) == json.loads(only["output"]) == messages


def test_messages_in_numbered_attributes() -> None:
    """Numbers order the messages and size nothing, however large."""
    only = row(
        {
            **CHAT,
            "gen_ai.prompt.10.content": "last",
            "gen_ai.prompt.10.role": "user",
            "gen_ai.prompt.2.role": "system",
            "gen_ai.prompt.2.content": "first",
            "gen_ai.prompt.99999999999999999999.content": "far",
            "gen_ai.prompt.__proto__.content": "no number",
            "gen_ai.completion.0.finish_reason": "stop",
            "gen_ai.completion.0.tool_calls.0.id": "c1",
            "gen_ai.completion.0.tool_calls.0.name": "find",
            "gen_ai.completion.0.tool_calls.0.arguments": '{"a":1}',
        }
    )
    assert [each["parts"][0]["content"] for each in json.loads(only["input"])] == ["first", "last", "far"]
    (answer,) = json.loads(only["output"])
    assert answer["parts"] == [{"type": "tool_call", "id": "c1", "name": "find", "arguments": {"a": 1}}]
    assert answer["finish_reason"] == "stop"


def test_messages_in_one_event_each() -> None:
    """The legacy events of a span become its input and output messages, tool results by their call."""
    events = [
        event("gen_ai.system.message", {"content": "be terse"}),
        event("gen_ai.user.message", {"content": '[{"text": "hi"}]'}),
        event("gen_ai.tool.message", {"content": "rainy", "id": "c1"}),
        event("gen_ai.choice", {"message": '{"role":"assistant","content":"yes"}', "finish_reason": "stop"}),
    ]
    only = row(CHAT, events=events)
    said = json.loads(only["input"])
    assert [each["role"] for each in said] == ["system", "user", "tool"]
    assert said[2]["parts"] == [{"type": "tool_call_response", "id": "c1", "response": "rainy"}]
    assert json.loads(only["output"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "yes"}], "finish_reason": "stop"}
    ]


def test_messages_in_several_details_events_are_merged() -> None:
    """Emitters may send input and output in events of their own."""
    name = "gen_ai.client.inference.operation.details"
    events = [
        event(name, {"gen_ai.system_instructions": '[{"type":"text","content":"s"}]'}),
        event(name, {"gen_ai.input.messages": '[{"role":"user","parts":[]}]'}),
        event(name, {"gen_ai.output.messages": [{"role": "assistant", "parts": []}]}),
    ]
    only = row(CHAT, events=events)
    assert (json.loads(only["input"])[0]["role"], json.loads(only["output"])[0]["role"]) == ("user", "assistant")
    assert json.loads(only["system_instructions"]) == [{"type": "text", "content": "s"}]


def test_tool_spans_hold_arguments_result_and_the_hash_the_sdk_gives() -> None:
    """The hash is that of the arguments' meaning, so key order and spaces do not matter."""
    only = row(
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.call.arguments": '{"b": 2.0,  "a": 1}',
            "gen_ai.tool.call.result": {"ok": True},
        },
        name="execute_tool find",
    )
    assert (only["tool_name"], only["input"], only["output"]) == ("find", '{"b": 2.0,  "a": 1}', '{"ok":true}')
    assert only["args_hash"] == args_hash({"a": 1, "b": 2})


@pytest.mark.parametrize(
    ("attributes", "message", "expected"),
    [
        ({"error.type": "429"}, "", "rate_limit"),
        ({"error.type": "TimeoutError"}, "", "timeout"),
        ({"http.response.status_code": 503}, "", "unavailable"),
        ({}, "content_filter triggered", "content_filter"),
        ({}, "Incorrect API key provided", "auth"),
        ({}, "JSONDecodeError: Expecting value", "malformed"),
        ({"error.type": "ValueError"}, "", "invalid_input"),
        ({"spanhouse.error.class": "auth", "error.type": "429"}, "", "auth"),
        ({"spanhouse.error.class": "new kind"}, "boom", "other"),
    ],
)
def test_error_types_are_of_the_closed_list(attributes: dict[str, Any], message: str, expected: str) -> None:
    """Whatever an emitter calls its failure, it is counted under one of eight names."""
    assert row(attributes, status={"code": 2, "message": message})["error_type"] == expected


def test_errors_keep_the_exceptions_name_and_the_first_line() -> None:
    """The last exception event tells where the status says nothing; tracebacks stay in the event."""
    events = [
        event("exception", {"exception.type": "KeyError", "exception.message": "first"}),
        event("exception", {"exception.type": "RuntimeError", "exception.message": "last\nTraceback"}),
    ]
    only = row({}, status={"code": 2}, events=events)
    assert (only["status"], only["exception_type"], only["status_message"]) == ("error", "RuntimeError", "last")
    repr_first = row({}, status={"code": 2, "message": "E('x')Traceback (most recent call last):\n  File"})
    assert repr_first["status_message"] == "E('x')"


def test_what_did_not_fail_has_no_error_type() -> None:
    """A status code attribute or a handled exception makes no error of a span that says it is fine."""
    fine = row({"http.response.status_code": 404}, status={"code": 1})
    assert (fine["status"], fine["error_type"]) == ("ok", "")
    handled = row({}, events=[event("exception", {"exception.type": "E"})])
    assert (handled["status"], handled["error_type"], handled["exception_type"]) == ("unset", "", "E")


# --- Spanhouse ------------------------------------------------------------------------------------------------------


def test_own_attributes_fill_their_columns() -> None:
    """What the SDK writes on a run span is in the row."""
    only = row(
        {
            "gen_ai.operation.name": "invoke_agent",
            "spanhouse.run_id": "r1",
            "spanhouse.request_id": "q1",
            "spanhouse.stop_reason": "policy_deny:send",
            "spanhouse.outcome": "failure",
            "spanhouse.escalated": True,
            "spanhouse.steps": "4",
            "spanhouse.spans_expected": 9,
            "spanhouse.content_captured": False,
            "spanhouse.input": "hi",
            "spanhouse.budget": '{"max_usd":{"limit":1,"used":0}}',
            "spanhouse.cost_usd": 0.5,
            "tenant.id": "acme",
        },
        scope="spanhouse",
    )
    expected = {
        "convention": "spanhouse",
        "run_hint": "r1",
        "request_id": "q1",
        "stop_reason": "policy_deny:send",
        "outcome": "failure",
        "escalated": True,
        "steps": 4,
        "spans_expected": 9,
        "content_captured": False,
        "input": "hi",
        "budget": '{"max_usd":{"limit":1,"used":0}}',
        "cost_usd": 0.5,
        "cost_source": "reported",
        "tenant": "acme",
        "is_final": True,
    }
    assert {key: only[key] for key in expected} == expected


@pytest.mark.parametrize(
    "key", ["request.id", "request_id", "http.request.header.x-request-id", "correlation.id", "metadata.request_id"]
)
def test_request_ids_under_their_usual_names(key: str) -> None:
    """Ids set before there was an SDK are found; a header's value comes as a list."""
    assert row({key: "q"})["request_id"] == "q"
    assert row({key: ["q"]})["request_id"] == "q"


def test_a_stop_reason_by_a_common_name_counts_on_agent_spans_alone() -> None:
    """Providers use the same key for why a model stopped."""
    assert row({"gen_ai.operation.name": "invoke_agent", "stop_reason": "max_steps"})["stop_reason"] == "max_steps"
    assert row({**CHAT, "stop_reason": "end_turn"})["stop_reason"] == ""


# --- OpenInference, MLflow, OpenLLMetry, strands, Google ADK --------------------------------------------------------


def test_openinference_metadata_names_agent_request_and_session() -> None:
    """Its metadata is one JSON object."""
    metadata = '{"lc_agent_name":"a","request_id":"q","thread_id":"t"}'
    only = row({"openinference.span.kind": "AGENT", "metadata": metadata})
    assert (only["agent"], only["request_id"], only["session_id"]) == ("a", "q", "t")
    assert row({"metadata": metadata})["request_id"] == ""


def test_openinference_wrapper_is_no_model_answer() -> None:
    """A span of kind LLM that only returned a Python value shows no output, which would count as an answer."""
    only = row({"openinference.span.kind": "LLM", "llm.model_name": "m", "output.value": "{}", "input.value": "q"})
    assert (only["input"], only["output"]) == ("q", "")


def test_mlflow_values_lose_their_json_quotes() -> None:
    """Every value is JSON there, even ids."""
    only = row({"mlflow.spanType": '"AGENT"', "session.id": '"s"', "mlflow.spanOutputs": '"done"'}, name="helper")
    assert (only["session_id"], only["output"], only["agent"]) == ("s", "done", "helper")


@pytest.mark.parametrize(
    "wrapped",
    ['{"input_str": "{\'city\': \'Paris\'}", "tags": ["seq:step:1"]}', '{"args": [], "kwargs": {"city": "Paris"}}'],
)
def test_tool_arguments_lose_their_wrappers(wrapped: str) -> None:
    """Metadata beside the arguments would make every call look different to loop detection."""
    only = row(
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.arguments": wrapped},
        scope="opentelemetry.instrumentation.langchain",
    )
    assert only["args_hash"] == args_hash({"city": "Paris"})
    assert dict(only["attributes"])["gen_ai.tool.call.arguments"] == wrapped


def test_strands_units_and_tool_status() -> None:
    """Its time to first token is in milliseconds where others send seconds, and its tools fail without a status."""
    scope = "strands.telemetry.tracer"
    assert row({**CHAT, "gen_ai.server.time_to_first_token": 625}, scope=scope)["ttft_ms"] == 625
    assert row({**CHAT, "gen_ai.server.time_to_first_token": 0.625})["ttft_ms"] == 625
    failed = row({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.status": "error"}, scope=scope)
    assert failed["status"] == "error"


@pytest.mark.parametrize(("name", "span_class"), [("invocation", "workflow"), ("call_llm", "llm"), ("prep", "step")])
def test_google_adk_spans_without_operation_go_by_name(name: str, span_class: str) -> None:
    """Only under its own scope; elsewhere the same name says nothing."""
    assert row(scope="gcp.vertex.agent", name=name)["span_class"] == span_class
    assert row(name=name)["span_class"] == "other"


def test_google_adk_merged_tools_are_no_tool_call() -> None:
    """The span over parallel calls would count them twice."""
    merged = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "(merged tools)"}
    assert row(merged, scope="gcp.vertex.agent")["span_class"] == "step"


def test_a_python_literal_that_utf8_cannot_spell_is_kept_escaped() -> None:
    """Arguments wrapped as a literal may hold half a surrogate pair."""
    assert readers.arguments('{"input_str": "\'\\\\ud800\'"}') == "\\ud800"


# --- Langfuse, AI SDK -----------------------------------------------------------------------------------------------


def test_langfuse_usage_buckets_are_disjoint() -> None:
    """Its input is what was neither read from nor written to the cache, so the buckets add up."""
    usage = '{"input": 2, "input_cached_tokens": 80, "output": 5, "output_reasoning_tokens": 3, "total": 90}'
    only = row(
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.model.name": "gpt-4o-mini",
            "langfuse.observation.usage_details": usage,
            "langfuse.observation.cost_details": '{"input": 0.1, "total": 0.25}',
            "langfuse.observation.level": "ERROR",
            "langfuse.observation.status_message": "rate limit reached",
            "langfuse.session.id": "s",
            "langfuse.trace.metadata.request_id": '"q"',
        },
        scope="langfuse-sdk",
    )
    tokens = ("input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens")
    assert [only[column] for column in tokens] == [82, 8, 80, 3]
    assert (only["cost_usd"], only["cost_source"]) == (0.25, "reported")
    assert (only["status"], only["error_type"], only["status_message"]) == ("error", "rate_limit", "rate limit reached")
    assert (only["session_id"], only["request_id"], only["convention"]) == ("s", "q", "langfuse")


def test_ai_sdk_model_call() -> None:
    """Messages and requested tools come in GenAI form, counts and names from its own keys."""
    only = row(
        {
            "ai.operationId": "ai.streamText.doStream",
            "ai.model.id": "gpt-4o-mini",
            "ai.model.provider": "openai.responses",
            "ai.prompt.messages": '[{"role":"user","content":[{"type":"text","text":"hi"}]}]',
            "ai.response.toolCalls": '[{"toolCallId":"c1","toolName":"find","input":"{\\"a\\":1}"}]',
            "ai.response.finishReason": "tool-calls",
            "ai.response.msToFirstChunk": 12.5,
            "ai.usage.inputTokens": 10,
            "ai.usage.outputTokens": 2,
            "ai.telemetry.metadata.sessionId": "s",
            "ai.telemetry.metadata.requestId": "q",
        },
        scope="ai",
    )
    assert json.loads(only["input"]) == [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
    (answer,) = json.loads(only["output"])
    assert answer["parts"] == [{"type": "tool_call", "id": "c1", "name": "find", "arguments": {"a": 1}}]
    assert (only["provider"], only["finish_reasons"], only["ttft_ms"]) == ("openai", ["tool_calls"], 12.5)
    assert (only["session_id"], only["request_id"], only["input_tokens"]) == ("s", "q", 10)


# --- LangSmith, Logfire, coding agents' spans -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "name", "scope", "span_class"),
    [
        ({"langsmith.span.kind": "llm"}, "s", "langsmith", "llm"),
        ({"langsmith.span.kind": "parser"}, "s", "langsmith", "step"),
        ({"langsmith.span.kind": "retriever"}, "s", "langsmith", "retrieval"),
        ({"logfire.span_type": "pending_span", **CHAT}, "s", "logfire", "other"),
        ({"logfire.tags": ["LLM"], "request_data": "{}"}, "s", "logfire.openai", "llm"),
        ({"logfire.tags": ["web"], "request_data": "{}"}, "s", "logfire", "other"),
        ({"gen_ai.tool.call.id": "t"}, "claude_code.tool.execution", "com.anthropic.claude_code.tracing", "step"),
        ({"gen_ai.tool.call.id": "t"}, "claude_code.tool", "com.anthropic.claude_code.tracing", "tool"),
        ({}, "claude_code.interaction", "com.anthropic.claude_code.tracing", "agent"),
        ({"span.type": "llm_request"}, "renamed", "com.anthropic.claude_code.tracing", "llm"),
        ({"span.type": "tool"}, "a web request", "my.app", "other"),
        ({"gen_ai.operation.name": "llm_call"}, "s", "gemini-cli", "llm"),
        ({"model": "m", "codex.turn": 1}, "run_turn", "codex_otel.trace_safe", "other"),
    ],
)
def test_span_class_by_scope_and_name(attributes: dict[str, Any], name: str, scope: str, span_class: str) -> None:
    """Conventions with common keys are known by their scope alone."""
    assert row(attributes, name=name, scope=scope)["span_class"] == span_class


def test_claude_codes_input_leaves_out_the_cache() -> None:
    """Also where the cache holds less than what was sent anew, which no comparison of the two could tell."""
    said = {"input_tokens": 5000, "cache_read_tokens": 3000, "cache_creation_tokens": 100, "output_tokens": 7}
    only = row(said | {"model": "m"}, name="claude_code.llm_request", scope="com.anthropic.claude_code.tracing")
    assert (only["input_tokens"], only["cache_read_tokens"], only["cache_write_tokens"]) == (8100, 3000, 100)


def test_gemini_clis_output_leaves_out_the_thoughts() -> None:
    """Reasoning is part of the output everywhere else, so it is added here."""
    said = {"gen_ai.operation.name": "llm_call", "output_token_count": 20, "thoughts_token_count": 5}
    only = row(said, scope="gemini-cli")
    assert (only["output_tokens"], only["reasoning_tokens"]) == (25, 5)


def test_langsmiths_session_name_is_a_project() -> None:
    """The session of a user stands in the metadata."""
    said = {"langsmith.trace.session_id": "project", "langsmith.metadata.thread_id": "t"}
    assert row(said | {"langsmith.span.kind": "chain"})["session_id"] == "t"


def test_scores_on_a_span_become_rows() -> None:
    """OpenInference numbers them; each has an id of its own that stays when the span is sent again."""
    said = {
        "evaluations.0.evaluation.name": "tone",
        "evaluations.0.evaluation.score": "0.5",
        "trace.annotations.0.annotation.name": "thumb",
        "trace.annotations.0.annotation.label": "up",
    }
    body = traces(span(said))
    first, again = rows(body, table="scores"), rows(body, table="scores")
    assert [(each["name"], each["value"], each["label"]) for each in first] == [
        ("tone", 0.5, ""),
        ("thumb", None, "up"),
    ]
    assert first == again
    assert len({each["score_id"] for each in first}) == 2
