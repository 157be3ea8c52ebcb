"""Messages of any provider's shape put into GenAI parts form: ``{"role", "parts": [{"type", ..}], "finish_reason"}``.

What has no known shape passes through as a part of type ``generic``, so that nothing is lost on the way.
"""

from __future__ import annotations

from typing import Any

from spanhouse_collector.conventions.readers import parsed

Json = Any


def message(role: str, content: Json, *, calls: Json = None, call_id: str = "", finish: str = "") -> dict[str, Any]:
    """Return one message; ``content`` is text, one block or a list of blocks of any provider.

    Args:
        role: system, user, assistant or tool.
        content: text or blocks; with a ``call_id`` it is the result of that tool call.
        calls: tool calls in OpenAI's shape, with the function nested or flat.
        call_id: the tool call a tool's message answers.
        finish: why the model stopped, "" where not said.
    """
    if call_id and role in {"tool", "user"}:
        parts: list[Json] = [{"type": "tool_call_response", "id": call_id, "response": parsed(content)}]
    else:
        blocks = content if isinstance(content, list) else [content]
        parts = [part for block in blocks if (part := _part(block)) is not None]
    parts.extend(_call(each) for each in (calls if isinstance(calls, list) else []) if isinstance(each, dict))
    found: dict[str, Any] = {"role": role, "parts": parts}
    if finish:
        found["finish_reason"] = finish
    return found


def from_openai(value: Json) -> dict[str, Any] | None:
    """Return the message in a chat-completion message object (or choice), None where it is none."""
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("message"), dict):
        found = from_openai(value["message"])
        if found is not None and isinstance(value.get("finish_reason"), str):
            found["finish_reason"] = value["finish_reason"]
        return found
    if isinstance(value.get("parts"), list):
        return value
    if not isinstance(value.get("role"), str):
        return None
    call_id = value.get("tool_call_id")
    return message(
        value["role"],
        value.get("content"),
        calls=value.get("tool_calls"),
        call_id=call_id if isinstance(call_id, str) else "",
    )


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"] if isinstance(call.get("function"), dict) else call
    arguments = function.get("arguments", function.get("args"))
    return {"type": "tool_call", "id": call.get("id"), "name": function.get("name"), "arguments": parsed(arguments)}


def _part(block: Json) -> Json:  # noqa: PLR0911 - one return a provider's shape
    if block is None or block == "":
        return None
    if not isinstance(block, dict):
        return {"type": "text", "content": block}
    kind = block.get("type")
    if kind in {"text", "input_text", "output_text"} or (kind is None and isinstance(block.get("text"), str)):
        return {"type": "text", "content": block.get("text", block.get("content"))}
    if isinstance(use := block.get("toolUse"), dict):
        return {"type": "tool_call", "id": use.get("toolUseId"), "name": use.get("name"), "arguments": use.get("input")}
    if kind == "tool_use":
        return {"type": "tool_call", "id": block.get("id"), "name": block.get("name"), "arguments": block.get("input")}
    if isinstance(result := block.get("toolResult"), dict):
        return {
            "type": "tool_call_response",
            "id": result.get("toolUseId"),
            "response": plain_text(result.get("content")),
        }
    if kind == "tool_result":
        return {"type": "tool_call_response", "id": block.get("tool_use_id"), "response": block.get("content")}
    return block if kind is not None else {"type": "generic", **block}


def plain_text(content: Json) -> Json:
    """Return the bare text of a list with one text block, else the content as it is."""
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict) and set(content[0]) == {"text"}:
        return content[0]["text"]
    return content
