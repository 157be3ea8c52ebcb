"""Metrics over a store of runs whose figures are worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from tests.support.rows import NOON, rows, run

from spanhouse_analysis.metrics import MetricError, MetricQuery, Point, catalogue, evaluate
from spanhouse_analysis.tools import tools
from spanhouse_storage import Store, migrate, open_store
from spanhouse_storage.reads import RunFilter

SECONDS = [10.0, 20.0, 40.0, 80.0]
HOUR = timedelta(hours=1)


def ended(number: int, **columns: Any) -> dict[str, Any]:
    own = {"run_seconds": SECONDS[number], "ended_at": NOON + number * HOUR, "started_at": NOON + number * HOUR - HOUR}
    return run(f"r{number}", **{**own, **columns})


def call(run_id: str, seq: int, tool: str, ms: float, status: str = "ok") -> dict[str, Any]:
    own = {"tenant": "acme", "run_id": run_id, "seq": seq, "kind": "tool", "tool": tool, "ms": ms, "status": status}
    return {**own, "run_ended_at": NOON, "run_started_at": NOON - HOUR, "run_type": "agent", "version": 1}


RUNS = [
    ended(
        0,
        agent="a",
        completed=True,
        input_tokens=10,
        output_tokens=5,
        cost_usd=0.5,
        tool_calls=3,
        tool_errors=1,
        tool_requests=4,
        policy_denials=1,
        cache_read_tokens=5,
        model_calls=2,
        loops=1,
        retries=1,
    ),
    ended(
        1,
        agent="a",
        completed=True,
        escalated=True,
        input_tokens=20,
        output_tokens=10,
        cost_usd=1.5,
        tool_calls=1,
        tool_requests=1,
        model_calls=1,
    ),
    ended(
        2,
        agent="b",
        stop_code="max_steps",
        stop_reason="max_steps",
        input_tokens=30,
        output_tokens=0,
        model_calls=1,
        retry_storm=True,
        cycle_length=2,
    ),
    ended(
        3,
        agent="b",
        stop_code="policy_deny",
        stop_subject="mail",
        stop_reason="policy_deny:mail",
        model_errors=1,
        model_calls=1,
        tool_requests=1,
        policy_denials=1,
    ),
    run("going", status="running", stop_code="", stop_reason="", started_at=NOON, agent="a"),
    {**ended(0, type="call", completed=True, input_tokens=999), "run_id": "lone"},
]
STEPS = [
    call("r0", 1, "search", 100.0), call("r0", 2, "search", 300.0, "error"), call("r0", 3, "mail", 50.0),
    call("r0", 4, "mail", 0.0, "denied"), call("r1", 1, "search", 200.0), call("r3", 1, "mail", 0.0, "denied"),
]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store(tmp_path_factory.mktemp("metrics") / "store")
    migrate(opened)
    opened.insert("runs", rows("runs", *RUNS), "runs")
    opened.insert("steps", rows("steps", *STEPS), "steps")
    yield opened
    opened.close()


def ask(store: Store, *names: str, **query: Any) -> list[Point]:
    return evaluate(store, MetricQuery(names=names, **query), now=NOON + 4 * HOUR)


def value(store: Store, name: str, **query: Any) -> tuple[float | None, float | None, float | None]:
    [point] = ask(store, name, **query)
    return point.value, point.numerator, point.denominator


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("completion_rate", (0.5, 2, 4)),
        ("autonomous_completion_rate", (0.25, 1, 4)),
        ("finish_rate", (0.5, 2, 4)),
        ("escalation_rate", (0.25, 1, 4)),
        ("loop_rate", (0.25, 1, 4)),
        ("cycle_rate", (0.25, 1, 4)),
        ("loop_stop_rate", (0.0, 0, 4)),
        ("retry_storm_rate", (0.25, 1, 4)),
        ("runs_denied_rate", (0.5, 2, 4)),
        ("tool_error_rate", (0.25, 1, 4)),
        ("tool_success_rate", (0.75, 3, 4)),
        ("policy_deny_rate", (2 / 6, 2, 6)),
        ("retry_rate", (0.25, 1, 4)),
        ("model_error_rate", (0.2, 1, 5)),
        ("cache_hit_ratio", (0.5, 5, 10)),
        ("tokens", (75.0, 75, 3)),
        ("input_tokens", (60.0, 60, 3)),
        ("output_tokens", (15.0, 15, 3)),
        ("cost", (2.0, 2.0, 2)),
        ("tool_calls", (4.0, 4, 4)),
        ("model_calls", (5.0, 5, 4)),
        ("runs", (4.0, 4, None)),
        ("runs_active", (1.0, 1, None)),
        ("tokens_per_run_p50", (30.0, None, 3)),
        ("steps_per_run_p50", (0.0, None, 4)),
        ("cost_per_run_p50", (1.0, None, 2)),
        ("tool_ms_p50", (150.0, None, 4)),
    ],
)
def test_each_metric_is_what_its_definition_says(store: Store, name: str, expected: tuple[float, ...]) -> None:
    assert value(store, name) == pytest.approx(expected)


@pytest.mark.parametrize("rank", ["50", "95", "99", "99.9", "0", "100"])
def test_any_quantile_is_numpys(store: Store, rank: str) -> None:
    [point] = ask(store, f"run_seconds_p{rank}")
    assert point.value == pytest.approx(np.percentile(SECONDS, float(rank)))


def test_every_metric_of_the_catalogue_can_be_asked_for_together(store: Store) -> None:
    names = [metric.name for metric in catalogue()]
    points = ask(store, *names)
    assert list(dict.fromkeys(point.metric for point in points)) == names
    assert all(set(metric.as_json()) == {"name", "unit", "kind", "meaning", "definition"} for metric in catalogue())


def test_where_nothing_ended_there_is_no_value_rather_than_0(store: Store) -> None:
    names = [metric.name for metric in catalogue() if metric.kind not in {"gauge", "share"}]
    for point in ask(store, *names, filters=RunFilter(agent="nobody")):
        assert (point.metric, point.value, point.low, point.high) == (point.metric, None, None, None)
    assert ask(store, "stop_reason_share", filters=RunFilter(agent="nobody")) == []


def test_ratios_come_with_a_wilson_interval(store: Store) -> None:
    [point] = ask(store, "completion_rate")
    assert point.low == pytest.approx(0.1500, abs=1e-4)
    assert point.high == pytest.approx(0.8500, abs=1e-4)


def test_groups_are_told_apart(store: Store) -> None:
    points = ask(store, "completion_rate", "run_seconds_p50", by=["agent"])
    assert [(point.metric, point.group, point.value) for point in points] == [
        ("completion_rate", {"agent": "a"}, 1.0),
        ("completion_rate", {"agent": "b"}, 0.0),
        ("run_seconds_p50", {"agent": "a"}, 15.0),
        ("run_seconds_p50", {"agent": "b"}, 60.0),
    ]


def test_stop_reasons_share_out_all_ended_runs(store: Store) -> None:
    points = ask(store, "stop_reason_share")
    assert [(point.group["stop_code"], point.group["stop_subject"], point.value) for point in points] == [
        ("finish", "", 0.5),
        ("max_steps", "", 0.25),
        ("policy_deny", "mail", 0.25),
    ]
    assert points[0].as_json()["group"] == {"stop_code": "finish", "stop_subject": None}


def test_by_tool_the_calls_themselves_are_counted(store: Store) -> None:
    points = ask(store, "tool_error_rate", "policy_deny_rate", "tool_calls", "runs", "tool_ms_p50", by=["tool"])
    found = {(point.metric, point.group["tool"]): point.value for point in points}
    assert found == {
        ("tool_error_rate", "mail"): 0.0,
        ("tool_error_rate", "search"): pytest.approx(1 / 3),
        ("policy_deny_rate", "mail"): pytest.approx(2 / 3),
        ("policy_deny_rate", "search"): 0.0,
        ("tool_calls", "mail"): 1.0,
        ("tool_calls", "search"): 3.0,
        ("runs", "mail"): 2.0,
        ("runs", "search"): 2.0,
        ("tool_ms_p50", "mail"): 50.0,
        ("tool_ms_p50", "search"): 200.0,
    }


def test_a_window_is_over_the_end_of_runs(store: Store) -> None:
    assert value(store, "runs", since=NOON + HOUR, until=NOON + 3 * HOUR)[0] == 2
    assert value(store, "runs", since=NOON + timedelta(seconds=1))[0] == 3
    assert value(store, "runs", filters=RunFilter(until=NOON + HOUR))[0] == 1


def test_time_buckets_are_aligned_and_empty_ones_say_so(store: Store) -> None:
    points = ask(store, "runs", step=7200, since=NOON, until=NOON + 6 * HOUR)
    assert [(point.start, point.end, point.value) for point in points] == [
        (NOON, NOON + 2 * HOUR, 2.0),
        (NOON + 2 * HOUR, NOON + 4 * HOUR, 2.0),
        (NOON + 4 * HOUR, NOON + 6 * HOUR, None),
    ]
    assert points[0].as_json()["start"] == "2026-03-04T12:00:00.000000Z"


def test_runs_whose_calls_nobody_recorded_are_left_out_of_what_is_about_calls(store: Store) -> None:
    unknown = dict.fromkeys(
        (
            "tool_calls",
            "tool_errors",
            "tool_requests",
            "policy_denials",
            "loops",
            "cycle_length",
            "retries",
            "retry_storm",
        )
    )
    own = {"tenant": "import", "completed": True, **unknown, "steps": 9}
    rest = {"tenant": "import", "tool_calls": 4, "tool_requests": 4, "loops": 1, "ended_at": NOON, "started_at": NOON}
    store.insert("runs", rows("runs", {**ended(0), **own, "run_id": "i0"}, run("i1", **rest)), "imports")
    wanted = RunFilter(tenant="import")
    for name in ("loop_rate", "cycle_rate", "runs_denied_rate", "retry_storm_rate"):
        assert value(store, name, filters=wanted)[2] == 1, name
    assert value(store, "completion_rate", filters=wanted)[2] == 2
    assert value(store, "tool_calls_per_run_p50", filters=wanted) == (4.0, None, 1)
    assert value(store, "tool_error_rate", filters=wanted) == (0.0, 0, 4)
    assert value(store, "tool_calls", filters=wanted) == (4.0, 4, 1)
    store.execute("ALTER TABLE runs DELETE WHERE tenant = 'import' SETTINGS mutations_sync = 1")


def test_throughput_is_runs_a_minute(store: Store) -> None:
    [point] = ask(store, "throughput", since=NOON, until=NOON + 4 * HOUR)
    assert point.value == pytest.approx(4 / 240)
    assert point.denominator == 240


def test_lone_calls_count_only_when_asked_for(store: Store) -> None:
    assert value(store, "tokens_per_run_p50", filters=RunFilter(type="call"))[2] == 0
    assert value(store, "runs", filters=RunFilter(type="call"))[0] == 1


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"names": ["completion_rat"]}, "did you mean 'completion_rate'"),
        ({"names": ["run_seconds_p101"]}, "there is no metric 'run_seconds_p101'"),
        ({"names": ["runs"], "by": ["agnt"]}, "did you mean 'agent'"),
        ({"names": ["loop_rate"], "by": ["tool"]}, "cannot be grouped by tool"),
        ({"names": ["tool_calls"], "by": ["tool", "user_id"]}, "cannot be grouped by 'user_id'"),
        ({"names": ["runs"], "step": 0.1}, "the shortest is 1 s"),
        ({"names": ["runs"], "step": 1, "since": NOON - timedelta(days=9), "until": NOON}, "more than 10,000 buckets"),
    ],
)
def test_what_cannot_be_answered_names_what_can(store: Store, query: dict[str, Any], message: str) -> None:
    with pytest.raises(MetricError, match=message):
        evaluate(store, MetricQuery(**query), now=NOON)


def test_the_tools_table_is_over_the_calls_made(store: Store) -> None:
    search, mail = tools(store, RunFilter())
    assert {name: search[name] for name in ("tool", "calls", "errors", "denials", "p50_ms", "runs")} == {
        "tool": "search",
        "calls": 3,
        "errors": 1,
        "denials": 0,
        "p50_ms": 200.0,
        "runs": 2,
    }
    assert search["p95_ms"] == pytest.approx(290.0)
    assert (mail["tool"], mail["calls"], mail["denials"], mail["error_rate"], mail["runs"]) == ("mail", 1, 2, 0.0, 2)
    assert tools(store, RunFilter(tool="mail"))[0]["tool"] == "mail"
    assert tools(store, RunFilter(agent="nobody")) == []
