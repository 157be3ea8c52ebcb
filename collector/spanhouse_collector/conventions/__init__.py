"""The telemetry conventions the collector knows, in order of precedence: where two fill a column, the first wins.

A further convention: write its file (the shape is `conventions.convention.Convention`), add it to ``CONVENTIONS``, and
add a fixture of its telemetry to ``tests/collector``.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from spanhouse import attributes as own
from spanhouse_collector.conventions.agent_log import LogConvention
from spanhouse_collector.conventions.ai_sdk import AI_SDK
from spanhouse_collector.conventions.claude_code import CLAUDE_CODE, CLAUDE_CODE_LOGS
from spanhouse_collector.conventions.codex import CODEX, CODEX_LOGS
from spanhouse_collector.conventions.convention import Convention, matches
from spanhouse_collector.conventions.gemini_cli import GEMINI_CLI, GEMINI_CLI_LOGS
from spanhouse_collector.conventions.google_adk import GOOGLE_ADK
from spanhouse_collector.conventions.langfuse import LANGFUSE
from spanhouse_collector.conventions.langsmith import LANGSMITH
from spanhouse_collector.conventions.logfire import LOGFIRE
from spanhouse_collector.conventions.mlflow import MLFLOW
from spanhouse_collector.conventions.openinference import OPENINFERENCE
from spanhouse_collector.conventions.openllmetry import OPENLLMETRY
from spanhouse_collector.conventions.otel_genai import OTEL_GENAI
from spanhouse_collector.conventions.pydantic_ai import PYDANTIC_AI
from spanhouse_collector.conventions.spanhouse import SPANHOUSE
from spanhouse_collector.conventions.strands import STRANDS

CONVENTIONS: Final[tuple[Convention, ...]] = (
    SPANHOUSE,
    LANGFUSE,
    OTEL_GENAI,
    PYDANTIC_AI,
    LOGFIRE,
    GOOGLE_ADK,
    STRANDS,
    AI_SDK,
    MLFLOW,
    OPENINFERENCE,
    OPENLLMETRY,
    LANGSMITH,
    CLAUDE_CODE,
    CODEX,
    GEMINI_CLI,
)

LOG_CONVENTIONS: Final[tuple[LogConvention, ...]] = (CLAUDE_CODE_LOGS, CODEX_LOGS, GEMINI_CLI_LOGS)
"""Agents whose log events tell of runs, with spans or without."""

_PREFIXES: Final = tuple(each.prefix for each in LOG_CONVENTIONS)

# Nearly everybody sends some OpenTelemetry keys beside their own, so those tell least about who is speaking.
_BY_KEYS: Final = (*(each for each in CONVENTIONS if each is not OTEL_GENAI), OTEL_GENAI)


def detect(scope: str, keys: Collection[str]) -> Convention | None:
    """Return the convention a span speaks, None where it speaks none that is known.

    The scope says it best; only where no convention claims the scope do the attribute keys decide, without what the
    collector noted itself when it redacted.
    """
    said = [key for key in keys if key not in own.NOTES]
    for convention in CONVENTIONS:
        if any(matches(pattern, scope) for pattern in convention.scopes):
            return convention
    for convention in _BY_KEYS:
        if any(matches(pattern, key) for pattern in convention.keys for key in said):
            return convention
    return None


def log_convention(event_name: str) -> LogConvention | None:
    """Return the convention of the agent that made a log event, None where it is none of a known agent."""
    if not event_name.startswith(_PREFIXES):
        return None
    return next(each for each in LOG_CONVENTIONS if event_name.startswith(each.prefix))
