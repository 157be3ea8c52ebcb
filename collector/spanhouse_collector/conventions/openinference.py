"""OpenInference (Arize): a span kind of its own, numbered message attributes, metadata as one JSON object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spanhouse_collector.conventions.convention import (
    AGENT,
    EMBEDDING,
    EVALUATOR,
    GUARDRAIL,
    LLM,
    RETRIEVAL,
    STEP,
    TOOL,
    Convention,
    Messages,
    Source,
    by_presence,
    by_value,
)
from spanhouse_collector.conventions.genai_flat import numbered, tree
from spanhouse_collector.conventions.parts import message
from spanhouse_collector.conventions.readers import (
    arguments,
    cost,
    count,
    finish_reasons,
    flag,
    member,
    name,
    parsed,
    then,
)
from spanhouse_collector.wire import Value

_KINDS: Final = {
    "llm": LLM,
    "agent": AGENT,
    "tool": TOOL,
    "chain": STEP,
    "prompt": STEP,
    "retriever": RETRIEVAL,
    "reranker": RETRIEVAL,
    "embedding": EMBEDDING,
    "guardrail": GUARDRAIL,
    "evaluator": EVALUATOR,
}


def _messages(attributes: Mapping[str, Value], /) -> Messages:
    tools = [parsed(_at(node, "tool", "json_schema")) for node in numbered(tree(attributes, "llm.tools."))]
    return Messages(
        input=_side(attributes, "llm.input_messages."),
        output=_side(attributes, "llm.output_messages."),
        tools=[tool for tool in tools if tool is not None] or None,
    )


def _side(attributes: Mapping[str, Value], prefix: str) -> list[dict[str, Any]] | None:
    found = []
    for node in numbered(tree(attributes, prefix)):
        said = node.get("message") if isinstance(node, dict) else None
        if isinstance(said, dict):
            role, content, call_id = said.get("role"), said.get("content"), said.get("tool_call_id")
            blocks = [_at(block, "message_content") for block in numbered(said.get("contents"))]
            found.append(
                message(
                    role if isinstance(role, str) else "assistant",
                    content if content is not None else blocks,
                    calls=[_at(call, "tool_call") for call in numbered(said.get("tool_calls"))],
                    call_id=call_id if isinstance(call_id, str) else "",
                )
            )
    return found or None


def _at(node: Any, *path: str) -> Any:  # noqa: ANN401 - a node of the tree
    for step in path:
        node = node.get(step) if isinstance(node, dict) else None
    return node


OPENINFERENCE: Final = Convention(
    name="openinference",
    scopes=("openinference.instrumentation.*", "@arizeai/openinference*"),
    keys=("openinference.span.kind",),
    classes=(
        by_value(2, "openinference.span.kind", _KINDS),
        by_presence(10, ("tool.name",), TOOL),
    ),
    sources=(
        Source("agent", ("agent.name", "graph.node.id"), name, own=True),
        Source("agent", ("metadata",), then(member("lc_agent_name"), name), own=True),
        Source("request_id", ("metadata",), then(member("request_id"), name), own=True),
        Source("session_id", ("metadata",), then(member("thread_id"), name)),
        Source("tool_name", ("tool.name",), name),
        Source("tool_call_id", ("tool.id", "tool_call.id"), name),
        Source("tool_arguments", ("input.value",), arguments),
        Source("tool_result", ("output.value",)),
        Source("provider", ("llm.provider", "llm.system"), name),
        Source("response_model", ("llm.response.model_name", "llm.model_name"), name),
        Source("request_model", ("llm.request.model_name", "embedding.model_name", "reranker.model_name"), name),
        Source("request_model", ("llm.invocation_parameters",), then(member("model"), name)),
        Source("finish_reasons", ("llm.finish_reason",), finish_reasons),
        Source("streaming", ("llm.is_streaming",), flag),
        Source("input_tokens", ("llm.token_count.prompt",), count),
        Source("output_tokens", ("llm.token_count.completion",), count),
        Source("cache_read_tokens", ("llm.token_count.prompt_details.cache_read",), count),
        Source("cache_write_tokens", ("llm.token_count.prompt_details.cache_write",), count),
        Source("reasoning_tokens", ("llm.token_count.completion_details.reasoning",), count),
        Source("cost_usd", ("llm.cost.total",), cost),
        Source("preview_input", ("input.value",)),
        Source("preview_output", ("output.value",)),
    ),
    message_prefixes=("llm.input_messages.", "llm.output_messages.", "llm.tools."),
    messages=_messages,
)
