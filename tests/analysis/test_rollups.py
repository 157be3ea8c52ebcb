"""Long windows are answered from kept parts, and say what the runs themselves say."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import many_runs

from spanhouse_analysis import frames
from spanhouse_analysis.metrics import MetricQuery, catalogue, evaluate
from spanhouse_analysis.metrics.rollups import mark_dirty, planning, stored, times_of
from spanhouse_analysis.metrics.rollups.job import RollupJob
from spanhouse_analysis.metrics.rollups.layout import DAY, HOUR, LAYOUTS
from spanhouse_analysis.metrics.rollups.planning import Plan
from spanhouse_analysis.tools import tools
from spanhouse_storage import Store, migrate, open_store
from spanhouse_storage.reads import RunFilter
from spanhouse_storage.tenants import TenantStore

FIRST = datetime(2026, 3, 2, 5, 20, tzinfo=UTC)
NOW = FIRST + timedelta(days=4.5)
NAMES = [metric.name for metric in catalogue() if metric.kind != "gauge"]
SPENT = {"spend", "tokens_spent", "unpriced_calls"}
_ROWS = {"runs": "run", "calls": "tool", "spend": "spend"}
OF_TOOLS = [metric.name for metric in catalogue() if metric.tool or metric.spend]


class Clock:
    """A clock that goes on by hand, and never back, from one test to the next."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


CLOCK = Clock()


def put(store: Store, table: str, rows: pl.DataFrame, token: str) -> None:
    store.insert(table, frames.to_table(rows, table), token)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the parts of few runs be read as those of many are."""
    monkeypatch.setattr(planning, "FEW_RUNS", 1)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Four days of runs of which some stand for several, their parts computed."""
    store = open_store(tmp_path_factory.mktemp("rollups") / "store")
    migrate(store)
    runs = many_runs.runs(6_000, FIRST, 4.4, seed=1)
    runs = runs.with_columns(weight=pl.when(pl.col("agent") == "coder").then(4.0).otherwise(1.0))
    put(store, "runs", runs, "runs")
    put(store, "steps", many_runs.calls(runs, seed=2), "steps")
    settle(RollupJob(store, clock=lambda: NOW))
    yield store
    store.close()


def settle(job: RollupJob) -> None:
    while job.tick():
        pass


def planned(store: Store, query: MetricQuery) -> Plan | None:
    """Return how a query is read from parts, None where it is not."""
    for layout in LAYOUTS:
        metrics = [metric for metric in query.metrics() if getattr(metric, _ROWS[layout.rows])]
        if metrics and stored.covers(layout, query.wanted(), query.by, metrics[:1]):
            return stored.plan(store, query.wanted(), query.step_nanoseconds(), layout, NOW)
    return None


def compared(store: Store, query: dict[str, Any], *, tolerance: float = 0.01) -> int:
    """Hold the answer from parts against the one from runs; return how many points there are."""
    rolled = [point.as_json() for point in evaluate(store, MetricQuery(**query), now=NOW)]
    exact = [point.as_json() for point in evaluate(store, MetricQuery(**query, exact=True), now=NOW)]
    kinds = {metric.name: metric.kind for metric in catalogue()}
    key = ("metric", "start", "end", "unit", "sampled")
    one, other = (
        [(*(point[k] for k in key), tuple(point["group"].items())) for point in each] for each in (rolled, exact)
    )
    # Shares are in order of size; equal ones may come in any order of the sums' last digits.
    assert sorted(map(str, one)) == sorted(map(str, other))
    pairs = zip(
        sorted(rolled, key=lambda point: str([point[k] for k in (*key, "group")])),
        sorted(exact, key=lambda point: str([point[k] for k in (*key, "group")])),
        strict=True,
    )
    for mine, true in pairs:
        is_quantile = kinds.get(mine["metric"], "quantile") == "quantile"
        for figure in ("value", "numerator", "denominator", "low", "high"):
            close = tolerance if is_quantile and figure in {"value", "low", "high"} else 1e-9
            if mine[figure] is None or true[figure] is None:
                assert mine[figure] == true[figure], (mine, true)
            else:
                assert math.isclose(mine[figure], true[figure], rel_tol=close, abs_tol=1e-9), (figure, mine, true)
    return len(rolled)


@pytest.mark.parametrize(
    "query",
    [
        {"names": NAMES, "since": FIRST, "until": NOW},
        {"names": NAMES},
        {
            "names": NAMES,
            "since": FIRST + timedelta(hours=7, minutes=13),
            "until": FIRST + timedelta(days=3, seconds=5),
        },
        {"names": NAMES, "since": FIRST, "step": 86_400},
        {"names": NAMES, "since": FIRST, "step": 6 * 3_600},
        {"names": [n for n in NAMES if not n.startswith("tool_ms")], "since": FIRST, "by": ["agent"]},
        {"names": [n for n in OF_TOOLS if n not in SPENT], "since": FIRST, "by": ["tool", "tenant"]},
        {"names": NAMES, "since": FIRST, "filters": RunFilter(agent="coder", environment=["production"])},
        {"names": ["runs", "cost"], "filters": RunFilter(stop_reason=["policy_deny:mail", "max_steps"])},
        {"names": ["runs", "completion_rate"], "by": ["stop_reason", "environment"], "filters": RunFilter(type="call")},
    ],
    ids=str,
)
def test_counts_and_sums_are_equal_and_quantiles_within_one_percent(history: Store, query: dict[str, Any]) -> None:
    asked = MetricQuery(**query)
    assert planned(history, asked) is not None
    assert compared(history, query)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    since=st.integers(0, 3 * 86_400),
    length=st.integers(25 * 3_600, 4 * 86_400),
    by=st.sampled_from([(), ("agent",), ("tenant", "stop_code"), ("model",)]),
    step=st.sampled_from([None, 3_600, 7_200, 86_400]),
    tenant=st.sampled_from(["", "tenant-1"]),
)
def test_any_window_says_what_its_runs_say(
    history: Store, since: int, length: int, by: tuple[str, ...], step: int | None, tenant: str
) -> None:
    begin = FIRST + timedelta(seconds=since)
    names = ["completion_rate", "cost", "runs", "run_seconds_p95", "tokens_per_run_p50", "spend"]
    if {"stop_code"} & set(by):
        names.remove("spend")
    window = {"since": begin, "until": begin + timedelta(seconds=length), "filters": RunFilter(tenant=tenant)}
    compared(history, {"names": names, "by": list(by), "step": step, **window})


def test_who_may_see_one_tenant_sees_its_parts_alone(history: Store) -> None:
    narrowed = TenantStore(history, ["tenant-0"])
    query = MetricQuery(["runs"], since=FIRST, by=["tenant"])
    [point] = evaluate(narrowed, query, now=NOW)
    assert point.group == {"tenant": "tenant-0"}
    assert planned(narrowed, query) is not None
    compared(narrowed, {"names": NAMES, "since": FIRST})


def test_tools_over_a_long_window_are_those_of_the_calls(history: Store) -> None:
    rolled = tools(history, RunFilter(since=FIRST))
    assert [row["tool"] for row in rolled] == sorted(
        many_runs.TOOLS, key=lambda t: (-next(r["calls"] for r in rolled if r["tool"] == t), t)
    )
    exact = {
        p.group["tool"]: p.value
        for p in evaluate(history, MetricQuery(["runs"], by=["tool"], since=FIRST, exact=True), now=NOW)
    }
    assert {row["tool"]: row["runs"] for row in rolled} == {tool: round(value or 0) for tool, value in exact.items()}


@pytest.mark.parametrize(
    "query",
    [
        {"since": NOW - timedelta(hours=24)},
        {"since": FIRST, "step": 300},
        {"since": FIRST, "by": ["user_id"]},
        {"since": FIRST, "filters": RunFilter(user_id="user-1")},
        {"since": FIRST, "filters": RunFilter(escalated=True)},
        {"since": FIRST, "filters": RunFilter(model="gpt-5")},
    ],
    ids=str,
)
def test_what_parts_do_not_tell_is_read_from_runs(history: Store, query: dict[str, Any]) -> None:
    asked = MetricQuery(["runs", "run_seconds_p95"], until=NOW, **query)
    assert planned(history, asked) is None
    assert compared(history, {"names": ["runs", "run_seconds_p95"], "until": NOW, **query}, tolerance=0)


@pytest.fixture
def store(history: Store) -> Iterator[Store]:
    """The same store, to which runs named late may be added."""
    yield history
    history.execute("DELETE FROM runs WHERE run_id LIKE 'late%'")
    mark_dirty(history, "tenant-0", [FIRST + timedelta(hours=hour) for hour in range(100)], now=CLOCK.now)
    CLOCK.now += timedelta(minutes=2)
    settle(RollupJob(history, clock=CLOCK))


def killed(job: RollupJob, when: datetime) -> None:
    """Begin to publish, and end before anything is published."""
    with pytest.raises(KeyboardInterrupt), job.publishing([("tenant-0", when)]):
        raise KeyboardInterrupt


def late(number: int, ended: datetime) -> pl.DataFrame:
    one = many_runs.runs(1, ended, 0, seed=77)
    return one.with_columns(run_id=pl.lit(f"late{number}"), tenant=pl.lit("tenant-0"), type=pl.lit("agent"))


def test_a_run_that_comes_late_is_counted_at_once_and_from_parts_once_they_are_renewed(store: Store) -> None:
    clock = CLOCK
    job = RollupJob(store, clock=clock)
    when = FIRST + timedelta(days=1, hours=3)
    query = MetricQuery(["runs"], since=FIRST, until=FIRST + timedelta(days=3))
    [before] = evaluate(store, query, now=NOW)
    run = late(1, when)
    with job.publishing([("tenant-0", when)]):
        put(store, "runs", run, "late-1")
    [after] = evaluate(store, query, now=NOW)
    assert (after.value or 0) - (before.value or 0) == 1
    clock.now += timedelta(minutes=2)
    settle(job)
    plan = planned(store, query)
    assert plan is not None
    assert [end for _, end in plan.exact] == [datetime(2026, 3, 2, 6, tzinfo=UTC), FIRST + timedelta(days=3)]
    assert evaluate(store, query, now=NOW)[0].value == after.value


def test_killed_between_its_mark_and_its_run_a_process_leaves_nothing_wrong(store: Store) -> None:
    when = FIRST + timedelta(days=2)
    clock = CLOCK
    dying = RollupJob(store, clock=clock)
    killed(dying, when)
    put(store, "runs", late(2, when), "late-2")
    compared(store, {"names": ["runs", "cost"], "since": FIRST})
    clock.now += timedelta(minutes=2)
    settle(RollupJob(store, clock=clock))
    compared(store, {"names": ["runs", "cost"], "since": FIRST})


def test_an_hour_is_not_computed_while_a_run_of_it_is_being_written(store: Store) -> None:
    when = FIRST + timedelta(days=2, hours=1)
    clock = CLOCK
    job = RollupJob(store, clock=clock)
    with job.publishing([("tenant-0", when)]):
        clock.now += timedelta(minutes=2)
        settle(job)
        put(store, "runs", late(3, when), "late-3")
    compared(store, {"names": ["runs"], "since": FIRST})


def test_what_is_deleted_is_gone_from_parts_that_were_marked(store: Store) -> None:
    when = FIRST + timedelta(days=1, hours=9)
    clock = CLOCK
    job = RollupJob(store, clock=clock)
    with job.publishing([("tenant-9", when)]):
        put(store, "runs", late(4, when).with_columns(tenant=pl.lit("tenant-9")), "late-4")
    clock.now += timedelta(minutes=2)
    settle(job)
    query = MetricQuery(["runs"], since=FIRST, filters=RunFilter(tenant="tenant-9"))
    assert evaluate(store, query, now=NOW)[0].value == 1
    changed = times_of(store, "tenant-9", ["late4"])
    assert changed == [when.replace(minute=0)]
    mark_dirty(store, "tenant-9", changed, now=clock.now)
    store.execute("DELETE FROM runs WHERE tenant = 'tenant-9'")
    assert evaluate(store, query, now=NOW)[0].value is None
    clock.now += timedelta(minutes=2)
    settle(job)
    assert evaluate(store, query, now=NOW)[0].value is None
    assert not store.query("SELECT 1 FROM metric_parts FINAL WHERE dirty AND tenant = 'tenant-9'").num_rows


def test_parts_are_kept_by_hour_and_by_day(history: Store) -> None:
    reached = stored.computed_until(history)
    assert reached == {HOUR: int(NOW.timestamp()) // HOUR * HOUR, DAY: int(NOW.timestamp()) // DAY * DAY}


def test_a_window_of_few_runs_is_exact_however_long(history: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "FEW_RUNS", 100_000)
    query = MetricQuery(["runs", "run_seconds_p95"], since=FIRST)
    assert planned(history, query) is None
    compared(history, {"names": ["runs", "run_seconds_p95"], "since": FIRST}, tolerance=0)
