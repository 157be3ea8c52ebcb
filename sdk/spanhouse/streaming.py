"""Generators whose steps run inside a call that lasts as long as they do, and that nobody outside is inside of."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from functools import partial
from types import TracebackType
from typing import Any, Final, Protocol, TypeVar

from spanhouse.errors import RunStopped

T = TypeVar("T")
_MOST: Final = 10_000


class Call(Protocol):
    """A recorded call as a block."""

    def __enter__(self) -> Any:  # noqa: ANN401 - itself
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> object:
        """End."""

    def result(self, value: Any) -> None:  # noqa: ANN401 - what was yielded
        """Record what came out."""


def recorded(open_call: Callable[[], Call], start: Callable[[], Generator[Any, Any, Any]]) -> Generator[Any, Any, Any]:
    """Yield what a generator yields, in a call that begins with the first step and ends with the last.

    A generator that is closed or forgotten before its end is closed, and its call ends with what came until then.

    Args:
        open_call: makes the call; asked when the first step is.
        start: makes the generator.
    """
    # Between two steps the caller goes its own way: what is current inside must not be current there.
    context = contextvars.copy_context()
    call = context.run(open_call)
    context.run(call.__enter__)
    kept: list[Any] = []
    try:
        inner = context.run(start)
        step: Callable[[], Any] = partial(next, inner)
        while True:
            try:
                item = context.run(step)
            except StopIteration as end:
                returned = end.value
                break
            _keep(kept, item)
            try:
                step = partial(inner.send, (yield item))
            except GeneratorExit:
                context.run(inner.close)
                raise
            except BaseException as thrown:  # noqa: BLE001 - the generator's to handle
                step = partial(inner.throw, thrown)
    except GeneratorExit:
        _closed(context, call, kept)
        raise
    except BaseException as error:
        context.run(call.__exit__, type(error), error, error.__traceback__)
        raise
    context.run(call.result, _whole(kept))
    context.run(call.__exit__, None, None, None)
    return returned


async def recorded_async(
    open_call: Callable[[], Call], start: Callable[[], AsyncGenerator[Any, Any]]
) -> AsyncGenerator[Any, Any]:
    """Yield what an async generator yields; as ``recorded``."""
    context = contextvars.copy_context()
    call = context.run(open_call)
    enter = getattr(call, "__aenter__", None)
    if enter is None:
        context.run(call.__enter__)
    else:
        await _Within(context, enter)
    kept: list[Any] = []
    try:
        inner = context.run(start)
        step: Callable[[], Awaitable[Any]] = partial(anext, inner)
        while True:
            try:
                item = await _Within(context, step)
            except StopAsyncIteration:
                break
            _keep(kept, item)
            try:
                step = partial(inner.asend, (yield item))
            except GeneratorExit:
                await _Within(context, inner.aclose)
                raise
            except BaseException as thrown:  # noqa: BLE001 - the generator's to handle
                step = partial(inner.athrow, thrown)
    except GeneratorExit:
        context.run(call.result, _whole(kept))
        with contextlib.suppress(RunStopped):  # as in ``_closed``
            await _leave(context, call, None)
        raise
    except BaseException as error:
        await _leave(context, call, error)
        raise
    context.run(call.result, _whole(kept))
    await _leave(context, call, None)


async def _leave(context: contextvars.Context, call: Call, error: BaseException | None) -> None:
    how = (None, None, None) if error is None else (type(error), error, error.__traceback__)
    leave = getattr(call, "__aexit__", None)
    if leave is None:
        context.run(call.__exit__, *how)
    else:
        await _Within(context, partial(leave, *how))


class _Within:
    """An awaitable whose steps run in a context of their own, in the task that awaits it."""

    def __init__(self, context: contextvars.Context, begin: Callable[[], Awaitable[Any]]) -> None:
        self._context, self._begin = context, begin

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._context.run(lambda: self._begin().__await__())
        step: Callable[[], Any] = partial(next, inner)
        while True:
            try:
                waited_for = self._context.run(step)
            except StopIteration as end:
                return end.value
            try:
                step = partial(_sent, inner, (yield waited_for))
            except BaseException as thrown:  # noqa: BLE001 - a cancellation, which is the generator's to handle
                step = partial(inner.throw, thrown)


def _sent(inner: Any, value: Any) -> Any:  # noqa: ANN401 - any awaitable's iterator
    return next(inner) if value is None else inner.send(value)


def _keep(kept: list[Any], item: object) -> None:
    if len(kept) < _MOST:
        kept.append(item)


def _whole(kept: list[Any]) -> Any:  # noqa: ANN401 - text where it came in pieces of text
    return "".join(kept) if kept and all(isinstance(item, str) for item in kept) else kept


def _closed(context: contextvars.Context, call: Call, kept: list[Any]) -> None:
    context.run(call.result, _whole(kept))
    try:
        context.run(call.__exit__, None, None, None)
    except RunStopped:
        # Nobody is there to hear it: the guard remembers, and says so at the run's next call.
        return
