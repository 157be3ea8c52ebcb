"""MLflow tracing: every value a JSON text, even a string; type, inputs, outputs and usage in keys of its own."""

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
    WORKFLOW,
    Convention,
    Messages,
    Source,
    by_value,
)
from spanhouse_collector.conventions.parts import from_openai
from spanhouse_collector.conventions.readers import as_text, cost, count, member, name, parsed, then
from spanhouse_collector.wire import Value

_TYPES: Final = {
    **dict.fromkeys(("llm", "chat_model"), LLM),
    "agent": AGENT,
    "tool": TOOL,
    **dict.fromkeys(("chain", "task", "parser", "memory", "unknown"), STEP),
    **dict.fromkeys(("retriever", "reranker"), RETRIEVAL),
    "embedding": EMBEDDING,
    "guardrail": GUARDRAIL,
    "evaluator": EVALUATOR,
    "workflow": WORKFLOW,
}
_USAGE: Final = ("mlflow.chat.tokenUsage",)


def _plain(value: Value) -> str | None:
    # A JSON string is given without its quotes; objects stay as they were sent.
    if isinstance(value, str) and value[:1] == '"':
        return as_text(parsed(value)) or None
    return as_text(value) if value is not None and value != "" else None


def _messages(attributes: Mapping[str, Value], /) -> Messages:
    inputs, outputs = parsed(attributes.get("mlflow.spanInputs")), parsed(attributes.get("mlflow.spanOutputs"))
    return Messages(input=_listed(inputs, "messages"), output=_listed(outputs, "choices"))


def _listed(value: Any, member_name: str) -> list[dict[str, Any]] | None:  # noqa: ANN401 - any JSON value
    items = value.get(member_name) if isinstance(value, dict) else None
    if not isinstance(items, list):
        return None
    return [found for item in items if (found := from_openai(item)) is not None] or None


MLFLOW: Final = Convention(
    name="mlflow",
    scopes=("mlflow.tracing.*",),
    keys=("mlflow.*",),
    classes=(by_value(6, "mlflow.spanType", _TYPES),),
    sources=(
        Source("session_id", ("mlflow.trace.session",), name),
        Source("user_id", ("mlflow.trace.user",), name),
        Source("provider", ("mlflow.llm.provider",), name),
        Source("request_model", ("mlflow.llm.model",), name),
        Source("input_tokens", _USAGE, then(member("input_tokens"), count)),
        Source("output_tokens", _USAGE, then(member("output_tokens"), count)),
        Source("cache_read_tokens", _USAGE, then(member("cache_read_input_tokens"), count)),
        Source("cache_write_tokens", _USAGE, then(member("cache_creation_input_tokens"), count)),
        Source("cost_usd", ("mlflow.llm.cost",), then(member("total_cost"), cost)),
        Source("tool_arguments", ("mlflow.spanInputs",), _plain),
        Source("tool_result", ("mlflow.spanOutputs",), _plain),
        Source("preview_input", ("mlflow.spanInputs",), _plain),
        Source("preview_output", ("mlflow.spanOutputs",), _plain),
    ),
    message_prefixes=("mlflow.spanInputs", "mlflow.spanOutputs"),
    messages=_messages,
    span_names_agent=True,
)
