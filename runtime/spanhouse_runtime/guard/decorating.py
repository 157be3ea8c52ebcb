"""Functions as guarded tools: every call asks the guarded run it is made in."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

from spanhouse.errors import ConfigurationError
from spanhouse.streaming import recorded, recorded_async
from spanhouse.tools import arguments_of
from spanhouse_runtime.guard.calling import GuardedToolCall
from spanhouse_runtime.guard.calls import ToolAsk
from spanhouse_runtime.guard.costs import Cost
from spanhouse_runtime.guard.current import needed_guarded_run

F = TypeVar("F", bound=Callable[..., Any])


def guarded(function: F, *, name: str = "", polling: bool = False, action: str = "", cost_usd: Cost = 0.0) -> F:
    """Return the function so that every call of it is a guarded and recorded tool call.

    Works on functions, coroutine functions, generators of both kinds and methods; the permit of a generator is given
    back once it is exhausted, fails or is closed. Where a person changes a call's arguments the function is
    called with theirs.

    Args:
        function: what to guard.
        name: the tool's name; else the function's.
        polling: equal calls in a row are expected and are no loop.
        action: what it does to the world; see ``ToolAsk``.
        cost_usd: what a call costs, in dollars or made of its arguments.

    Raises:
        ConfigurationError: it is no plain function.
    """
    if not inspect.isroutine(function) or not hasattr(function, "__code__"):
        msg = f"{function!r} cannot be guarded: put the decorator directly on a function"
        raise ConfigurationError(msg)
    called: str = name or function.__name__
    bind = arguments_of(function)

    def ask_for(args: tuple[Any, ...], kwargs: dict[str, Any]) -> ToolAsk:
        return ToolAsk(called, bind(args, kwargs), polling=polling, action=action, cost_usd=cost_usd)

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def guarded_async(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the function's own
            ask = ask_for(args, kwargs)
            async with needed_guarded_run(called).tool_call(ask) as call:
                if call.arguments is not ask.arguments:
                    args, kwargs = _bound(function, args), dict(call.arguments)
                value = await function(*args, **kwargs)
                call.result(value)
                return value

        return cast("F", guarded_async)

    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return cast("F", _stepped(function, ask_for))

    @functools.wraps(function)
    def guarded_sync(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the function's own
        ask = ask_for(args, kwargs)
        with needed_guarded_run(called).tool_call(ask) as call:
            if call.arguments is not ask.arguments:
                args, kwargs = _bound(function, args), dict(call.arguments)
            value = function(*args, **kwargs)
            if not inspect.isgenerator(value):
                call.result(value)
            return value

    return cast("F", guarded_sync)


def _stepped(
    function: Callable[..., Any], ask_for: Callable[[tuple[Any, ...], dict[str, Any]], ToolAsk]
) -> Callable[..., Any]:
    steps: Any = recorded_async if inspect.isasyncgenfunction(function) else recorded

    @functools.wraps(function)
    def guarded_steps(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the function's own
        ask = ask_for(args, kwargs)
        opened: list[GuardedToolCall] = []

        def admitted() -> GuardedToolCall:
            opened.append(needed_guarded_run(ask.tool).tool_call(ask))
            return opened[0]

        def start() -> Any:  # noqa: ANN401 - a generator
            if opened[0].arguments is ask.arguments:
                return function(*args, **kwargs)
            return function(*_bound(function, args), **opened[0].arguments)

        return steps(admitted, start)

    return guarded_steps


def _bound(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the instance or class a method is called on, which is no argument anybody may change."""
    parameters = list(inspect.signature(function).parameters)
    return args[:1] if args and parameters and parameters[0] in {"self", "cls"} else ()
