"""Langfuse's SDK: typed observations, with usage and cost as JSON of disjoint buckets."""

from __future__ import annotations

from typing import Final

from spanhouse_collector.conventions.convention import (
    AGENT,
    EMBEDDING,
    EVALUATOR,
    GUARDRAIL,
    LLM,
    OTHER,
    RETRIEVAL,
    STEP,
    TOOL,
    Convention,
    Source,
    by_presence,
    by_value,
)
from spanhouse_collector.conventions.readers import Reader, cost, count, member, name, parsed, then
from spanhouse_collector.wire import Value

_TYPES: Final = {
    "generation": LLM,
    "agent": AGENT,
    "tool": TOOL,
    "chain": STEP,
    "retriever": RETRIEVAL,
    "embedding": EMBEDDING,
    "guardrail": GUARDRAIL,
    "evaluator": EVALUATOR,
    "event": OTHER,
}
_MODEL: Final = "langfuse.observation.model.name"
_USAGE: Final = ("langfuse.observation.usage_details",)
_CACHE_READ: Final = ("input_cached_tokens", "cache_read_input_tokens", "input_cache_read")


def _sum(prefix: str) -> Reader:
    def read(value: Value) -> int | None:
        buckets = parsed(value)
        if not isinstance(buckets, dict):
            return None
        counts = [
            found for key, each in buckets.items() if key.startswith(prefix) and (found := count(each)) is not None
        ]
        return sum(counts) if counts else None

    return read


def _bucket(*names: str) -> Reader:
    def read(value: Value) -> int | None:
        buckets = parsed(value)
        if not isinstance(buckets, dict):
            return None
        return next((found for key in names if (found := count(buckets.get(key))) is not None), None)

    return read


def _failed(value: Value) -> bool | None:
    return value.strip('"').upper() in {"ERROR", "FATAL"} if isinstance(value, str) else None


LANGFUSE: Final = Convention(
    name="langfuse",
    scopes=("langfuse-sdk",),
    keys=("langfuse.*",),
    classes=(
        by_value(1, "langfuse.observation.type", _TYPES),
        # Early versions of its Python SDK called model calls plain spans.
        by_presence(1, (_MODEL, *_USAGE, "langfuse.observation.cost_details"), LLM),
    ),
    sources=(
        Source("session_id", ("langfuse.session.id",), name),
        Source("user_id", ("langfuse.user.id",), name),
        Source("request_id", ("langfuse.trace.metadata.request_id", "langfuse.observation.metadata.request_id"), name),
        Source("request_id", ("langfuse.trace.metadata",), then(member("request_id"), name)),
        Source("environment", ("langfuse.environment",), name),
        Source("response_model", (_MODEL,), name),
        Source("input_tokens", _USAGE, _sum("input")),
        Source("output_tokens", _USAGE, _sum("output")),
        Source(
            "cache_read_tokens", _USAGE, _bucket("input_cached_tokens", "cache_read_input_tokens", "input_cache_read")
        ),
        Source("cache_write_tokens", _USAGE, _bucket("input_cache_creation", "cache_creation_input_tokens")),
        Source("reasoning_tokens", _USAGE, _bucket("output_reasoning_tokens", "output_reasoning")),
        Source("cost_usd", ("langfuse.observation.cost_details",), then(member("total"), cost)),
        Source("tool_arguments", ("langfuse.observation.input",)),
        Source("tool_result", ("langfuse.observation.output",)),
        Source("preview_input", ("langfuse.observation.input", "langfuse.trace.input")),
        Source("preview_output", ("langfuse.observation.output", "langfuse.trace.output")),
        Source("failed", ("langfuse.observation.level",), _failed),
        Source("status_text", ("langfuse.observation.status_message",), name),
    ),
    span_names_agent=True,
)
