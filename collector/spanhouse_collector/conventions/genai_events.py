"""Messages in span events: the one ``operation.details`` event of today, and one event a message as it used to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from spanhouse_collector.conventions.convention import TOOL, Messages
from spanhouse_collector.conventions.parts import message, plain_text
from spanhouse_collector.conventions.readers import parsed
from spanhouse_collector.wire import Value

_DETAILS: Final = "gen_ai.client.inference.operation.details"
_ROLES: Final = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}


EVENT_NAMES: Final = frozenset({_DETAILS, "gen_ai.choice", *_ROLES})
"""Events that also come as log records of their own."""


def from_events(events: Iterable[tuple[str, Mapping[str, Value]]], span_class: str) -> Messages:
    """Return the messages in a span's events, given as (name, attributes) in their order.

    On a tool span the events hold its arguments and its result instead, given back as one message each.
    """
    input_: list[dict[str, Any]] = []
    output: list[dict[str, Any]] = []
    system: list[dict[str, Any]] = []
    tools: list[Any] = []
    for name, attributes in events:
        if name in _ROLES:
            content = parsed(attributes.get("content"))
            if span_class == TOOL:
                input_.append({"content": plain_text(content)})
            else:
                call_id = attributes.get("id")
                input_.append(
                    message(
                        _ROLES[name],
                        content,
                        calls=parsed(attributes.get("tool_calls")),
                        call_id=call_id if isinstance(call_id, str) else "",
                    )
                )
        elif name == "gen_ai.choice":
            content = parsed(attributes.get("message", attributes.get("content")))
            output.append({"content": plain_text(content)} if span_class == TOOL else _choice(content, attributes))
        elif name == _DETAILS:
            input_.extend(_listed(attributes.get("gen_ai.input.messages")))
            output.extend(_listed(attributes.get("gen_ai.output.messages")))
            system.extend(_listed(attributes.get("gen_ai.system_instructions")))
            tools.extend(_listed(attributes.get("gen_ai.tool.definitions")))
        elif name == "gen_ai.content.prompt":
            input_.append(message("user", attributes.get("gen_ai.prompt")))
        elif name == "gen_ai.content.completion":
            output.append(message("assistant", attributes.get("gen_ai.completion")))
    return Messages(input_ or None, output or None, system or None, tools or None)


def _choice(content: Any, attributes: Mapping[str, Value]) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    finish = attributes.get("finish_reason")
    calls = None
    if isinstance(content, dict) and ("content" in content or "tool_calls" in content):
        calls, content = content.get("tool_calls"), content.get("content")
    return message("assistant", content, calls=calls, finish=finish if isinstance(finish, str) else "")


def _listed(value: Value) -> list[Any]:
    found = parsed(value)
    return found if isinstance(found, list) else [] if found is None else [found]
