"""LangChain and LangGraph agents under the guard: tools and a chat model that ask before every call."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable
from typing import Any, TypeVar
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.tools import BaseTool

from spanhouse.content import as_text
from spanhouse_runtime.adapters.estimate import tokens
from spanhouse_runtime.guard.calling import GuardedModelCall
from spanhouse_runtime.guard.calls import CallRefused, ToolAsk
from spanhouse_runtime.guard.current import needed_guarded_run

ModelT = TypeVar("ModelT", bound=BaseChatModel)
_OURS = frozenset({"config", "run_manager", "callbacks"})
"""Parameters LangChain passes beside a tool's own arguments."""


def guarded_tools(tools: Iterable[BaseTool]) -> list[BaseTool]:
    """Return the tools, guarded."""
    return [guarded_tool(tool) for tool in tools]


def guarded_tool(tool: BaseTool) -> BaseTool:
    """Return a tool whose calls ask the guarded run they are made in; a refused call is answered with the refusal.

    Use it wherever the tool would be: bound to a model, in a ``ToolNode``, called by hand.
    """
    kind = type(tool)

    class Guarded(kind):  # type: ignore[misc, valid-type]
        @functools.wraps(kind._run)  # noqa: SLF001 - the two methods that tools are made of
        def _run(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the tool's own
            ask = _ask(self, args, kwargs)
            guarded = needed_guarded_run(f"tool {self.name}")
            try:
                with guarded.tool_call(ask) as call:
                    if call.arguments is not ask.arguments:
                        args, kwargs = (), {**_beside(kwargs), **call.arguments}
                    value = super()._run(*args, **kwargs)
                    call.result(_shown(value))
            except CallRefused as refused:
                return _as_returned(self, refused.as_text())
            return _noted(self, guarded.notes.around, value)

        @functools.wraps(kind._arun)  # noqa: SLF001 - as above
        async def _arun(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the tool's own
            if kind._arun is BaseTool._arun or getattr(self, "coroutine", 0) is None:  # noqa: SLF001 - as above
                # Without a coroutine of its own the tool runs in a thread, by the guarded method above.
                return await super()._arun(*args, **kwargs)
            ask = _ask(self, args, kwargs)
            guarded = needed_guarded_run(f"tool {self.name}")
            try:
                async with guarded.tool_call(ask) as call:
                    if call.arguments is not ask.arguments:
                        args, kwargs = (), {**_beside(kwargs), **call.arguments}
                    value = await super()._arun(*args, **kwargs)
                    call.result(_shown(value))
            except CallRefused as refused:
                return _as_returned(self, refused.as_text())
            return _noted(self, guarded.notes.around, value)

    copied = tool.model_copy()
    copied.__class__ = Guarded
    return copied


def guarded_model(model: ModelT) -> ModelT:
    """Return a chat model whose calls ask the guarded run they are made in, and book what they took."""
    before = model.callbacks
    handlers = [*(before if isinstance(before, list) else getattr(before, "handlers", []))]
    return model.model_copy(update={"callbacks": [*handlers, GuardHandler()]})


class GuardHandler(BaseCallbackHandler):
    """The guard as a callback handler of chat models: raises before a call that may not be made.

    Attributes:
        raise_error: always; a guard whose word is only logged is none.
    """

    raise_error = True
    run_inline = False

    def __init__(self) -> None:
        self._calls: dict[UUID, GuardedModelCall] = {}
        self._lock = threading.Lock()

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,  # noqa: ANN401 - more that LangChain tells
    ) -> None:
        """Ask for the call.

        Raises:
            RunStopped: the run is over.
        """
        told = {**(metadata or {}), **kwargs.get("invocation_params", {})}
        name = str(told.get("ls_model_name") or told.get("model") or told.get("model_name") or told.get("_type") or "")
        name = name or str((serialized or {}).get("name") or "unknown")
        call = needed_guarded_run(f"model {name}").model(
            name,
            provider=str(told.get("ls_provider") or ""),
            input_tokens=tokens([message.model_dump(mode="json") for batch in messages for message in batch]),
            max_output_tokens=told.get("ls_max_tokens") or told.get("max_tokens"),
        )
        call.__enter__()
        with self._lock:
            self._calls[run_id] = call

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:  # noqa: ANN401, ARG002 - as told
        """Book what the call took."""
        call = self._taken(run_id)
        if call is None:
            return
        messages = [
            generation.message
            for batch in response.generations
            for generation in batch
            if isinstance(generation, ChatGeneration)
        ]
        _told(call, messages)
        call.__exit__(None, None, None)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:  # noqa: ANN401, ARG002 - as told
        """Book a call that failed."""
        call = self._taken(run_id)
        if call is not None:
            call.__exit__(type(error), error, error.__traceback__)

    def _taken(self, run_id: UUID) -> GuardedModelCall | None:
        with self._lock:
            return self._calls.pop(run_id, None)


def _told(call: GuardedModelCall, messages: list[BaseMessage]) -> None:
    for message in messages:
        usage = message.usage_metadata if isinstance(message, AIMessage) else None
        if usage is None:
            continue
        call.response(
            model=message.response_metadata.get("model_name"),
            output=message.text or None,
            input_tokens=usage["input_tokens"],
            output_tokens=usage["output_tokens"],
            cache_read_tokens=usage.get("input_token_details", {}).get("cache_read"),
            cache_write_tokens=usage.get("input_token_details", {}).get("cache_creation"),
            reasoning_tokens=usage.get("output_token_details", {}).get("reasoning"),
        )


def _ask(tool: BaseTool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ToolAsk:
    arguments = {name: value for name, value in kwargs.items() if name not in _OURS}
    if args:
        # A tool with one parameter may be called with it by place.
        names = list(tool.args)
        arguments = {**dict(zip(names, args, strict=False)), **arguments}
    return ToolAsk(tool.name, arguments)


def _beside(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if name in _OURS}


def _shown(value: Any) -> Any:  # noqa: ANN401 - whatever the tool returned
    return value[0] if isinstance(value, tuple) and value else value


def _as_returned(tool: BaseTool, text: str) -> Any:  # noqa: ANN401 - in the tool's own form
    return (text, None) if tool.response_format == "content_and_artifact" else text


def _noted(tool: BaseTool, around: Any, value: Any) -> Any:  # noqa: ANN401 - in the tool's own form
    text = as_text(_shown(value))
    noted = around(text)
    if noted is text:
        return value
    return (noted, value[1]) if tool.response_format == "content_and_artifact" else noted
