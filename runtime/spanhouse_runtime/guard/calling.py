"""One guarded call as a block: admitted, recorded, given back, from plain code and from coroutines."""

from __future__ import annotations

import asyncio
import math
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from spanhouse.classification import classify
from spanhouse.content import as_text
from spanhouse.errors import ErrorType, RunStopped
from spanhouse.failures import message_of
from spanhouse.model_calls import ModelCall, model_call
from spanhouse.notices import warn_once
from spanhouse.tool_calls import ToolCall, tool_call
from spanhouse_runtime.guard.calls import ModelAsk, ToolAsk
from spanhouse_runtime.guard.model_admission import ModelPermit
from spanhouse_runtime.guard.tool_admission import ToolPermit
from spanhouse_runtime.model import Usage
from spanhouse_runtime.money import usd

if TYPE_CHECKING:
    from spanhouse_runtime.guard.run import GuardedRun

_USAGE = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


class GuardedToolCall:
    """A guarded tool call, for ``with`` and ``async with``; made by ``GuardedRun.tool``.

    Entering raises ``CallRefused`` or ``RunStopped`` where the call may not be made. An exception that leaves the block
    is a failure of the tool and goes on, unless with it the tool is exhausted: then ``RunStopped`` takes its place.

    Attributes:
        arguments: what to call with; a person may have changed them.
    """

    def __init__(self, guarded: GuardedRun, ask: ToolAsk) -> None:
        self._guarded, self._ask = guarded, ask
        self.arguments = ask.arguments

    def __enter__(self) -> Self:
        return self._begin(self._guarded.admit_tool(self._ask))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._call.__exit__(kind, error, traceback)
        finally:
            self._give_back(error)

    async def __aenter__(self) -> Self:
        return self._begin(await self._guarded.admit_tool_async(self._ask))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._call.__exit__(kind, error, traceback)
        finally:
            if self._guarded.books.blocking:
                await asyncio.to_thread(self._give_back, error)
            else:
                self._give_back(error)

    def result(self, value: Any) -> None:  # noqa: ANN401 - whatever the tool returned
        """Record what the tool returned."""
        self._result = as_text(value)
        self._call.result(value)

    def failed(self, message: str, error_type: ErrorType = ErrorType.OTHER, *, name: str = "ToolError") -> None:
        """Record that the tool reported a failure without an exception."""
        self._failure = (error_type, message)
        self._call.failed(message, error_type, name=name)

    def noted(self, content: str) -> str:
        """Return the content with what the model is to be told beside it."""
        return self._guarded.notes.around(content)

    def _begin(self, permit: ToolPermit) -> Self:
        self._permit, self._failure, self._result = permit, None, ""
        self.arguments = permit.ask.arguments
        self._call: ToolCall = tool_call(
            permit.ask.tool,
            permit.ask.arguments,
            call_id=permit.ask.call_id or None,
            polling=permit.ask.polling,
            decision=permit.verdict.decision.value,
            rule=permit.verdict.rule,
            digest=permit.ask.digest,
        )
        self._call.__enter__()
        if permit.cost:
            self._call.cost(usd(permit.cost))
        return self

    _failure: tuple[ErrorType, str] | None

    def _give_back(self, error: BaseException | None) -> None:
        permit = self._permit
        if isinstance(error, RunStopped):
            self._guarded.remember(error)
            permit.dropped()
        elif error is None and self._failure is None:
            permit.worked(self._result)
        elif error is None or isinstance(error, Exception):
            failure = self._failure
            if failure is None and error is not None:
                failure = classify(error), f"{type(error).__name__}: {message_of(error)}"
            assert failure is not None
            permit.failed(*failure)
        else:
            permit.dropped()


class GuardedModelCall:
    """A guarded model call, for ``with`` and ``async with``; made by ``GuardedRun.model``.

    What the block says with ``response`` is booked at its end. Without usage the most it can have been is booked.
    """

    def __init__(self, guarded: GuardedRun, ask: ModelAsk, **recorded: Any) -> None:  # noqa: ANN401 - see model_call
        self._guarded, self._ask, self._recorded = guarded, ask, recorded
        self._usage: dict[str, int] = {}
        self._cost_usd: float | None = None

    def __enter__(self) -> Self:
        return self._begin(self._guarded.admit_model(self._ask))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._call.__exit__(kind, error, traceback)
        finally:
            self._give_back(error)

    async def __aenter__(self) -> Self:
        return self._begin(await self._guarded.admit_model_async(self._ask))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._call.__exit__(kind, error, traceback)
        finally:
            if self._guarded.books.blocking:
                await asyncio.to_thread(self._give_back, error)
            else:
                self._give_back(error)

    def response(self, **said: Any) -> None:  # noqa: ANN401 - as spanhouse.ModelCall.response takes it
        """Record what came back, as ``spanhouse.model_call`` takes it; may be said again as a stream goes on."""
        said = self._believable(said)
        self._usage.update({name: said[name] for name in _USAGE if said.get(name) is not None})
        self._cost_usd = said.get("cost_usd", self._cost_usd)
        if self._cost_usd is None and self._usage and (cost := self._permit.cost_of(Usage(**self._usage))) is not None:
            version = self._guarded.guard.price_version_of(self._ask.model)
            said |= {"cost_usd": usd(cost), "price_version": version or None}
        self._call.response(**said)

    def _believable(self, said: dict[str, Any]) -> dict[str, Any]:
        """Return what was said without figures that none can be: what they stand for is not known."""
        odd = {name: said[name] for name in (*_USAGE, "cost_usd") if name in said and not _countable(name, said[name])}
        if odd:
            warn_once("model-usage", f"what {self._ask.model} is said to have used is no amount, and not booked: {odd}")
        return {name: value for name, value in said.items() if name not in odd}

    def _begin(self, permit: ModelPermit) -> Self:
        self._permit = permit
        self._call: ModelCall = model_call(
            self._ask.model,
            provider=self._ask.provider or None,
            max_tokens=self._ask.max_output_tokens,
            **self._recorded,
        )
        self._call.__enter__()
        return self

    def _give_back(self, error: BaseException | None) -> None:
        if error is None:
            self._permit.answered(Usage(**self._usage) if self._usage else None, self._cost_usd)
        elif isinstance(error, Exception) and not isinstance(error, RunStopped):
            self._permit.failed()
        else:
            self._permit.dropped()


def _countable(name: str, value: Any) -> bool:  # noqa: ANN401 - whatever a framework hands over
    if value is None:
        return True
    if name in _USAGE:
        return type(value) is int and value >= 0
    return isinstance(value, int | float | Decimal) and math.isfinite(value) and value >= 0
