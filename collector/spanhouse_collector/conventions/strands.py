"""AWS's strands-agents: GenAI names, content in span events, times in milliseconds, a tool status of its own."""

from __future__ import annotations

from typing import Final

from spanhouse_collector.conventions.convention import Convention, Source
from spanhouse_collector.conventions.readers import milliseconds
from spanhouse_collector.wire import Value


def _failed(value: Value) -> bool | None:
    return value == "error" if isinstance(value, str) else None


STRANDS: Final = Convention(
    name="strands",
    scopes=("strands.telemetry.tracer", "strands.*"),
    sources=(
        Source("ttft_ms", ("gen_ai.server.time_to_first_token",), milliseconds, own=True),
        Source("failed", ("gen_ai.tool.status",), _failed),
    ),
)
