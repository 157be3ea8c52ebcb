"""LangSmith's OpenTelemetry attributes: a span kind of its own, metadata by key, messages as whole JSON objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spanhouse_collector.conventions.convention import (
    EMBEDDING,
    LLM,
    RETRIEVAL,
    STEP,
    TOOL,
    Convention,
    Messages,
    Source,
    by_value,
)
from spanhouse_collector.conventions.parts import from_openai
from spanhouse_collector.conventions.readers import count, flag, member, name, parsed, then
from spanhouse_collector.wire import Value

_KINDS: Final = {
    "llm": LLM,
    "tool": TOOL,
    **dict.fromkeys(("chain", "prompt", "parser"), STEP),
    "retriever": RETRIEVAL,
    "embedding": EMBEDDING,
}
_USAGE: Final = ("langsmith.usage_metadata",)


def _messages(attributes: Mapping[str, Value], /) -> Messages:
    return Messages(input=_side(attributes.get("gen_ai.prompt")), output=_side(attributes.get("gen_ai.completion")))


def _side(value: Value) -> list[dict[str, Any]] | None:
    found = parsed(value)
    items = found.get("messages", [found]) if isinstance(found, dict) else found
    if not isinstance(items, list):
        return None
    return [message for item in items if (message := from_openai(item)) is not None] or None


LANGSMITH: Final = Convention(
    name="langsmith",
    scopes=("langsmith*",),
    keys=("langsmith.*",),
    classes=(by_value(8, "langsmith.span.kind", _KINDS),),
    sources=(
        # Its own "session" is the project's name, which is no session of a user.
        Source("session_id", tuple(f"langsmith.metadata.{key}" for key in ("session_id", "thread_id")), name),
        Source("session_id", ("langsmith.metadata.conversation_id",), name),
        Source("user_id", ("langsmith.metadata.user_id",), name),
        Source("request_id", ("langsmith.metadata.request_id",), name),
        Source("environment", ("langsmith.metadata.environment",), name),
        Source("agent", ("langsmith.metadata.lc_agent_name",), name),
        Source("request_model", ("langsmith.metadata.ls_model_name",), name),
        Source("provider", ("langsmith.metadata.ls_provider",), name),
        Source("streaming", ("langsmith.request.streaming",), flag),
        Source("input_tokens", _USAGE, then(member("input_tokens"), count)),
        Source("output_tokens", _USAGE, then(member("output_tokens"), count)),
        Source("cache_read_tokens", _USAGE, then(member("input_token_details", "cache_read"), count)),
        Source("cache_write_tokens", _USAGE, then(member("input_token_details", "cache_creation"), count)),
        Source("reasoning_tokens", _USAGE, then(member("output_token_details", "reasoning"), count)),
        Source("tool_arguments", ("gen_ai.prompt",), own=True),
        Source("tool_result", ("gen_ai.completion",), own=True),
    ),
    # The whole-object form is read where LangSmith's own attributes stand beside it.
    message_prefixes=("langsmith.",),
    messages=_messages,
)
