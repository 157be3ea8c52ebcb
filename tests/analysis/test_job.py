"""The facts job on a real store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from tests.support.small_traces import EPOCH, Row, put, span

from spanhouse.identity import run_id_of
from spanhouse_analysis import reading
from spanhouse_analysis.job import WATERMARK, FactsJob
from spanhouse_storage import Store
from spanhouse_storage.reads import run_by_id, steps_of_run
from spanhouse_storage.state import get_watermark, open_state


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = EPOCH + timedelta(minutes=1)

    def __call__(self) -> datetime:
        """Return the time it stands at."""
        return self.now

    def forward(self, seconds: float) -> None:
        """Move it."""
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Engine]:
    engine = open_state(tmp_path / "state.db")
    yield engine
    engine.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def job(store: Store, state: Engine, clock: Clock) -> FactsJob:
    return FactsJob(store, state, clock=clock)


def published(store: Store) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = store.query("SELECT * FROM runs FINAL ORDER BY started_at, run_id").to_pylist()
    return found


def step_count(store: Store) -> int:
    return int(store.query("SELECT count() AS n FROM steps FINAL")["n"][0].as_py())


def trace(trace_id: str = "t1") -> list[Row]:
    return [
        span("a", "agent", trace_id=trace_id, seconds=5, agent="desk", input="What is due?", output="Nothing."),
        span("m", "llm", "a", at=1, trace_id=trace_id, input_tokens=10, output_tokens=2, response_model="gpt"),
        span("t", "tool", "a", at=2, trace_id=trace_id, tool_name="search"),
    ]


def test_a_finished_trace_is_published_when_it_is_quiet_and_not_before(
    store: Store, job: FactsJob, clock: Clock
) -> None:
    put(store, job, *trace())
    clock.forward(0.9)
    assert job.tick() == 0
    clock.forward(0.2)
    assert job.tick() == 1
    [run] = published(store)
    assert (run["agent"], run["status"], run["stop_reason"], run["model_calls"]) == ("desk", "ended", "finish", 1)
    assert (run["input_preview"], run["output_preview"]) == ("What is due?", "Nothing.")
    assert step_count(store) == 2
    assert job.tick() == 0


def test_a_rootless_run_is_first_shown_after_five_quiet_seconds(store: Store, job: FactsJob, clock: Clock) -> None:
    put(store, job, span("m", "llm", "a", input_tokens=1), span("t", "tool", "a", at=1))
    clock.forward(4)
    assert job.tick() == 0
    clock.forward(1)
    assert job.tick() == 1
    assert published(store)[0]["status"] == "running"


def test_a_run_that_keeps_sending_is_published_every_five_seconds(store: Store, job: FactsJob, clock: Clock) -> None:
    for number in range(11):
        put(store, job, span(f"m{number}", "llm", "a", at=number, input_tokens=1))
        clock.forward(1)
        assert job.tick() == (1 if number in {4, 9} else 0)
    assert published(store)[0]["model_calls"] == 10


def test_a_trace_that_comes_to_life_after_days_and_a_restart_is_still_the_run_it_was(
    store: Store, state: Engine, clock: Clock
) -> None:
    job = FactsJob(store, state, clock=clock)
    put(store, job, span("a", "agent", is_final=False, seconds=0, run_hint="r"))
    put(store, job, span("m", "llm", "a", at=1, run_hint="r", input_tokens=1, cost_usd=1.0))
    clock.forward(6)
    job.tick()
    job = FactsJob(store, state, clock=clock)
    days = 3 * 86_400
    clock.forward(days)
    job.tick()
    put(store, job, span("n", "llm", "a", at=days, run_hint="r", input_tokens=2, cost_usd=2.0))
    put(store, job, span("a", "agent", seconds=days + 9, run_hint="r"))
    clock.forward(10)
    job.tick()
    [run] = published(store)
    assert (run["run_id"], run["started_at"], run["model_calls"], run["cost_usd"]) == ("r", EPOCH, 2, 3.0)
    assert (run["stop_reason"], step_count(store)) == ("finish", 2)


def test_a_span_that_comes_late_changes_the_run_it_belongs_to(store: Store, job: FactsJob, clock: Clock) -> None:
    put(store, job, *trace())
    clock.forward(2)
    job.tick()
    put(store, job, span("n", "llm", "a", at=3, input_tokens=5, output_tokens=0))
    clock.forward(2)
    assert job.tick() == 1
    [run] = published(store)
    assert (run["model_calls"], run["input_tokens"], step_count(store)) == (2, 15, 3)


def test_a_run_that_turns_out_to_be_part_of_another_leaves_a_tombstone_that_is_followed(
    store: Store, job: FactsJob, clock: Clock
) -> None:
    put(store, job, span("m", "llm", "s", at=1, input_tokens=1), span("t", "tool", "s", at=2))
    clock.forward(6)
    assert job.tick() == 1
    early = run_id_of("t1", "s")
    assert [run["run_id"] for run in published(store)] == [early]
    put(store, job, span("s", "step", "a", at=0.5), span("a", "agent", seconds=9))
    clock.forward(2)
    job.tick()
    whole = run_id_of("t1", "a")
    assert [run["run_id"] for run in published(store)] == [whole]
    assert run_by_id(store, early)["run_id"].to_pylist() == [whole]
    assert steps_of_run(store, "default", early).num_rows == 0
    assert steps_of_run(store, "default", whole).num_rows == 2


def test_a_run_whose_start_moves_to_another_hour_stands_once(store: Store, state: Engine, clock: Clock) -> None:
    job = FactsJob(store, state, clock=clock)
    put(
        store,
        job,
        span("a", "agent", is_final=False, run_hint="r"),
        span("m", "llm", "a", at=1, run_hint="r", input_tokens=1),
    )
    clock.forward(6)
    job.tick()
    # Another process takes over: what was published before is known from the store alone.
    job = FactsJob(store, state, clock=clock)
    job.recover()
    put(store, job, span("a", "agent", at=-7200, seconds=7300, run_hint="r"))
    clock.forward(2)
    job.tick()
    [run] = published(store)
    assert (run["run_id"], run["status"], run["started_at"]) == ("r", "ended", EPOCH - timedelta(hours=2))
    assert step_count(store) == 1


def test_a_run_that_has_fewer_steps_than_before_loses_the_others(store: Store, job: FactsJob, clock: Clock) -> None:
    put(store, job, *trace())
    clock.forward(2)
    job.tick()
    put(
        store,
        job,
        span("x", "tool", "a", at=1.5, seconds=3, tool_name="search"),
        span("t", "tool", "x", at=2, tool_name="search", version=(1 << 60) + 9),
    )
    clock.forward(2)
    job.tick()
    assert (published(store)[0]["tool_calls"], step_count(store)) == (1, 2)


def test_a_silent_run_is_abandoned_after_the_lease(store: Store, job: FactsJob, clock: Clock) -> None:
    put(store, job, span("a", "agent", is_final=False, seconds=0), span("m", "llm", "a", at=1, input_tokens=1))
    clock.forward(6)
    job.tick()
    assert published(store)[0]["status"] == "running"
    clock.forward(1800)
    job.tick()
    [run] = published(store)
    assert (run["status"], run["stop_reason"], run["stop_reason_source"]) == ("ended", "abandoned", "inferred")


def test_what_was_stored_but_not_computed_is_found_after_a_crash(store: Store, state: Engine, clock: Clock) -> None:
    put(store, None, *trace())
    job = FactsJob(store, state, clock=clock)
    assert job.recover() == 1
    clock.forward(2)
    assert job.tick() == 1
    reached = datetime.fromisoformat(str(get_watermark(state, WATERMARK)))
    assert reached == EPOCH + timedelta(seconds=5) - timedelta(seconds=60)
    put(store, None, span("z", "agent", trace_id="t2", at=100))
    again = FactsJob(store, state, clock=clock)
    again.recover()
    clock.forward(2)
    again.tick()
    assert [run["trace_id"] for run in published(store)] == ["t1", "t2"]


def test_a_clock_that_was_set_back_does_not_hide_what_is_new(store: Store, state: Engine, clock: Clock) -> None:
    put(store, None, *trace())
    job = FactsJob(store, state, clock=clock)
    job.recover()
    clock.forward(2)
    job.tick()
    clock.forward(-60)
    job = FactsJob(store, state, clock=clock)
    job.recover()
    put(store, job, span("n", "llm", "a", at=3, input_tokens=5, output_tokens=0))
    clock.forward(2)
    job.tick()
    assert published(store)[0]["model_calls"] == 2


def test_computing_again_gives_the_same_rows(store: Store, state: Engine, clock: Clock) -> None:
    def facts() -> list[dict[str, Any]]:
        return [{k: v for k, v in run.items() if k not in {"version", "computed_at"}} for run in published(store)]

    put(store, None, *trace(), *trace("t2"))
    found = []
    for _ in range(2):
        job = FactsJob(store, state, clock=clock)
        job.recover()
        clock.forward(2)
        assert job.tick() == 2
        found.append(facts())
    assert found[0] == found[1]
    assert step_count(store) == 4


def test_a_trace_that_cannot_be_computed_does_not_hold_up_its_neighbours(
    store: Store, job: FactsJob, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = reading.facts_of_traces

    def failing(store: Store, traces: list[tuple[str, str]], *args: Any, **kwargs: Any) -> Any:
        if ("default", "t2") in traces:
            msg = "poison"
            raise ValueError(msg)
        return real(store, traces, *args, **kwargs)

    monkeypatch.setattr("spanhouse_analysis.job.facts_of_traces", failing)
    put(store, job, *trace("t1"), *trace("t2"), *trace("t3"))
    clock.forward(2)
    assert job.tick() == 2
    assert "no facts of trace ('default', 't2')" in caplog.text
    assert job.pending() == 0


def test_the_thread_publishes_and_stops(store: Store, state: Engine) -> None:
    put(store, None, *trace())
    job = FactsJob(store, state, quiet_seconds=0)
    job.start()
    while not published(store):
        pass
    job.stop()
    assert len(published(store)) == 1
