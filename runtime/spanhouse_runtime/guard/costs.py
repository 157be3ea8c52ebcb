"""What a tool call costs, as its tool declares it: known before the call, so that it can be reserved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from spanhouse.stop_reasons import StopCode, StopReason
from spanhouse_runtime.money import nano_usd

if TYPE_CHECKING:
    from spanhouse_runtime.guard.calls import ToolAsk
    from spanhouse_runtime.guard.run import GuardedRun

Cost: TypeAlias = float | Callable[[Mapping[str, Any]], float]
"""Dollars a call, or what makes them of the call's arguments."""


def cost_of(guarded: GuardedRun, ask: ToolAsk) -> int | None:
    """Return the call's cost in nano-dollars; None where its cost function cannot say and no dollars are limited.

    Raises:
        RunStopped: it cannot say and dollars are limited, ``max_usd:unknown_price``.
    """
    if ask.cost_usd == 0:
        return 0
    try:
        return nano_usd(ask.cost_usd(ask.arguments) if callable(ask.cost_usd) else ask.cost_usd)
    except Exception as problem:
        if not guarded.books.limits_money:
            return None
        why = f"what {ask.tool} costs is not known: {type(problem).__name__}: {problem}"
        raise guarded.stop(StopReason(StopCode.MAX_USD, "unknown_price"), why) from problem
