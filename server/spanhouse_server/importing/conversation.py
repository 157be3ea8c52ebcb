"""A recorded conversation as spans: assistant messages are model calls, the agent's tool calls are tool spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spanhouse import attributes as keys
from spanhouse.canonical import args_hash
from spanhouse_server.importing.mapping import UNTIMED_MESSAGE_NS, made_up_start, nanoseconds
from spanhouse_server.importing.spans import SpanDraft, json_text

ERROR_PREFIX = "Error"
"""A tool result that starts so is a failed call, where the source has no flag of its own."""


@dataclass
class Conversation:
    """The spans of a conversation, and what its run span needs to know of it."""

    start: int
    end: int
    spans: list[SpanDraft] = field(default_factory=list)
    asked: str = ""
    answered: str = ""
    last_failing_tool: str = ""


def read(run: Mapping[str, Any]) -> Conversation:
    """Return the spans of a run's ``messages``, in order, with times from the messages or stated ones.

    A message's time is when it was complete: a model call lasts from the message before it to its own, a tool call from
    the message that asked for it to its result. The customer's own tool calls become spans that count nowhere.
    """
    messages: Sequence[Mapping[str, Any]] = run["messages"]
    times = _times(run, messages)
    start = nanoseconds(run.get("started_at")) or times[0]
    end = nanoseconds(run.get("ended_at")) or times[-1]
    conversation = Conversation(start=min(start, times[0]), end=max(end, times[-1]))
    waiting: list[tuple[Mapping[str, Any], int, bool]] = []
    for index, message in enumerate(messages):
        role = message.get("role")
        text = message.get("content") or ""
        before = times[index - 1] if index else conversation.start
        if role == "user" and not conversation.asked:
            conversation.asked = text
        if role == "assistant":
            conversation.answered = text or conversation.answered
            if _is_model_call(index, message):
                conversation.spans.append(_model_span(run, messages, index, before, times[index]))
        if role == "tool":
            _close(conversation, waiting, message, index, times)
        waiting += [(call, index, role == "assistant") for call in message.get("tool_calls") or ()]
    for position, (call, index, by_agent) in enumerate(waiting):
        # Asked for, never answered: the run ended first.
        conversation.spans.append(
            _tool_span(call, None, index, times[index] + position, times[index], by_agent=by_agent)
        )
    return conversation


def _times(run: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return when each message was complete; never earlier than the one before it."""
    first = nanoseconds(run.get("started_at")) or made_up_start(run)
    times: list[int] = []
    previous = first
    for message in messages:
        recorded = nanoseconds(message.get("ts"))
        previous = max(previous, recorded if recorded is not None else previous + UNTIMED_MESSAGE_NS)
        times.append(previous)
    return times or [first]


def _is_model_call(index: int, message: Mapping[str, Any]) -> bool:
    """A first message without usage or tool calls is a fixed greeting: no model wrote it."""
    return index > 0 or "input_tokens" in message or bool(message.get("tool_calls"))


def _model_span(
    run: Mapping[str, Any], messages: Sequence[Mapping[str, Any]], index: int, start: int, end: int
) -> SpanDraft:
    message = messages[index]
    model = str(run.get("model") or "")
    finish = message.get("finish_reason") or ("tool_calls" if message.get("tool_calls") else "stop")
    return SpanDraft(
        key=f"model:{index}",
        name=f"chat {model}".strip(),
        start=start,
        end=end,
        attributes={
            keys.OPERATION: "chat",
            keys.REQUEST_MODEL: model,
            keys.FINISH_REASONS: [finish],
            keys.INPUT_TOKENS: message.get("input_tokens"),
            keys.OUTPUT_TOKENS: message.get("output_tokens"),
            keys.COST_USD: _number(message.get("cost_usd")),
            keys.INPUT_MESSAGES: json_text([_as_parts(m) for m in messages[:index]]),
            keys.OUTPUT_MESSAGES: json_text([{**_as_parts(message), "finish_reason": finish}]),
            "spanhouse.import.format_errors": message.get("format_errors"),
        },
    )


def _close(
    conversation: Conversation,
    waiting: list[tuple[Mapping[str, Any], int, bool]],
    result: Mapping[str, Any],
    index: int,
    times: Sequence[int],
) -> None:
    """End the call that a tool message answers: the first one waiting under its id. Ids may repeat within a run."""
    call_id = result.get("tool_call_id")
    position = next((i for i, (call, _, _) in enumerate(waiting) if call.get("id") == call_id), None)
    if position is None:
        call: Mapping[str, Any] = {"id": call_id, "name": result.get("name")}
        asked, by_agent = max(index - 1, 0), result.get("requestor", "assistant") == "assistant"
    else:
        call, asked, by_agent = waiting.pop(position)
    # Calls asked for in one message keep their order, which loops are read from, by a nanosecond each.
    order = sum(1 for span in conversation.spans if span.start >= times[asked])
    span = _tool_span(call, result, index, times[asked] + order, times[index], by_agent=by_agent)
    if span.error is not None and by_agent:
        conversation.last_failing_tool = str(call.get("name") or "")
    conversation.spans.append(span)


def _tool_span(
    call: Mapping[str, Any], result: Mapping[str, Any] | None, index: int, start: int, end: int, *, by_agent: bool
) -> SpanDraft:
    name = str(call.get("name") or "tool")
    arguments = call.get("arguments") or {}
    text = str((result or {}).get("content") or "")
    failed = result is not None and bool(result.get("error", text.startswith(ERROR_PREFIX)))
    own: dict[str, Any] = {
        keys.OPERATION: "execute_tool",
        keys.TOOL_NAME: name,
        keys.TOOL_CALL_ID: call.get("id"),
        keys.TOOL_ARGUMENTS: json_text(arguments),
        keys.TOOL_RESULT: text,
        keys.ARGS_HASH: args_hash(arguments),
    }
    if failed:
        own[keys.ERROR_CLASS] = "invalid_input"
    customers = {"customer.tool.name": name, keys.INPUT: json_text(arguments), keys.OUTPUT: text}
    return SpanDraft(
        key=f"tool:{index}:{call.get('id')}:{start}",
        name=f"execute_tool {name}" if by_agent else f"customer {name}",
        start=start,
        end=max(start, end),
        attributes=own if by_agent else customers,
        error=text[:500] if failed else None,
    )


def _as_parts(message: Mapping[str, Any]) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    if message.get("role") == "tool":
        parts.append(
            {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": message.get("content")}
        )
    elif message.get("content"):
        parts.append({"type": "text", "content": message["content"]})
    for call in message.get("tool_calls") or ():
        part = {"type": "tool_call", "id": call.get("id"), "name": call.get("name"), "arguments": call.get("arguments")}
        parts.append(part)
    return {"role": message.get("role"), "parts": parts}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
