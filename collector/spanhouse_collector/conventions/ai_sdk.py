"""Vercel's AI SDK before it spoke GenAI names: operations ``ai.generateText`` and the calls inside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spanhouse_collector.conventions.convention import (
    AGENT,
    EMBEDDING,
    LLM,
    RETRIEVAL,
    STEP,
    TOOL,
    ClassRule,
    Convention,
    Messages,
    Sighting,
    Source,
)
from spanhouse_collector.conventions.parts import from_openai, message
from spanhouse_collector.conventions.readers import count, finish_reasons, milliseconds, name, parsed
from spanhouse_collector.wire import Value

_OPERATIONS: Final = {
    "ai.toolCall": TOOL,
    "ai.embed": STEP,
    "ai.embedMany": STEP,
    **dict.fromkeys(("ai.generateText", "ai.streamText", "ai.generateObject", "ai.streamObject"), AGENT),
}
_METADATA: Final = "ai.telemetry.metadata."


def _operation(span: Sighting) -> str:
    value = span.attributes.get("ai.operationId") or span.attributes.get("operation.name")
    # A function's name may follow after a space.
    operation = value.split(" ", 1)[0] if isinstance(value, str) else ""
    if operation.startswith("ai.rerank"):
        return RETRIEVAL
    if operation.startswith("ai.embed") and operation.endswith(".doEmbed"):
        return EMBEDDING
    if operation.startswith("ai.") and operation.endswith((".doGenerate", ".doStream")):
        return LLM
    return _OPERATIONS.get(operation, "")


def _messages(attributes: Mapping[str, Value], /) -> Messages:
    sent = parsed(attributes.get("ai.prompt.messages"))
    calls = parsed(attributes.get("ai.response.toolCalls"))
    text = attributes.get("ai.response.text", attributes.get("ai.response.object"))
    return Messages(
        input=[found for each in sent if (found := from_openai(each)) is not None] if isinstance(sent, list) else None,
        output=[message("assistant", text, calls=_calls(calls))] if text or calls else None,
    )


def _calls(calls: object) -> list[dict[str, object]]:
    found = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    return [
        {"id": call.get("toolCallId"), "name": call.get("toolName"), "arguments": call.get("input", call.get("args"))}
        for call in found
    ]


AI_SDK: Final = Convention(
    name="ai_sdk",
    scopes=("ai",),
    keys=("ai.operationId", "ai.telemetry.*"),
    classes=(ClassRule(7, ("ai.operationId", "operation.name"), _operation),),
    sources=(
        Source("session_id", (f"{_METADATA}sessionId",), name),
        Source("user_id", (f"{_METADATA}userId",), name),
        Source("request_id", (f"{_METADATA}request_id", f"{_METADATA}requestId"), name),
        Source("agent", ("ai.telemetry.functionId",), name),
        Source("tool_name", ("ai.toolCall.name",), name),
        Source("tool_call_id", ("ai.toolCall.id",), name),
        Source("tool_arguments", ("ai.toolCall.args",)),
        Source("tool_result", ("ai.toolCall.result",)),
        Source("provider", ("ai.model.provider",), name),
        Source("request_model", ("ai.model.id",), name),
        Source("response_model", ("ai.response.model",), name),
        Source("response_id", ("ai.response.id",), name),
        Source("finish_reasons", ("ai.response.finishReason",), finish_reasons),
        Source("ttft_ms", ("ai.response.msToFirstChunk", "ai.stream.msToFirstChunk"), milliseconds),
        Source("input_tokens", ("ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens"), count),
        Source("output_tokens", ("ai.usage.outputTokens", "ai.usage.completionTokens"), count),
        Source("cache_read_tokens", ("ai.usage.cachedInputTokens",), count),
        Source("reasoning_tokens", ("ai.usage.reasoningTokens",), count),
        Source("preview_input", ("ai.prompt",)),
        Source("preview_output", ("ai.response.text", "ai.response.object")),
    ),
    message_prefixes=("ai.prompt.messages", "ai.response."),
    messages=_messages,
)
