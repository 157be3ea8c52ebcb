"""OpenLLMetry (Traceloop): workflow entities beside GenAI names, tool arguments as a Python literal in JSON."""

from __future__ import annotations

from typing import Final

from spanhouse_collector.conventions.convention import (
    AGENT,
    EMBEDDING,
    LLM,
    STEP,
    TOOL,
    WORKFLOW,
    Convention,
    Source,
    by_value,
)
from spanhouse_collector.conventions.readers import arguments, count, name

# Its packages share a namespace with OpenTelemetry's own, so they are known by name.
_PACKAGES: Final = """
agno alephalpha anthropic bedrock chromadb cohere crewai google_generativeai groq haystack lancedb
langchain llamaindex marqo mcp milvus mistralai ollama openai openai_agents pinecone qdrant
replicate sagemaker together transformers vertexai voyageai watsonx weaviate writer
""".split()  # noqa: SIM905 - reads better than a list a screen long

_PROPERTIES: Final = "traceloop.association.properties."

OPENLLMETRY: Final = Convention(
    name="openllmetry",
    scopes=tuple(f"opentelemetry.instrumentation.{package}" for package in _PACKAGES),
    keys=("traceloop.*", "llm.request.type"),
    classes=(
        by_value(5, "traceloop.span.kind", {"workflow": WORKFLOW, "agent": AGENT, "tool": TOOL, "task": STEP}),
        by_value(12, "llm.request.type", {"chat": LLM, "completion": LLM, "embedding": EMBEDDING}),
    ),
    sources=(
        Source("session_id", (f"{_PROPERTIES}session_id", f"{_PROPERTIES}thread_id"), name),
        Source("user_id", (f"{_PROPERTIES}user_id",), name),
        Source("request_id", (f"{_PROPERTIES}request_id",), name),
        Source("agent", (f"{_PROPERTIES}lc_agent_name",), name),
        Source("agent", ("traceloop.entity.name",), name, only=frozenset({AGENT})),
        Source("agent", ("traceloop.workflow.name",), name, only=frozenset({AGENT})),
        Source("tool_name", ("traceloop.entity.name",), name, only=frozenset({TOOL})),
        Source("tool_arguments", ("gen_ai.tool.call.arguments", "traceloop.entity.input"), arguments, own=True),
        Source("tool_result", ("traceloop.entity.output",)),
        Source("input_tokens", ("llm.usage.prompt_tokens",), count),
        Source("output_tokens", ("llm.usage.completion_tokens",), count),
        Source("preview_input", ("traceloop.entity.input",)),
        Source("preview_output", ("traceloop.entity.output",)),
    ),
)
