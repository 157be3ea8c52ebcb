"""A span's input and output as messages with roles, whatever shape the instrumentation sent them in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

PartKind = Literal["text", "reasoning", "tool_call", "tool_result", "other"]


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a message. `title` is the tool's name of a call or result; `value` is text or decoded JSON."""

    kind: PartKind
    value: Any
    title: str = ""
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """A role (`system`, `user`, `assistant`, `tool`, or what was sent) and what it said, in order."""

    role: str
    parts: tuple[Part, ...]
    finish_reason: str = ""


def messages(value: object, *, role: str) -> list[Message] | None:
    """Return the messages in a span's input or output, or None where the value is no conversation.

    Understands lists of `{role, parts}` (OpenTelemetry) and of `{role, content, tool_calls}` (the providers' own), a
    single such object, and `{"messages": [...]}` around either.

    Args:
        value: `input`, `output` or `system_instructions` as the API returns it.
        role: whose words they are where the value does not say.
    """
    if isinstance(value, Mapping) and isinstance(value.get("messages"), list):
        value = value["messages"]
    if isinstance(value, Mapping) and ("role" in value or "parts" in value):
        value = [value]
    if not isinstance(value, list) or not value or not all(isinstance(item, Mapping) for item in value):
        return None
    if all("type" in item and "role" not in item for item in value):
        return [Message(role, tuple(_part(item) for item in value))]
    if not any("role" in item or "parts" in item for item in value):
        return None
    return [_message(item, role) for item in value]


def _message(item: Mapping[str, Any], role: str) -> Message:
    said: list[Part] = []
    body = item.get("parts", item.get("content"))
    if isinstance(body, list):
        said += [_part(part) for part in body]
    elif body not in (None, ""):
        kind: PartKind = "tool_result" if item.get("role") == "tool" else "text"
        said.append(Part(kind, decoded(body), str(item.get("name") or ""), str(item.get("tool_call_id") or "")))
    said += [_call(call) for call in item.get("tool_calls") or () if isinstance(call, Mapping)]
    return Message(str(item.get("role") or role), tuple(said), str(item.get("finish_reason") or ""))


def _part(part: object) -> Part:
    if not isinstance(part, Mapping):
        return Part("text", str(part))
    match part.get("type"):
        case "text" | "input_text" | "output_text":
            return Part("text", part.get("content", part.get("text", "")))
        case "reasoning" | "thinking":
            return Part("reasoning", part.get("content", part.get("thinking", part.get("text", ""))))
        case "tool_call" | "tool_use" | "function" | "function_call":
            return _call(part)
        case "tool_call_response" | "tool_result" | "function_call_output":
            result = next((part[key] for key in ("response", "result", "content", "output") if key in part), None)
            identity = part.get("id") or part.get("tool_use_id") or part.get("call_id") or ""
            return Part("tool_result", decoded(result), str(part.get("name") or ""), str(identity))
        case _:
            return Part("other", dict(part), str(part.get("type") or ""))


def _call(call: Mapping[str, Any]) -> Part:
    function = call.get("function")
    source = function if isinstance(function, Mapping) else call
    arguments = source.get("arguments", source.get("input"))
    return Part("tool_call", decoded(arguments), str(source.get("name") or ""), str(call.get("id") or ""))


def decoded(value: object) -> object:
    """Return JSON text as the value it stands for, where it stands for an object or a list; else the value itself."""
    if isinstance(value, str) and value[:1] in {"{", "["}:
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
