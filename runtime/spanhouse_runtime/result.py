"""What a run came to, and the plain words it ends with when it did not finish by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from spanhouse.stop_reasons import Outcome, StopReason
from spanhouse_runtime.model import Usage


@dataclass(slots=True)
class Tally:
    """How the calls of one tool went.

    Attributes:
        ok, failed: calls that were made and gave a result, or did not; however many attempts they took.
        denied: asked for and never made.
        replayed: answered from a cache or from the record of an earlier call.
        interrupted: under way when the run ended.
        retried: attempts beyond the first.
        left_running: could not be stopped when their time was up, and went on in their thread.
    """

    ok: int = 0
    failed: int = 0
    denied: int = 0
    replayed: int = 0
    interrupted: int = 0
    retried: int = 0
    left_running: int = 0

    def __str__(self) -> str:
        parts = [f"{count} {item.name}" for item in fields(self) if (count := getattr(self, item.name))]
        return ", ".join(parts).replace("_", " ")


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run came to.

    Attributes:
        run_id, trace_id, request_id: by which the run is found again; request_id may be empty.
        stop_reason: the one reason it ended.
        outcome: success or failure where a check said so, else unknown.
        output: the model's last answer, or for a stopped run what was done and why it stopped.
        usage: tokens of all model calls.
        cost_usd: dollars of all model and tool calls; None where the cost of one is not known.
        steps: turns of the loop.
        tools: how the calls went, by tool.
        budget: limit and use of every limit that was set.
    """

    run_id: str
    trace_id: str
    request_id: str
    stop_reason: StopReason
    outcome: Outcome
    output: str
    usage: Usage
    cost_usd: float | None
    steps: int
    tools: Mapping[str, Tally] = field(default_factory=dict)
    budget: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
