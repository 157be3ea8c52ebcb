"""The ``@tool`` decorator: every call of the function is a recorded tool call."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast, overload

from spanhouse.errors import ConfigurationError
from spanhouse.streaming import recorded as recorded_steps
from spanhouse.streaming import recorded_async
from spanhouse.tool_calls import tool_call

P = ParamSpec("P")
R = TypeVar("R")


@overload
def tool(function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def tool(*, name: str | None = None, polling: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def tool(
    function: Callable[..., Any] | None = None, /, *, name: str | None = None, polling: bool = False
) -> Callable[..., Any]:
    """Record every call of a function as a tool call: ``@tool`` or ``@tool(name=..., polling=...)``.

    Works on functions, coroutine functions, generators of both kinds and methods (the instance is no argument). The
    call of a generator lasts from its first step until it is exhausted, fails or is closed. Arguments are recorded by
    parameter name with defaults filled in, so that equal calls hash alike however they are written.

    Args:
        function: given by the bare form.
        name: the tool's name; else the function's.
        polling: the tool is meant to be called again with equal arguments; such calls make no loop.

    Raises:
        ConfigurationError: what is decorated is no plain function.
    """
    if function is None:
        return functools.partial(_wrap, name=name, polling=polling)
    return _wrap(function, name=name, polling=polling)


def _wrap(function: Callable[..., Any], *, name: str | None, polling: bool) -> Callable[..., Any]:
    if not inspect.isroutine(function) or not callable(function) or not hasattr(function, "__code__"):
        msg = f"@tool cannot record {function!r}: put it directly on a function, below @staticmethod and @classmethod"
        raise ConfigurationError(msg)
    called = name or function.__name__
    bind = arguments_of(function)

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the function's own
            with tool_call(called, bind(args, kwargs), polling=polling) as call:
                value = await function(*args, **kwargs)
                call.result(value)
                return value

        return cast("Callable[..., Any]", awaited)

    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        def streamed_async(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the function's own
            call = functools.partial(tool_call, called, bind(args, kwargs), polling=polling)
            return recorded_async(call, functools.partial(function, *args, **kwargs))

        return cast("Callable[..., Any]", streamed_async)

    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def streamed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the function's own
            call = functools.partial(tool_call, called, bind(args, kwargs), polling=polling)
            return recorded_steps(call, functools.partial(function, *args, **kwargs))

        return cast("Callable[..., Any]", streamed)

    @functools.wraps(function)
    def recorded(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the function's own
        with tool_call(called, bind(args, kwargs), polling=polling) as call:
            value = function(*args, **kwargs)
            if not inspect.isgenerator(value):
                call.result(value)
            return value

    return recorded


def arguments_of(function: Callable[..., Any]) -> Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]]:
    """Return what names a call's arguments, ``(args, kwargs) -> {parameter: value}``, with defaults filled in."""
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    bound_to = {parameters[0].name} if parameters and parameters[0].name in {"self", "cls"} else set()
    names = [p.name for p in parameters]
    plain = not bound_to and all(p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for p in parameters)
    catch_all = next((p.name for p in parameters if p.kind is inspect.Parameter.VAR_KEYWORD), None)

    def bind(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        if plain and not kwargs and len(args) == len(names):
            return dict(zip(names, args, strict=True))
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            # The call itself is about to raise this very error; the record shows what was passed.
            return {"args": list(args), **kwargs}
        bound.apply_defaults()
        found = {key: value for key, value in bound.arguments.items() if key not in bound_to and key != catch_all}
        return {**found, **bound.arguments.get(catch_all, {})} if catch_all else found

    return bind
