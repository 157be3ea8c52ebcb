"""Play the demonstration runs against a server and return what each came to."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack

from spanhouse.client import Client
from spanhouse.control import ControlPoller
from spanhouse.errors import SpanhouseError
from spanhouse.telemetry import flush, init, shutdown, telemetry_loss
from spanhouse_runtime.control import Control
from spanhouse_runtime.demo import operations, research, support
from spanhouse_runtime.demo.scenario import Scenario, Stage
from spanhouse_runtime.result import RunResult

SCENARIOS: tuple[Scenario, ...] = (*support.SCENARIOS, *research.SCENARIOS, *operations.SCENARIOS)
_FLUSH_SECONDS = 10.0
_FIRST_NEWS_SECONDS = 10.0


def play(
    url: str,
    *,
    on_progress: Callable[[Scenario, RunResult], None] | None = None,
    rounds: int = 1,
    seed: int = 7,
    pace: float = 1.0,
    stop_run: Callable[[str], None] | None = None,
    control: Control | None = None,
) -> list[RunResult]:
    """Play every scenario once a round and return the results in order, with all telemetry acknowledged by the server.

    Takes over the process's telemetry (``spanhouse.init``) and shuts it down at the end.

    Args:
        url: the server's base URL.
        on_progress: told each scenario and its result as soon as it has ended.
        rounds: how often. In round n > 1 the request ids end in ``-n``.
        seed: of order numbers; the same seed plays the same runs.
        pace: 1.0 takes as long as real calls would (about 15 s a round), 0 hardly waits.
        stop_run: sets the operator's stop flag for a run id; called from a tool of the run. Without it the scenario
            that an operator ends is left out.
        control: where that flag is read; without it, from the server's API.

    Raises:
        SpanhouseError: the server did not acknowledge the telemetry; the message has the counts.
    """
    results: list[RunResult] = []
    init("spanhouse-demo", url=url, environment="demo")
    try:
        with ExitStack() as stack:
            if stop_run is not None and control is None:
                poller = stack.enter_context(ControlPoller(stack.enter_context(Client(url)), wait=1.0))
                poller.wait_for_first(_FIRST_NEWS_SECONDS)
                control = Control(poller)
            for number in range(1, rounds + 1):
                for scenario in SCENARIOS:
                    if scenario.needs_operator and stop_run is None:
                        continue
                    chance = random.Random(f"{seed}/{number}/{scenario.name}")  # noqa: S311 - order numbers
                    result = _play_one(scenario, Stage(chance, pace, control, stop_run), number)
                    results.append(result)
                    if on_progress is not None:
                        on_progress(scenario, result)
        if not flush(_FLUSH_SECONDS):
            msg = f"the server at {url} did not take all telemetry of the demo: {telemetry_loss()}"
            raise SpanhouseError(msg)
    finally:
        shutdown()
    return results


def _play_one(scenario: Scenario, stage: Stage, number: int) -> RunResult:
    case = scenario.stage(stage)
    return case.agent.run(
        case.task,
        request_id=f"req-demo-{scenario.name}" + (f"-{number}" if number > 1 else ""),
        tenant=scenario.tenant,
        user_id=scenario.user_id,
        session_id=f"sess-{scenario.user_id}-{number}",
        task_id=scenario.name,
        task_type=scenario.task_type,
        check=case.check,
    )
