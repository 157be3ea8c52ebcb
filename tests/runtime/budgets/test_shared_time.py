"""Seconds that runs share are booked as they pass, and a store that is away at the end takes no run's reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.agents import named, recorded
from tests.support.otlp_sink import OtlpSink

from spanhouse.stop_reasons import StopCode
from spanhouse_runtime.budgets import Budget, BudgetStore, Scope
from spanhouse_runtime.guard import Guard, Subject
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.policy import Policy


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def guard(store: BudgetStore, clock: Clock) -> Guard:
    limits = Limits(max_seconds=1_000)
    return Guard("worker", policy=Policy(allow=("*",)), limits=limits, budgets=store, clock=clock)


def test_runs_use_up_the_seconds_they_share(tmp_path: Path, sink: OtlpSink) -> None:
    clock = Clock()
    store = BudgetStore(f"sqlite:///{tmp_path}/b.db", [Budget(scope=Scope.USER_DAY, max_seconds=10)])
    runs = []
    for seconds in (4, 4, 3, 1):
        with guard(store, clock).run("job", tenant="acme", user_id="ann") as guarded:
            runs.append(guarded)
            with guarded.tool("look", {"n": 1}) as call:
                clock.now += seconds
                call.result("seen")
    use = store.report(Subject("r", tenant="acme", user_id="ann"))["user/day"]["max_seconds"]
    store.close()
    assert use == {"limit": 10_000, "used": 11_000, "reserved": 0}
    assert [str(run.stopped or "finish") for run in runs] == ["finish", "finish", "finish", "max_seconds:user/day"]
    _, events = recorded(sink, runs[1].run.run_id)
    assert [(e["name"], e["used"]) for e in named(events, "limit.near")] == [("max_seconds", 8.0)]


def test_where_no_seconds_are_shared_none_are_booked(tmp_path: Path, sink: OtlpSink) -> None:
    clock = Clock()
    store = BudgetStore(f"sqlite:///{tmp_path}/b.db", [Budget(scope=Scope.USER_DAY, max_tool_calls=10)])
    with guard(store, clock).run("job"), guard(store, clock).run("inner"):
        clock.now += 5
    assert store.uses(every=True) == []
    store.close()


def test_a_store_that_is_away_at_the_end_leaves_the_run_its_reason(
    tmp_path: Path, sink: OtlpSink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    store = BudgetStore(f"sqlite:///{tmp_path}/b.db", [Budget(scope=Scope.USER_DAY, max_seconds=10)])

    def away(*_: object) -> None:
        raise OSError

    with guard(store, clock).run("job") as guarded:
        clock.now += 2
        monkeypatch.setattr(store, "spend", away)
    store.close()
    assert "2000 ms of run" in caplog.text
    assert named(recorded(sink, guarded.run.run_id)[1], "run.end")[0]["stop_reason"] == StopCode.FINISH
