"""Scripts for demonstration models: what they say, and a usage that grows with the conversation as a real one does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from spanhouse_runtime.demo.scenario import Stage
from spanhouse_runtime.model import ModelRequest, ModelResponse, ToolCall, Usage
from spanhouse_runtime.money import Price
from spanhouse_runtime.scripted import ScriptedModel

_CACHE_BLOCK = 128
_CACHE_FROM = 1_024

Line = str | tuple[str, dict[str, Any]] | Exception


def scripted(
    stage: Stage,
    kind: tuple[str, str, Price],
    lines: Sequence[Line] | Callable[[int], Line],
    *,
    cached: bool = True,
) -> ScriptedModel:
    """Return a model that says these lines: a text (the last answer), ``(tool, arguments)`` or an exception to raise.

    Args:
        stage: how fast it is played.
        kind: name, provider and price of the model it stands for.
        lines: one a turn, or a function of the turn's number from 0.
        cached: whether its provider reads the beginning of a long conversation from a cache.
    """
    name, provider, _ = kind

    def turn(request: ModelRequest, number: int) -> ModelResponse | Exception:
        stage.work(0.25 + 0.05 * (number % 3))
        line = lines(number) if callable(lines) else lines[number]
        if isinstance(line, Exception):
            return line
        text, calls = (line, ()) if isinstance(line, str) else ("", (ToolCall(f"call_{number + 1}", *line),))
        return ModelResponse(
            text=text,
            tool_calls=calls,
            usage=_usage(request, text, calls, number if cached else 0),
            finish_reason="tool_calls" if calls else "stop",
            model=name,
            id=f"resp_{number + 1}",
        )

    return ScriptedModel(turn, name=name, provider=provider)


def _usage(request: ModelRequest, text: str, calls: tuple[ToolCall, ...], number: int) -> Usage:
    sent = request.estimated_input_tokens()
    # Providers cache the beginning of a conversation in blocks, from a certain length on and from the second turn.
    hit = (sent * 3 // 4) // _CACHE_BLOCK * _CACHE_BLOCK if number and sent >= _CACHE_FROM else 0
    written = max(12, len(text) // 4) + sum(20 + len(str(call.arguments)) // 4 for call in calls)
    return Usage(input_tokens=sent, output_tokens=written, cache_read_tokens=hit)
