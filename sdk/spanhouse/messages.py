"""Chat messages in OpenTelemetry's form: ``{"role": ..., "parts": [{"type": "text", "content": ...}, ...]}``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

Message = Mapping[str, Any]


def to_genai(messages: str | Message | Iterable[str | Message], *, role: str = "user") -> list[dict[str, Any]]:
    """Return the messages in OpenTelemetry's form.

    Args:
        messages: one message or several, each a text, a chat dict (``role``, ``content``, ``tool_calls``,
            ``tool_call_id``), or already in this form (has ``parts``), which is kept.
        role: whose a bare text is.
    """
    several = [messages] if isinstance(messages, str | Mapping) else messages
    return [_one(message, role) for message in several]


def _one(message: str | Message, role: str) -> dict[str, Any]:
    if isinstance(message, str):
        return {"role": role, "parts": [_text(message)]}
    if "parts" in message:
        return dict(message)
    said = {key: message[key] for key in ("name", "finish_reason") if message.get(key) is not None}
    return {"role": message.get("role", role), "parts": _parts(message), **said}


def _parts(message: Message) -> list[dict[str, Any]]:
    content = message.get("content")
    if message.get("tool_call_id") is not None or message.get("role") == "tool":
        answer: dict[str, Any] = {"type": "tool_call_response", "response": content}
        if message.get("tool_call_id") is not None:
            answer["id"] = message["tool_call_id"]
        return [answer]
    parts = _content_parts(content)
    parts.extend(_tool_call(call) for call in message.get("tool_calls") or ())
    return parts


def _content_parts(content: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - text, a list of parts, or nothing
    if content is None or content == "":
        return []
    if isinstance(content, list | tuple):
        return [_part(part) for part in content]
    return [_text(content)]


def _part(part: Any) -> dict[str, Any]:  # noqa: ANN401 - text or a provider's own part
    if not isinstance(part, Mapping):
        return _text(part)
    if part.get("type") == "text" and "text" in part:
        return _text(part["text"])
    return dict(part)


def _text(content: Any) -> dict[str, Any]:  # noqa: ANN401 - usually text
    return {"type": "text", "content": content}


def _tool_call(call: Message) -> dict[str, Any]:
    # Chat APIs wrap name and arguments in "function", with the arguments as JSON text.
    inner = call.get("function") if isinstance(call.get("function"), Mapping) else call
    assert inner is not None
    arguments = inner.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            # What a model wrote may be no JSON; then its text is what there is to see.
            arguments = inner.get("arguments")
    part = {"type": "tool_call", "name": inner.get("name"), "arguments": arguments}
    return part if call.get("id") is None else {**part, "id": call["id"]}
