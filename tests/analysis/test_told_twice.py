"""Two instrumentations tell of one call: its tokens, its cost and the call itself count once, whichever is outside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import polars as pl
import pytest
from tests.support.otlp_bodies import RECEIVED_US, START_NS, span, traces

from spanhouse_analysis import facts, frames
from spanhouse_collector.normalise import Normaliser
from spanhouse_collector.records import RawRecord

MODEL = "gpt-4o-mini"
CALLS = ((120, 30), (160, 20))
TOTAL = (280, 50)
SECOND = 1_000_000_000
Said = dict[str, Any]
Emitter = tuple[str, str, Callable[[int, int], Said], Said]
"""Scope and name of a model span, its attributes for input and output tokens, and those of a tool span."""


def genai(sent: int, got: int) -> Said:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": MODEL,
        "gen_ai.response.model": MODEL,
        "gen_ai.usage.input_tokens": sent,
        "gen_ai.usage.output_tokens": got,
        "gen_ai.response.finish_reasons": ["stop"],
    }


def openinference(sent: int, got: int) -> Said:
    return {
        "openinference.span.kind": "LLM",
        "llm.model_name": MODEL,
        "llm.provider": "openai",
        "llm.token_count.prompt": sent,
        "llm.token_count.completion": got,
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "It rains.",
    }


def openllmetry(sent: int, got: int) -> Said:
    return {
        "llm.request.type": "chat",
        "gen_ai.system": "OpenAI",
        "gen_ai.request.model": MODEL,
        "gen_ai.response.model": MODEL,
        "gen_ai.usage.prompt_tokens": sent,
        "gen_ai.usage.completion_tokens": got,
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": "It rains.",
    }


def ai_sdk(sent: int, got: int) -> Said:
    return {
        "ai.operationId": "ai.generateText.doGenerate",
        "ai.model.id": MODEL,
        "ai.model.provider": "openai.chat",
        "ai.usage.promptTokens": sent,
        "ai.usage.completionTokens": got,
        "ai.response.finishReason": "stop",
    }


def langfuse(sent: int, got: int) -> Said:
    return {
        "langfuse.observation.type": "generation",
        "langfuse.observation.model.name": MODEL,
        "langfuse.observation.usage_details": f'{{"input": {sent}, "output": {got}}}',
        "langfuse.observation.output": "It rains.",
    }


NAMED = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "weather", "gen_ai.tool.call.id": "c1"}
INFERENCE = {"openinference.span.kind": "TOOL", "tool.name": "weather"}
EMITTERS: dict[str, Emitter] = {
    "GenAI, OpenAI": ("opentelemetry.instrumentation.genai.openai", f"chat {MODEL}", genai, NAMED),
    "OpenInference, OpenAI": ("openinference.instrumentation.openai", "ChatCompletion", openinference, INFERENCE),
    "OpenInference, LangChain": ("openinference.instrumentation.langchain", "ChatOpenAI", openinference, INFERENCE),
    "OpenLLMetry, OpenAI": (
        "opentelemetry.instrumentation.openai.v1",
        "openai.chat",
        openllmetry,
        {"traceloop.span.kind": "tool", "traceloop.entity.name": "weather"},
    ),
    "Vercel AI SDK": (
        "ai",
        "ai.generateText.doGenerate",
        ai_sdk,
        {"ai.operationId": "ai.toolCall", "ai.toolCall.name": "weather", "ai.toolCall.id": "c1"},
    ),
    "Langfuse": ("langfuse-sdk", "generation", langfuse, {"langfuse.observation.type": "tool"}),
}
AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "weather_agent"}


def run_of(*bodies: RawRecord) -> Said:
    """Return the one run that these spans become."""
    stored = Normaliser()(bodies).tables["spans"]
    found = facts.compute(frames.from_table(stored), datetime.fromtimestamp(RECEIVED_US / 1e6, UTC))
    [run] = found.runs.filter(pl.col("type") != "call").to_dicts()
    return run


def at(seconds: float, length: float) -> dict[str, int]:
    start = START_NS + int(seconds * SECOND)
    return {"start_time_unix_nano": start, "end_time_unix_nano": start + int(length * SECOND)}


def told(*emitters: Emitter) -> Said:
    """Return the run in which each call is told of by all of them, the first outermost, and a tool by all as well."""
    bodies = [traces(span(AGENT, number=1, name="invoke_agent weather_agent", **at(0, 20)), scope="my.agent")]
    for call, (sent, got) in enumerate(CALLS):
        parent = 1
        for depth, (scope, name, said, _) in enumerate(emitters):
            number = 100 * (call + 1) + depth
            when = at(1 + 8 * call + 0.1 * depth, 4 - 0.3 * depth)
            bodies.append(traces(span(said(sent, got), number=number, parent=parent, name=name, **when), scope=scope))
            parent = number
    parent = 1
    for depth, (scope, _, _, tool) in enumerate(emitters):
        when = at(6 + 0.1 * depth, 2 - 0.3 * depth)
        bodies.append(traces(span(tool, number=900 + depth, parent=parent, name="weather", **when), scope=scope))
        parent = 900 + depth
    return run_of(*bodies)


@pytest.mark.parametrize("name", list(EMITTERS))
def test_a_call_told_of_once_is_what_each_of_the_others_is_held_against(name: str) -> None:
    run = told(EMITTERS[name])
    assert (run["model_calls"], run["input_tokens"], run["output_tokens"]) == (2, *TOTAL)
    assert run["tool_calls"] == 1
    assert run["cost_usd"] == pytest.approx((280 * 0.15 + 50 * 0.60) / 1e6)


@pytest.mark.parametrize(("outer", "inner"), list(permutations(EMITTERS, 2)))
def test_a_call_told_of_by_two_counts_once(outer: str, inner: str) -> None:
    run, alone = told(EMITTERS[outer], EMITTERS[inner]), told(EMITTERS[inner])
    for name in ("model_calls", "tool_calls", "input_tokens", "output_tokens"):
        assert run[name] == alone[name], name
    assert run["cost_usd"] == pytest.approx(alone["cost_usd"])
    assert run["model"] == MODEL


def test_a_call_told_of_by_three_counts_once() -> None:
    run = told(*(EMITTERS[name] for name in ("OpenInference, LangChain", "OpenLLMetry, OpenAI", "GenAI, OpenAI")))
    assert (run["model_calls"], run["tool_calls"], run["input_tokens"], run["output_tokens"]) == (2, 1, *TOTAL)


def test_the_ai_sdks_operation_around_calls_that_the_provider_tells_of_adds_nothing() -> None:
    """`ai.generateText` says the sum of its calls, `doGenerate` each of them, the provider's client each again."""
    total = {"ai.usage.promptTokens": TOTAL[0], "ai.usage.completionTokens": TOTAL[1]}
    root = span({"ai.operationId": "ai.generateText", **total}, number=1, name="ai.generateText", **at(0, 20))
    bodies = [traces(root, scope="ai")]
    for call, (sent, got) in enumerate(CALLS):
        outer, inner = 10 + call, 20 + call
        made = span(ai_sdk(sent, got), number=outer, parent=1, name="ai.generateText.doGenerate", **at(1 + 8 * call, 4))
        chat = span(genai(sent, got), number=inner, parent=outer, name=f"chat {MODEL}", **at(1.1 + 8 * call, 3))
        bodies += [traces(made, scope="ai"), traces(chat, scope="@opentelemetry/instrumentation-openai")]
    run = run_of(*bodies)
    assert (run["model_calls"], run["input_tokens"], run["output_tokens"]) == (2, *TOTAL)
    assert run["cost_usd"] == pytest.approx((280 * 0.15 + 50 * 0.60) / 1e6)


def test_agents_told_of_twice_are_one_run() -> None:
    outer = {"openinference.span.kind": "AGENT", "agent.name": "weather_agent"}
    run = run_of(
        traces(span(outer, number=1, name="weather", **at(0, 20)), scope="openinference.instrumentation.langchain"),
        traces(span(AGENT, number=2, parent=1, name="invoke_agent weather_agent", **at(0.1, 19)), scope="my.agent"),
        traces(span(genai(120, 30), number=3, parent=2, name="chat", **at(1, 2)), scope="my.agent"),
    )
    assert (run["agent"], run["model_calls"], run["input_tokens"]) == ("weather_agent", 1, 120)
