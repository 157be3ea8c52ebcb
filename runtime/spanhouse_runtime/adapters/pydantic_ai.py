"""Pydantic AI agents under the guard: a toolset and a model that ask before every call."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelResponse
from pydantic_ai.models import ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import AgentDepsT
from pydantic_ai.toolsets import ToolsetTool, WrapperToolset
from pydantic_ai.usage import RequestUsage

from spanhouse.content import as_text
from spanhouse_runtime.adapters.estimate import tokens
from spanhouse_runtime.guard.calling import GuardedModelCall
from spanhouse_runtime.guard.calls import CallRefused, ToolAsk
from spanhouse_runtime.guard.current import needed_guarded_run


@dataclass
class GuardedToolset(WrapperToolset[AgentDepsT]):
    """A toolset whose calls ask the guarded run they are made in.

    A refused call is answered with the refusal, so that the model can do something else. Where a person changes a
    call's arguments, the tool is called with theirs, checked against its schema.
    """

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[AgentDepsT], tool: ToolsetTool[AgentDepsT]
    ) -> Any:  # noqa: ANN401 - whatever the tool returns
        """Return the tool's result, or the refusal as text.

        Raises:
            RunStopped: the run is over.
        """
        ask = ToolAsk(name, tool_args, ctx.tool_call_id or "")
        guarded = needed_guarded_run(f"tool {name}")
        try:
            async with guarded.tool_call(ask) as call:
                arguments = tool_args
                if call.arguments is not ask.arguments:
                    arguments = tool.args_validator.validate_python(dict(call.arguments))
                value = await super().call_tool(name, arguments, ctx, tool)
                call.result(value)
        except CallRefused as refused:
            return refused.as_text()
        # A result is passed on as it is, unless the model has to be told something beside it.
        text = as_text(value)
        noted = guarded.notes.around(text)
        return value if noted is text else noted


class GuardedModel(WrapperModel):
    """A model whose requests ask the guarded run they are made in, and book what they took."""

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Return the wrapped model's response.

        Raises:
            RunStopped: the run is over.
        """
        async with self._call(messages, model_settings) as call:
            response = await super().request(messages, model_settings, model_request_parameters)
            _told(call, response.usage, response)
            return response

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Stream the wrapped model's response; what it took is booked when the stream ends.

        Raises:
            RunStopped: the run is over.
        """
        async with (
            self._call(messages, model_settings) as call,
            super().request_stream(messages, model_settings, model_request_parameters, run_context) as stream,
        ):
            yield stream
            _told(call, stream.usage, stream.get())

    def _call(self, messages: list[ModelMessage], settings: ModelSettings | None) -> GuardedModelCall:
        shown = ModelMessagesTypeAdapter.dump_python(messages, mode="json")
        return needed_guarded_run(f"model {self.model_name}").model(
            self.model_name,
            provider=self.system,
            input_tokens=tokens(shown),
            max_output_tokens=(settings or {}).get("max_tokens"),
        )


def _told(call: GuardedModelCall, usage: RequestUsage, response: ModelResponse) -> None:
    call.response(
        output=response.text or None,
        model=response.model_name,
        finish_reasons=[response.finish_reason] if response.finish_reason else None,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
    )
