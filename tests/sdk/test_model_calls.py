"""What a model call leaves behind: messages in OpenTelemetry's form, usage, audit event."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.otlp_sink import OtlpSink

import spanhouse as sh
from spanhouse.messages import to_genai


def text(content: str) -> dict[str, str]:
    """Return one text part."""
    return {"type": "text", "content": content}


def test_a_call_records_request_response_and_usage(telemetry: OtlpSink) -> None:
    """The span follows the GenAI conventions; the audit event holds the figures without the content."""
    with (
        sh.run("refund"),
        sh.model_call(
            "gpt-4o-mini",
            provider="openai",
            messages=[{"role": "user", "content": "Where is my order?"}],
            system="Be brief",
            tools=[{"name": "lookup"}],
            max_tokens=500,
        ) as call,
    ):
        call.response(
            output={"role": "assistant", "content": "On its way"},
            model="gpt-4o-mini-2024",
            id="resp-1",
            finish_reasons=["stop"],
            input_tokens=12,
            output_tokens=5,
            cache_read_tokens=4,
            cache_write_tokens=0,
            reasoning_tokens=2,
            cost_usd=0.001,
        )
    assert sh.flush()
    attributes = telemetry.span("chat gpt-4o-mini").attributes
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.request.max_tokens": 500,
        "gen_ai.response.model": "gpt-4o-mini-2024",
        "gen_ai.response.id": "resp-1",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.cache_write.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "spanhouse.cost_usd": 0.001,
    }
    assert expected.items() <= attributes.items()
    assert json.loads(attributes["gen_ai.input.messages"]) == [{"role": "user", "parts": [text("Where is my order?")]}]
    assert json.loads(attributes["gen_ai.output.messages"]) == [{"role": "assistant", "parts": [text("On its way")]}]
    assert json.loads(attributes["gen_ai.system_instructions"]) == [text("Be brief")]
    assert json.loads(attributes["gen_ai.tool.definitions"]) == [{"name": "lookup"}]
    (event,) = [event for event in telemetry.audit if event.event_name == "model.call"]
    assert event.data["duration_ms"] >= 0
    assert {key: value for key, value in event.data.items() if key != "duration_ms"} == {
        "model": "gpt-4o-mini-2024",
        "provider": "openai",
        "status": "ok",
        "input_tokens": 12,
        "output_tokens": 5,
        "cost_usd": 0.001,
        "finish_reasons": ["stop"],
    }


def test_unknown_figures_are_absent_not_zero(telemetry: OtlpSink) -> None:
    """A provider that says nothing of cost or tokens leaves no figure behind."""
    with sh.run("refund"), sh.model_call("m") as call:
        call.response(output="hi")
    assert sh.flush()
    attributes = telemetry.span("chat m").attributes
    assert not [key for key in attributes if "usage" in key or "cost" in key]


def test_a_stream_may_report_bit_by_bit(telemetry: OtlpSink) -> None:
    """Later reports stand, and leave what they do not speak of."""
    with sh.run("refund"), sh.model_call("m") as call:
        call.response(output="On", input_tokens=12)
        call.response(output="On its way", output_tokens=5)
    assert sh.flush()
    attributes = telemetry.span("chat m").attributes
    assert (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]) == (12, 5)
    assert json.loads(attributes["gen_ai.output.messages"])[0]["parts"] == [text("On its way")]
    (event,) = [event for event in telemetry.audit if event.event_name == "model.call"]
    assert (event.data["input_tokens"], event.data["output_tokens"]) == (12, 5)


def test_a_failed_call_is_recorded_and_still_fails(telemetry: OtlpSink) -> None:
    """The error class comes from what the provider's exception says."""

    class RateLimitError(Exception):
        status_code = 429

    with sh.run("refund"), pytest.raises(RateLimitError), sh.model_call("m"):
        raise RateLimitError
    assert sh.flush()
    assert telemetry.span("chat m").attributes["spanhouse.error.class"] == "rate_limit"
    (event,) = [event for event in telemetry.audit if event.event_name == "model.call"]
    assert (event.data["status"], event.data["error_type"]) == ("error", "rate_limit")


CASES: list[tuple[Any, list[dict[str, Any]]]] = [
    ("hi", [{"role": "user", "parts": [text("hi")]}]),
    ({"role": "system", "content": "Be brief"}, [{"role": "system", "parts": [text("Be brief")]}]),
    ({"role": "user", "parts": [text("kept")]}, [{"role": "user", "parts": [text("kept")]}]),
    ({"role": "assistant", "content": None}, [{"role": "assistant", "parts": []}]),
    (
        {"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": "x"}, "and"]},
        [{"role": "user", "parts": [text("see"), {"type": "image_url", "image_url": "x"}, text("and")]}],
    ),
    (
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "c-1", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}},
                {"id": "c-2", "name": "look", "arguments": {"a": 2}},
                {"name": "look", "arguments": "{broken"},
            ],
        },
        [
            {
                "role": "assistant",
                "parts": [
                    {"type": "tool_call", "name": "look", "arguments": {"a": 1}, "id": "c-1"},
                    {"type": "tool_call", "name": "look", "arguments": {"a": 2}, "id": "c-2"},
                    {"type": "tool_call", "name": "look", "arguments": "{broken"},
                ],
            }
        ],
    ),
    (
        {"role": "tool", "tool_call_id": "c-1", "content": "42", "name": "look"},
        [{"role": "tool", "parts": [{"type": "tool_call_response", "response": "42", "id": "c-1"}], "name": "look"}],
    ),
    (
        {"role": "assistant", "content": "hi", "finish_reason": "stop"},
        [{"role": "assistant", "parts": [text("hi")], "finish_reason": "stop"}],
    ),
]


@pytest.mark.parametrize(("given_message", "expected"), CASES)
def test_chat_messages_become_parts(given_message: Any, expected: list[dict[str, Any]]) -> None:
    """Every shape of message an agent has at hand gets the conventions' form."""
    assert to_genai(given_message) == expected


@given(st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": st.text()})))
def test_conversion_is_done_once(messages: list[dict[str, str]]) -> None:
    """Converted messages stay as they are when converted again, and none is added or lost."""
    once = to_genai(messages)
    assert to_genai(once) == once
    assert [message["role"] for message in once] == [message["role"] for message in messages]
