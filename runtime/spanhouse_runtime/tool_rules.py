"""What a tool may not declare: settings that contradict one another, found when it is made and not when it runs."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Iterator
from glob import escape
from typing import TYPE_CHECKING, Final

from spanhouse.errors import ConfigurationError, ErrorType
from spanhouse_runtime.guard.breaker import BreakerSettings
from spanhouse_runtime.isolated import check_isolated
from spanhouse_runtime.traits import Action

if TYPE_CHECKING:
    from spanhouse_runtime.tools import Tool

_SCANS: Final = ("redact", "refuse", "pass")
_FEWEST_BYTES: Final = 256


def check_tool(tool: Tool) -> None:
    """Return if the tool's declarations fit together.

    Raises:
        ConfigurationError: they do not; says which and what would.
    """
    wrong = next(_wrong(tool), "")
    if wrong:
        msg = f"tool {tool.name!r}: {wrong}"
        raise ConfigurationError(msg)
    if tool.isolate:
        check_isolated(tool.name, tool.function)


def _wrong(tool: Tool) -> Iterator[str]:
    if tool.timeout_seconds is not None and not tool.timeout_seconds > 0:
        yield f"timeout_seconds must be more than 0, not {tool.timeout_seconds}"
    if not (math.isfinite(tool.cache_seconds) and tool.cache_seconds >= 0):
        yield f"cache_seconds must be 0 or more, not {tool.cache_seconds!r}"
    if tool.result_bytes is not None and tool.result_bytes < _FEWEST_BYTES:
        yield f"result_bytes must be {_FEWEST_BYTES} or more, not {tool.result_bytes!r}"
    if tool.scan not in _SCANS:
        yield f"scan cannot be {tool.scan!r}: it is one of {', '.join(_SCANS)}"
    for kind in tool.fallback:
        if kind not in tuple(ErrorType):
            yield f"there is no error type {kind!r} to fall back on: the types are {', '.join(ErrorType)}"
    yield from _contradictory(tool)


def _contradictory(tool: Tool) -> Iterator[str]:
    if tool.key is not None and not tool.keyed:
        yield "it has an idempotency key but not once=True: add it, or drop the key"
    if tool.cache_seconds and tool.traits.action is not Action.READ:
        yield "only what reads is answered from a cache: declare action='read', or drop cache_seconds"
    if tool.undo is not None and tool.traits.action in {Action.READ, None}:
        yield "undo= is for a tool that changes something: declare its action, such as action='update'"
    if tool.undo is not None and not {"arguments", "result"} <= set(inspect.signature(tool.undo).parameters):
        yield "its undo must take arguments and result: undo(arguments, result)"


def check_agent(tools: Iterable[Tool], *, shared_breakers: bool, secrets: bool) -> None:
    """Return if an agent has what its tools need.

    Raises:
        ConfigurationError: it has not; says what and how to give it.
    """
    for tool in tools:
        if tool.breaker is not None and shared_breakers:
            msg = f"tool {tool.name!r} has breaker settings, but the breakers are shared: Breakers(by_tool=...)"
            raise ConfigurationError(msg)
        if tool.injected.secrets and not secrets:
            named = ", ".join(sorted(set(tool.injected.secrets.values())))
            msg = f"tool {tool.name!r} needs credentials ({named}): Agent(secrets=EnvSecrets())"
            raise ConfigurationError(msg)


def own_breakers(tools: Iterable[Tool]) -> dict[str, BreakerSettings]:
    """Return the breaker settings of the tools that have their own, by glob over their names."""
    return {escape(tool.name): tool.breaker for tool in tools if tool.breaker is not None}
