"""Breakers as a run meets them: a tool that is left alone ends the run, and every change is written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanhouse.stop_reasons import StopCode, StopReason
from spanhouse_runtime.guard.breaker import Breaker, BreakerChange

if TYPE_CHECKING:
    from spanhouse_runtime.guard.run import GuardedRun


def closed_breaker(guarded: GuardedRun, tool: str) -> Breaker:
    """Return the breaker of a tool, with one call admitted.

    Raises:
        RunStopped: it is open, ``tool_unhealthy:<tool>``.
    """
    breaker = guarded.guard.breakers.of(tool, guarded.tenant)
    admitted, change = breaker.admit()
    tell(guarded, tool, change)
    if not admitted:
        raise guarded.stop(StopReason(StopCode.TOOL_UNHEALTHY, tool), "its breaker is open: it has failed too often")
    return breaker


def tell(guarded: GuardedRun, tool: str, change: BreakerChange | None) -> None:
    """Write a breaker's change of state into the run's audit trail."""
    if change is not None:
        guarded.run.event(
            "breaker", tool=tool, before=change.before.value, after=change.after.value, reason=change.reason
        )
