"""Agents of the OpenAI Agents SDK under the guard: function tools and a model that ask before every call."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

from agents import FunctionTool, Model, ModelProvider, ModelResponse, ModelSettings, Tool, Usage
from agents.items import TResponseInputItem, TResponseStreamEvent
from agents.tool import (
    maybe_invoke_function_tool_failure_error_function,
    set_function_tool_failure_error_function,
)
from agents.tool_context import ToolContext

from spanhouse.errors import RunStopped
from spanhouse_runtime.adapters.estimate import tokens
from spanhouse_runtime.guard.calling import GuardedModelCall
from spanhouse_runtime.guard.calls import CallRefused, ToolAsk
from spanhouse_runtime.guard.current import needed_guarded_run


def guarded_tools(tools: Iterable[Tool]) -> list[Tool]:
    """Return the tools, function tools among them guarded. Tools that run at the provider cannot be, and stay."""
    return [guarded_tool(tool) if isinstance(tool, FunctionTool) else tool for tool in tools]


def guarded_tool(tool: FunctionTool) -> FunctionTool:
    """Return a function tool whose calls ask the guarded run they are made in.

    A refused call is answered with the refusal. What the tool raises is a failure to the guard, and is then told to the
    model or raised, as the tool says.
    """
    # The guard must see what the tool raises before the tool's own handler makes a text of it.
    raising = set_function_tool_failure_error_function(dataclasses.replace(tool), None)

    async def invoke(context: ToolContext[Any], text: str) -> Any:  # noqa: ANN401 - whatever the tool returns
        guarded = needed_guarded_run(f"tool {tool.name}")
        ask = ToolAsk(tool.name, _arguments(text), context.tool_call_id)
        try:
            async with guarded.tool_call(ask) as call:
                changed = call.arguments is not ask.arguments
                value = await raising.on_invoke_tool(context, json.dumps(dict(call.arguments)) if changed else text)
                call.result(value)
        except CallRefused as refused:
            return refused.as_text()
        except RunStopped:
            raise
        except Exception as problem:
            told = await maybe_invoke_function_tool_failure_error_function(
                function_tool=tool, context=context, error=problem
            )
            if told is None:
                raise
            return guarded.notes.around(told)
        return guarded.notes.around(value) if isinstance(value, str) else value

    # A stop is no failure of the tool: the handler must not make a text of it either.
    return set_function_tool_failure_error_function(dataclasses.replace(tool, on_invoke_tool=invoke), None)


class GuardedModel(Model):
    """A model whose requests ask the guarded run they are made in, and book what they took.

    Args:
        wrapped: the model that answers.
        name: what it is called in spans and price lists; else its own ``model``.
    """

    def __init__(self, wrapped: Model, name: str = "") -> None:
        self._wrapped = wrapped
        self._name = name or str(getattr(wrapped, "model", "") or type(wrapped).__name__)

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],  # noqa: A002 - the interface's own name
        model_settings: ModelSettings,
        *args: Any,  # noqa: ANN401 - passed on
        **kwargs: Any,  # noqa: ANN401 - passed on
    ) -> ModelResponse:
        """Return the wrapped model's response.

        Raises:
            RunStopped: the run is over.
        """
        async with self._call(system_instructions, input, model_settings) as call:
            response = await self._wrapped.get_response(system_instructions, input, model_settings, *args, **kwargs)
            _told(call, response.usage, response.response_id)
            return response

    async def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],  # noqa: A002 - the interface's own name
        model_settings: ModelSettings,
        *args: Any,  # noqa: ANN401 - passed on
        **kwargs: Any,  # noqa: ANN401 - passed on
    ) -> AsyncIterator[TResponseStreamEvent]:
        """Stream the wrapped model's events; what it took is booked when the stream ends.

        Raises:
            RunStopped: the run is over.
        """
        async with self._call(system_instructions, input, model_settings) as call:
            events = self._wrapped.stream_response(system_instructions, input, model_settings, *args, **kwargs)
            async for event in events:
                usage = getattr(getattr(event, "response", None), "usage", None)
                if usage is not None:
                    _told(call, usage, event.response.id)  # type: ignore[union-attr]
                yield event

    async def close(self) -> None:
        """Close the wrapped model."""
        await self._wrapped.close()

    def _call(self, instructions: str | None, said: Any, settings: ModelSettings) -> GuardedModelCall:  # noqa: ANN401
        return needed_guarded_run(f"model {self._name}").model(
            self._name,
            input_tokens=tokens(instructions, said),
            max_output_tokens=settings.max_tokens,
        )


class GuardedProvider(ModelProvider):
    """A provider whose models are guarded: ``RunConfig(model_provider=GuardedProvider(OpenAIProvider()))``."""

    def __init__(self, wrapped: ModelProvider) -> None:
        self._wrapped = wrapped

    def get_model(self, model_name: str | None) -> Model:
        """Return the provider's model, guarded."""
        return GuardedModel(self._wrapped.get_model(model_name), model_name or "")


def _arguments(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text or "{}")
    except ValueError:
        # The tool's own check says what is wrong with it; the guard judges what was sent.
        parsed = text
    return parsed if isinstance(parsed, dict) else {"arguments": parsed}


def _told(call: GuardedModelCall, usage: Usage, response_id: str | None) -> None:
    details_in, details_out = usage.input_tokens_details, usage.output_tokens_details
    call.response(
        id=response_id,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=details_in.cached_tokens if details_in else None,
        reasoning_tokens=details_out.reasoning_tokens if details_out else None,
    )
