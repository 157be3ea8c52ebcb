"""What a loop comes to in a guarded run: an audit event, and a word to the model or the end of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanhouse.stop_reasons import StopCode, StopReason
from spanhouse_runtime.loops import LoopAction, LoopPattern, LoopVerdict

if TYPE_CHECKING:
    from spanhouse_runtime.guard.run import GuardedRun


def mind(guarded: GuardedRun, verdict: LoopVerdict, tool: str = "", args_hash: str = "", why: str = "") -> None:
    """Write down a loop, and warn the model with the next thing it is told.

    Args:
        guarded: the run.
        verdict: what the loop guard said.
        tool: the tool whose call it said it of; empty for what the model said.
        args_hash: the call's arguments.
        why: what else is known about it.

    Raises:
        RunStopped: the model had been warned; ``loop_detected:<tool>``, or ``goal_drift``.
    """
    if verdict.action is LoopAction.NONE:
        return
    guarded.run.event(
        "loop",
        tool=tool or None,
        args_hash=args_hash or None,
        pattern=verdict.pattern,
        repeats=verdict.times,
        cycle_length=verdict.length if verdict.pattern is LoopPattern.CYCLE else 1,
        action=verdict.action.value,
        warned=verdict.action is LoopAction.WARN,
        reason=why or None,
    )
    if verdict.action is LoopAction.STOP:
        drift = verdict.pattern is LoopPattern.GOAL_DRIFT
        reason = StopReason(StopCode.GOAL_DRIFT) if drift else StopReason(StopCode.LOOP_DETECTED, tool)
        raise guarded.stop(reason, f"{verdict.words}, after a warning" + (f": {why}" if why else ""))
    guarded.notes.add(f"{verdict.advice} {why}".rstrip())
