"""Two runs side by side: where their steps part, and how their figures differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

Json = dict[str, Any]

FIGURES: Final = (
    *("run_seconds", "steps", "model_calls", "model_errors", "tool_calls", "tool_errors", "policy_denials", "loops"),
    *("retries", "input_tokens", "output_tokens", "cost_usd"),
)
FACTS: Final = (
    *("agent", "agent_version", "model", "environment", "task", "task_type", "variant", "status", "stop_reason"),
    *("outcome", "escalated", "error_type", "error_message", "started_at"),
)
_TOLD: Final = ("number", "kind", "tool", "model", "status", "error_type", "error_message", "decision", "ms")
_AROUND: Final = 2


def compared(left: Json, right: Json, left_steps: Sequence[Json], right_steps: Sequence[Json]) -> Json:
    """Return figures of both runs with the difference, facts that differ, and the first step that is not the same.

    Steps are the same if they are of one kind, call the same tool with equal arguments, and end alike; how long they
    took and what a model wrote is not looked at.
    """
    at = divergence(left_steps, right_steps)
    return {
        "runs": [left["run_id"], right["run_id"]],
        "facts_that_differ": {name: [left[name], right[name]] for name in FACTS if left[name] != right[name]},
        "figures": {name: _figure(left[name], right[name]) for name in FIGURES},
        "steps": [len(left_steps), len(right_steps)],
        "first_divergence": None if at is None else _told(at, left_steps, right_steps),
    }


def divergence(left: Sequence[Json], right: Sequence[Json]) -> int | None:
    """Return the index of the first step that is not the same in both; None where all are."""
    for at, (one, other) in enumerate(zip(left, right, strict=False)):
        if _same(one) != _same(other):
            return at
    return None if len(left) == len(right) else min(len(left), len(right))


def _same(step: Json) -> tuple[Any, ...]:
    return step["kind"], step["tool"], step["args_hash"], step["status"], step["decision"]


def _told(at: int, left: Sequence[Json], right: Sequence[Json]) -> Json:
    before = [_short(step) for step in left[max(at - _AROUND, 0) : at]]
    sides = [[_short(step) for step in steps[at : at + _AROUND + 1]] or "ended" for steps in (left, right)]
    reasons = []
    if at < len(left) and at < len(right):
        named = ("kind", "tool", "args_hash", "status", "decision")
        reasons = [name for name in named if left[at][name] != right[at][name]]
    return {"index": at, "differs_in": reasons or ["length"], "common_before": before, "then": sides}


def _short(step: Json) -> Json:
    return {name: step[name] for name in _TOLD if step[name] is not None}


def _figure(left: float | None, right: float | None) -> Json:
    difference = None if left is None or right is None else round(right - left, 6)
    return {"values": [left, right], "difference": difference}
