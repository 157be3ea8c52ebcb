"""Pydantic Logfire: spans of any Python program with a message and a level, and integrations that tag model calls.

Its "logs" are spans without length, and a span that begins is sent at once as a pending copy under an id of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spanhouse_collector.conventions.convention import LLM, OTHER, ClassRule, Convention, Messages, Sighting, Source
from spanhouse_collector.conventions.parts import from_openai
from spanhouse_collector.conventions.readers import cost, member, name, number, parsed, then
from spanhouse_collector.wire import Value

_ERROR_LEVEL: Final = 17


def _kind(span: Sighting) -> str:
    # A pending copy and a log line are context beside the spans, never calls of their own.
    return OTHER if span.attributes.get("logfire.span_type") in ("pending_span", "log") else ""


def _tagged(span: Sighting) -> str:
    tags = parsed(span.attributes.get("logfire.tags"))
    known = any(key in span.attributes for key in ("request_data", "response_data", "gen_ai.request.model"))
    return LLM if known and isinstance(tags, list) and "LLM" in tags else ""


def _failed(value: Value) -> bool | None:
    level = number(value)
    return None if level is None else level >= _ERROR_LEVEL


def _messages(attributes: Mapping[str, Value], /) -> Messages:
    asked, answered = parsed(attributes.get("request_data")), parsed(attributes.get("response_data"))
    sent = asked.get("messages") if isinstance(asked, dict) else None
    said = answered.get("message") if isinstance(answered, dict) else None
    return Messages(input=_listed(sent), output=_listed([said]))


def _listed(items: Any) -> list[dict[str, Any]] | None:  # noqa: ANN401 - any JSON value
    if not isinstance(items, list):
        return None
    return [found for item in items if (found := from_openai(item)) is not None] or None


LOGFIRE: Final = Convention(
    name="logfire",
    scopes=("logfire", "logfire.*"),
    keys=("logfire.*",),
    classes=(
        ClassRule(1, ("logfire.span_type",), _kind),
        ClassRule(8, ("logfire.tags", "request_data", "response_data", "gen_ai.request.model"), _tagged),
    ),
    sources=(
        Source("request_model", ("request_data",), then(member("model"), name), own=True),
        Source("cost_usd", ("operation.cost",), cost, own=True),
        Source("tool_arguments", ("tool_arguments", "tool_input"), own=True),
        Source("tool_result", ("tool_response",), own=True),
        Source("failed", ("logfire.level_num",), _failed, own=True),
    ),
    message_prefixes=("request_data", "response_data"),
    messages=_messages,
)
