"""pydantic-ai's own instrumentation (also under Logfire): GenAI names, plus its cost and the agent's whole history."""

from __future__ import annotations

from typing import Final

from spanhouse_collector.conventions.convention import AGENT, Convention, Source
from spanhouse_collector.conventions.readers import cost, name

_AGENT: Final = frozenset({AGENT})

PYDANTIC_AI: Final = Convention(
    name="pydantic_ai",
    scopes=("pydantic-ai",),
    keys=("pydantic_ai.*",),
    sources=(
        Source("agent", ("agent_name",), name, own=True),
        Source("request_model", ("model_name",), name, own=True, only=_AGENT),
        Source("cost_usd", ("operation.cost",), cost),
        Source("preview_input", ("pydantic_ai.all_messages", "all_messages_events"), only=_AGENT),
        Source("preview_output", ("final_result",), only=_AGENT, own=True),
        Source("tool_arguments", ("tool_arguments",), own=True),
        Source("tool_result", ("tool_response",), own=True),
    ),
)
