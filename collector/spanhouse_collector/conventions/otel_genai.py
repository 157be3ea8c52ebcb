"""OpenTelemetry's GenAI conventions: the names of today and those they replaced, back to the first release.

The order of the keys is the order of precedence: the newest name of a thing first.
"""

from __future__ import annotations

from typing import Final

from spanhouse import attributes as otel
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
    WORKFLOW,
    ClassRule,
    Convention,
    Sighting,
    Source,
    by_presence,
    by_value,
)
from spanhouse_collector.conventions.genai_flat import flattened
from spanhouse_collector.conventions.readers import (
    cost,
    count,
    finish_reasons,
    flag,
    name,
    seconds,
)
from spanhouse_collector.wire import Value

_OPERATIONS: Final = {
    **dict.fromkeys(("chat", "text_completion", "generate_content", "completion", "generate", "llm_call"), LLM),
    **dict.fromkeys(("embeddings", "embedding"), EMBEDDING),
    **dict.fromkeys(("execute_tool", "tool_call"), TOOL),
    **dict.fromkeys(("retrieval", "rerank"), RETRIEVAL),
    **dict.fromkeys(("invoke_agent", "agent_call"), AGENT),
    "invoke_workflow": WORKFLOW,
    **dict.fromkeys(
        ("plan", "agent_step", "execute_task", "execute_event_loop_cycle", "schedule_tool_calls"),
        STEP,
    ),
    **dict.fromkeys(("create_agent", "fetch_response", "compact_events", "user_prompt", "system_prompt"), OTHER),
}

_MODEL: Final = ("gen_ai.request.model", "gen_ai.response.model", "gen_ai.provider.name", "gen_ai.system")
_ANSWER: Final = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.prompt_tokens",
    "gen_ai.usage.completion_tokens",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.prompt.0.role",
    "gen_ai.completion.0.role",
)


def _lower(value: Value) -> str | None:
    return value.strip('" ').lower() if isinstance(value, str) else None


def _operation(span: Sighting) -> str:
    operation = _lower(span.attributes.get(otel.OPERATION)) or ""
    if "guardrail" in operation:
        return GUARDRAIL
    if operation.endswith(("_memory", "_memory_store")):
        return RETRIEVAL
    return _OPERATIONS.get(operation, "")


OTEL_GENAI: Final = Convention(
    name="otel_genai",
    scopes=("opentelemetry.instrumentation.genai.*", "opentelemetry.instrumentation.openai_v2"),
    keys=("gen_ai.*",),
    classes=(
        ClassRule(3, (otel.OPERATION,), _operation),
        by_value(10, "mcp.method.name", {"tools/call": TOOL}),
        by_presence(10, (otel.TOOL_NAME, otel.TOOL_CALL_ID), TOOL),
        by_presence(
            11,
            ("gen_ai.retrieval.query.text", "gen_ai.retrieval.documents", "gen_ai.data_source.id"),
            RETRIEVAL,
        ),
        by_presence(11, ("gen_ai.embeddings.dimension.count", "gen_ai.request.encoding_formats"), EMBEDDING),
        by_presence(11, ("gen_ai.workflow.name",), WORKFLOW),
        by_presence(11, ("gen_ai.evaluation.name",), EVALUATOR),
        by_presence(12, _MODEL, LLM, beside=_ANSWER),
        by_presence(13, ("gen_ai.agent.id", otel.AGENT_NAME), AGENT),
    ),
    sources=(
        # Who and where
        Source("session_id", (otel.SESSION_ID, "gen_ai.conversation.id"), name),
        Source("user_id", (otel.USER_ID, "enduser.id", "gen_ai.user", "gen_ai.request.user"), name),
        Source("environment", (otel.ENVIRONMENT, "deployment.environment"), name),
        Source("agent", (otel.AGENT_NAME,), name),
        Source("agent_version", (otel.AGENT_VERSION,), name),
        Source("operation", (otel.OPERATION,), _lower),
        # Tools
        Source("tool_name", (otel.TOOL_NAME,), name),
        Source("tool_call_id", (otel.TOOL_CALL_ID, "gen_ai.tool.call_id"), name),
        Source("tool_arguments", (otel.TOOL_ARGUMENTS,)),
        Source("tool_result", (otel.TOOL_RESULT,)),
        # Model calls
        Source("provider", (otel.PROVIDER, "gen_ai.system"), name),
        Source("request_model", (otel.REQUEST_MODEL,), name),
        Source("response_model", (otel.RESPONSE_MODEL,), name),
        Source("response_id", (otel.RESPONSE_ID,), name),
        Source("finish_reasons", (otel.FINISH_REASONS, "gen_ai.finishReason"), finish_reasons),
        Source("finish_reasons", ("gen_ai.response.finish_reason", "gen_ai.response.stop_reason"), finish_reasons),
        Source("streaming", ("gen_ai.request.stream", "gen_ai.is_streaming", "gen_ai.request.is_stream"), flag),
        Source("ttft_ms", ("gen_ai.response.time_to_first_chunk",), seconds),
        Source("ttft_ms", ("gen_ai.client.operation.time_to_first_chunk",), seconds),
        Source("ttft_ms", ("gen_ai.server.time_to_first_token",), seconds),
        # Tokens and cost
        Source("input_tokens", (otel.INPUT_TOKENS, "gen_ai.usage.prompt_tokens"), count),
        Source("output_tokens", (otel.OUTPUT_TOKENS, "gen_ai.usage.completion_tokens"), count),
        Source(
            "cache_read_tokens",
            (
                otel.CACHE_READ_TOKENS,
                "gen_ai.usage.cache_read_input_tokens",
                "gen_ai.usage.cache_read_tokens",
                "gen_ai.usage.details.cache_read_tokens",
                "gen_ai.usage.prompt_tokens_details.cached_tokens",
                "gen_ai.usage.input_cached_tokens",
            ),
            count,
        ),
        Source(
            "cache_write_tokens",
            (
                otel.CACHE_WRITE_TOKENS,
                "gen_ai.usage.cache_creation.input_tokens",
                "gen_ai.usage.cache_creation_input_tokens",
                "gen_ai.usage.cache_write_input_tokens",
                "gen_ai.usage.details.cache_write_tokens",
            ),
            count,
        ),
        Source(
            "reasoning_tokens",
            (
                otel.REASONING_TOKENS,
                "gen_ai.usage.reasoning_tokens",
                "gen_ai.usage.details.reasoning_tokens",
                "gen_ai.usage.completion_tokens_details.reasoning_tokens",
            ),
            count,
        ),
        Source("cost_usd", ("gen_ai.usage.cost",), cost),
        # Content
        Source("system_instructions", (otel.SYSTEM_INSTRUCTIONS,)),
        Source("tool_definitions", (otel.TOOL_DEFINITIONS,)),
        Source("input_messages", (otel.INPUT_MESSAGES,)),
        Source("output_messages", (otel.OUTPUT_MESSAGES,)),
        Source("preview_input", ("gen_ai.prompt", "gen_ai.task.input", "gen_ai.retrieval.query.text")),
        Source("preview_output", ("gen_ai.completion", "gen_ai.task.output", "gen_ai.retrieval.documents")),
        # Failures
        Source("error_code", (otel.ERROR_TYPE,), name),
        Source("status_code", ("rpc.response.status_code", "http.response.status_code", "http.status_code"), name),
    ),
    message_prefixes=("gen_ai.prompt.", "gen_ai.completion."),
    messages=flattened,
)
