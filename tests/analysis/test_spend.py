"""What calls cost, counted when they end: of running runs too, each call once, whatever its run turns out to be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from tests.support.small_traces import EPOCH, NOW, Row, frame, put, span

from spanhouse_analysis import facts
from spanhouse_analysis.job import FactsJob
from spanhouse_analysis.metrics import MetricError, MetricQuery, evaluate, find
from spanhouse_analysis.metrics.spend import largest_runs
from spanhouse_storage import Store
from spanhouse_storage.reads import RunFilter, steps_of_run
from spanhouse_storage.state import open_state

Publish: TypeAlias = Callable[..., None]
NAMES = ("spend", "tokens_spent", "unpriced_calls")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Engine]:
    engine = open_state(tmp_path / "state.db")
    yield engine
    engine.dispose()


@pytest.fixture
def publish(store: Store, state: Engine) -> Publish:
    """Stores spans and computes their traces at once, whether their runs have ended or not."""
    clock = iter(NOW + timedelta(seconds=10 * passed) for passed in range(1_000))
    job = FactsJob(store, state, clock=lambda: next(clock), quiet_seconds=0)

    def publish(*spans: Row) -> None:
        put(store, job, *spans)
        job.tick()

    return publish


def call(span_id: str, at: float, cost: float | None, **columns: Any) -> Row:
    """Return a model call of the running or ended agent ``a`` that takes a second."""
    own = {"trace_id": "t1", "input_tokens": 10, "output_tokens": 5, "response_model": "gpt", "cost_usd": cost}
    return span(span_id, "llm", "a", at=at, **{**own, **columns})


def ask(store: Store, *names: str, **query: Any) -> dict[Any, float | None]:
    """Return the value of each metric, or of each group where there is any."""
    points = evaluate(store, MetricQuery(names or NAMES, **query), now=NOW)
    keys = [(*point.group.values(),) if point.group else (point.metric,) for point in points]
    return {key[0] if len(key) == 1 else key: point.value for key, point in zip(keys, points, strict=True)}


def test_calls_of_a_run_that_still_goes_on_count_when_they_end(store: Store, publish: Publish) -> None:
    pending = span("a", "agent", is_final=False, seconds=0, tenant="acme", user_id="u7", agent="night")
    rest = [call(f"m{i}", at=60 * i, cost=2.0, tenant="acme") for i in range(3)]
    publish(pending, *rest)
    assert ask(store, "cost") == {"cost": None}
    assert ask(store) == {"spend": 6.0, "tokens_spent": 45.0, "unpriced_calls": 0.0}
    window = {"since": EPOCH + timedelta(seconds=61), "until": EPOCH + timedelta(seconds=121)}
    assert ask(store, "spend", **window) == {"spend": 2.0}
    groups = ["tenant", "agent", "user_id", "model"]
    assert ask(store, "spend", by=groups) == {("acme", "night", "u7", "gpt"): 6.0}
    minutes = [p.value for p in evaluate(store, MetricQuery(["spend"], step=60), now=NOW)]
    assert minutes == [2.0, 2.0, 2.0]


def test_when_the_run_ends_nothing_is_counted_twice(store: Store, publish: Publish) -> None:
    """The run's own figures repeat its calls' sums; spend and cost then agree."""
    publish(span("a", "agent", is_final=False, seconds=0), call("m", 1, 2.0))
    publish(span("a", "agent", seconds=9, cost_usd=2.0, input_tokens=10, output_tokens=5))
    assert ask(store, "spend", "cost", "tokens_spent", "tokens") == {
        "spend": 2.0,
        "cost": 2.0,
        "tokens_spent": 15.0,
        "tokens": 15.0,
    }


def test_a_run_that_reports_its_cost_as_a_whole_counts_at_its_end(store: Store, publish: Publish) -> None:
    """Such as an import without messages; its figures are no step of it."""
    whole: dict[str, Any] = {
        "cost_usd": 0.5,
        "input_tokens": 900,
        "output_tokens": 100,
        "response_model": "gpt-5",
        "steps": 17,
    }
    publish(span("a", "agent", seconds=30, run_hint="r", **whole))
    assert ask(store) == {"spend": 0.5, "tokens_spent": 1000.0, "unpriced_calls": 0.0}
    assert ask(store, "spend", until=EPOCH + timedelta(seconds=30)) == {"spend": None}
    assert ask(store, "spend", by=["model"]) == {"gpt-5": 0.5}
    assert steps_of_run(store, "default", "r").num_rows == 0


def test_figures_that_move_from_a_run_to_its_calls_count_once(store: Store, publish: Publish) -> None:
    """The agent's own span may come before the calls it sums up."""
    publish(span("a", "agent", seconds=9, cost_usd=3.0))
    assert ask(store, "spend") == {"spend": 3.0}
    publish(call("m", 1, 1.0), call("n", 2, 2.0))
    assert ask(store, "spend") == {"spend": 3.0}


def test_an_unknown_price_is_said_and_is_never_0(store: Store, publish: Publish) -> None:
    publish(span("a", "agent", seconds=9), call("m", 1, None))
    assert ask(store) == {"spend": None, "tokens_spent": 15.0, "unpriced_calls": 1.0}
    publish(call("n", 2, 4.0), span("t", "tool", "a", at=3, cost_usd=1.0))
    assert ask(store) == {"spend": 5.0, "tokens_spent": 30.0, "unpriced_calls": 1.0}


def test_a_denied_tool_call_cost_nothing(store: Store, publish: Publish) -> None:
    publish(span("a", "agent", seconds=9), span("t", "tool", "a", at=3, cost_usd=1.0, decision="deny"))
    assert ask(store, "spend") == {"spend": None}


def test_lone_calls_are_spend_too(store: Store, publish: Publish) -> None:
    publish(span("m", "llm", input_tokens=1, cost_usd=0.25), span("e", "embedding", trace_id="t2", cost_usd=1))
    assert ask(store, "spend", by=["type"]) == {"call": 1.25}
    assert ask(store, "spend", filters=RunFilter(type="agent")) == {"spend": None}


def test_a_run_that_becomes_part_of_another_is_counted_once(store: Store, publish: Publish) -> None:
    """Also where the start moves to another hour, so that the old rows lie in another place."""
    publish(call("m", 1, 2.0), call("n", 2, 3.0))
    assert ask(store, "spend") == {"spend": 5.0}
    publish(span("a", "step", "top", at=0.5), span("top", "agent", at=-7200, seconds=7300))
    since = {"since": EPOCH, "until": EPOCH + timedelta(hours=1)}
    assert ask(store, "spend", **since) == {"spend": 5.0}
    assert ask(store, "spend") == {"spend": 5.0}


def test_a_clock_that_runs_ahead_delays_no_spend(store: Store, publish: Publish) -> None:
    """A call cannot have ended after it was received."""
    publish(span("a", "agent", is_final=False, seconds=0), call("m", 86_400, 2.0, received_at=EPOCH))
    assert ask(store, "spend", since=EPOCH, until=NOW) == {"spend": 2.0}


def test_filters_on_runs_choose_their_calls(store: Store, publish: Publish) -> None:
    one = [span("a", "agent", seconds=9, session_id="s1", environment="live"), call("m", 1, 2.0)]
    other = [{**row, "trace_id": "t2", "session_id": "s2", "environment": "test"} for row in one]
    publish(*one, *other)
    assert ask(store, "spend", filters=RunFilter(session_id="s1")) == {"spend": 2.0}
    assert ask(store, "spend", filters=RunFilter(environment=["live", "other"], model="gpt")) == {"spend": 2.0}
    assert ask(store, "spend", filters=RunFilter(model="claude")) == {"spend": None}


def test_the_largest_spenders_are_found_while_they_run(store: Store, publish: Publish) -> None:
    for trace, cost in (("t1", 1.0), ("t2", 9.0), ("t3", 5.0), ("t4", None)):
        pending = span("a", "agent", trace_id=trace, is_final=False, seconds=0, run_hint=f"run-{trace}")
        publish(pending, call("m", 1, cost, trace_id=trace))
    assert largest_runs(store, RunFilter(since=EPOCH, until=NOW), find("spend"), 3) == ["run-t2", "run-t3", "run-t1"]


def test_what_spend_cannot_be_grouped_by_is_said() -> None:
    with pytest.raises(MetricError, match="'spend' cannot be grouped by 'outcome'"):
        MetricQuery(["spend"], by=["outcome"]).metrics()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_calls_of_a_run_add_up_to_what_the_run_cost(data: st.DataObject) -> None:
    """Whatever hangs on whatever: steps and usage rows hold exactly the tokens and, where it is known, the cost."""
    classes = st.sampled_from(["agent", "llm", "tool", "step", "embedding", "other", "workflow"])
    some = st.none() | st.integers(0, 9)
    rows: list[dict[str, Any]] = []
    for number in range(data.draw(st.integers(1, 9))):
        parent = data.draw(st.sampled_from(["", "gone", *(row["span_id"] for row in rows)]))
        figures: dict[str, Any] = {
            "cost_usd": data.draw(some),
            "input_tokens": data.draw(some),
            "output_tokens": data.draw(some),
        }
        decision = data.draw(st.sampled_from(["", "deny"]))
        rows.append(span(f"s{number}", data.draw(classes), parent, at=number, decision=decision, **figures))
    found = facts.compute(frame(rows), NOW)
    spent = found.steps.filter((pl.col("status") != "denied") & pl.col("kind").is_in(["model", "tool", "usage"]))
    used = spent.filter(pl.col("kind") != "tool")
    for run in found.runs.iter_rows(named=True):
        mine, mine_used = (part.filter(pl.col("run_id") == run["run_id"]) for part in (spent, used))
        assert mine_used["input_tokens"].sum() == (run["input_tokens"] or 0)
        assert mine_used["output_tokens"].sum() == (run["output_tokens"] or 0)
        assert (run["cost_usd"] is None) == (mine["unpriced"].any() or not mine["cost_usd"].count())
        if run["cost_usd"] is not None:
            assert mine["cost_usd"].sum() == run["cost_usd"]
