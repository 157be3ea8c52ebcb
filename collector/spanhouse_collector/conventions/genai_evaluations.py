"""Verdicts of evaluators as OpenTelemetry GenAI writes them: events, log records of the same names, or an own span."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spanhouse import attributes as own
from spanhouse_collector.conventions.readers import as_text, name, number
from spanhouse_collector.wire import Value

RESULT: Final = "gen_ai.evaluation.result"
PREFIX: Final = "gen_ai.evaluation."
_NAME: Final = "gen_ai.evaluation.name"
_EXCEPTIONS: Final = ("exception", "gen_ai.client.operation.exception")


def tells(event: str, said: Mapping[str, Value]) -> bool:
    """Return whether an event is a verdict, or the exception of an evaluator that came to none."""
    return event == RESULT or (event in _EXCEPTIONS and _NAME in said)


def verdict(said: Mapping[str, Value]) -> dict[str, Any]:
    """Return the columns of ``scores`` that hold what was said; ``error_type`` is empty where it is a verdict."""
    return {
        "name": name(said.get(_NAME)) or "",
        "value": number(said.get("gen_ai.evaluation.score.value")),
        "label": name(said.get("gen_ai.evaluation.score.label")) or "",
        "explanation": as_text(said.get("gen_ai.evaluation.explanation") or said.get("exception.message") or ""),
        "error_type": name(said.get(own.ERROR_TYPE)) or name(said.get("exception.type")) or "",
    }
