"""Functions that a platform calls, and freezes in between: what one call recorded has to leave before it returns."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast

from spanhouse.errors import ConfigurationError
from spanhouse.telemetry import flush

P = ParamSpec("P")
R = TypeVar("R")


class Invocation:
    """One call of a function, as a ``with`` or ``async with`` block or a decorator; made by ``spanhouse.invocation``.

    Attributes:
        flushed: whether the server has all of it; None while the block lasts.
    """

    def __init__(self, deadline: float) -> None:
        if deadline < 0:
            msg = f"the deadline of an invocation is {deadline}: give seconds, 0 or more"
            raise ConfigurationError(msg)
        self._deadline = deadline
        self.flushed: bool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.flushed = flush(self._deadline)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        import asyncio  # noqa: PLC0415 - only for those who await

        self.flushed = await asyncio.to_thread(flush, self._deadline)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return the function, with a flush before it returns or raises."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401 - the function's own
                async with Invocation(self._deadline):
                    return await function(*args, **kwargs)

            return cast("Callable[P, R]", awaited)

        @functools.wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            with Invocation(self._deadline):
                return function(*args, **kwargs)

        return called


def invocation(deadline: float = 2.0) -> Invocation:
    """Return a block, or a decorator, at whose end everything recorded so far is sent.

    For platforms that freeze a process once its function has returned (AWS Lambda, Cloud Run, Azure Functions): threads
    that send in the background stand still then. What the deadline leaves is sent by the next call, or from the disk
    buffer by the next start where the platform keeps the disk.

    Args:
        deadline: seconds that the end may wait for the server.
    """
    return Invocation(deadline)
