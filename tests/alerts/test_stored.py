"""Rules over a real store: figures and evidence out of facts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine
from tests.support.rows import rows, run
from tests.support.small_traces import Row, span
from tests.support.small_traces import put as put_spans

from spanhouse_alerts.check import DEFAULT_RULES, load
from spanhouse_alerts.engine import AlertEngine
from spanhouse_alerts.evaluate import questions
from spanhouse_alerts.evidence import StoredEvidence
from spanhouse_alerts.metric_samples import MetricSamples
from spanhouse_alerts.rules import RatioRule
from spanhouse_alerts.samples import Request
from spanhouse_analysis.job import FactsJob
from spanhouse_storage import Store, migrate, open_store
from spanhouse_storage.reads import run_by_id

if TYPE_CHECKING:
    from tests.alerts.conftest import Clock

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One embedded store for this file."""
    store = open_store(tmp_path_factory.mktemp("store") / "store")
    migrate(store)
    yield store
    store.close()


@pytest.fixture
def store(opened: Store) -> Store:
    """The store with no runs in it."""
    for table in ("spans", "runs", "steps"):
        opened.execute(f"TRUNCATE TABLE {table}")
    return opened


def ended(run_id: str, ago: timedelta, **columns: object) -> dict[str, object]:
    """Return a run of acme that ended some time before noon, after a minute."""
    end = NOON - ago
    return run(run_id, started_at=end - timedelta(minutes=1), ended_at=end, **{"completed": True, **columns})


def put(store: Store, *runs: dict[str, object]) -> None:
    """Store runs."""
    store.insert("runs", rows("runs", *runs), "-".join(str(each["run_id"]) for each in runs))


def spend(store: Store, run_id: str, ago: timedelta, usd: float, **columns: object) -> None:
    """Store a model call that ended some time before noon, of a run that is running as far as anyone knows."""
    own = {"tenant": "acme", "run_id": run_id, "seq": 1, "version": 1, "kind": "model", "run_type": "agent"}
    row = {**own, "run_started_at": NOON - 14 * HOUR, "ended_at": NOON - ago, "cost_usd": usd, **columns}
    store.insert("steps", rows("steps", row), f"step-{run_id}")


def test_spend_is_summed_by_tenant_within_the_window(store: Store) -> None:
    """A budget's figure is the cost of the calls that ended in its window, by tenant, filtered."""
    spend(store, "a", HOUR, 3.0, environment="live")
    spend(store, "b", HOUR, 5.5, environment="live")
    spend(store, "c", HOUR, 9.0, environment="test")
    spend(store, "d", 13 * HOUR, 70.0, environment="live")
    spend(store, "e", HOUR, 1.0, environment="live", tenant="globex")
    request = Request("spend", NOON - 12 * HOUR, NOON, ("tenant",), {"environment": ["live", "other"]})
    found = {sample.labels["tenant"]: sample.value for sample in MetricSamples(store).read(request)}
    assert found == {"acme": 8.5, "globex": 1.0}


def test_a_share_comes_with_its_counts(store: Store) -> None:
    """A ratio's figure has what was counted and out of how many, also without groups, and None without runs."""
    samples = MetricSamples(store)
    (empty,) = samples.read(Request("completion_rate", NOON - HOUR, NOON))
    assert (empty.value, empty.denominator) == (None, 0)
    put(store, *(ended(f"r{i}", HOUR / 2, completed=i < 3) for i in range(4)))
    (sample,) = samples.read(Request("completion_rate", NOON - HOUR, NOON))
    assert (sample.value, sample.numerator, sample.denominator) == (0.75, 3, 4)


def test_every_default_rule_can_be_asked(store: Store) -> None:
    """No default rule names a metric, dimension or filter the store cannot answer."""
    put(store, ended("a", HOUR / 4, cost_usd=1.0, tool_calls=1, tool_requests=1))
    rules = load(DEFAULT_RULES)
    for rule in rules.rules:
        for question in questions(rule, NOON, rules.defaults.query_offset):
            MetricSamples(store).read(question.request)


def test_evidence_is_the_most_telling_runs_of_the_group(store: Store) -> None:
    """Three runs of the alert's own group and window, worst first; healthy ones are none."""
    put(
        store,
        ended("one", HOUR / 4, tool_errors=1),
        ended("nine", HOUR / 4, tool_errors=9),
        ended("five", HOUR / 4, tool_errors=5),
        ended("two", HOUR / 4, tool_errors=2),
        ended("fine", HOUR / 4),
        ended("old", 2 * HOUR, tool_errors=50),
        ended("other", HOUR / 4, tool_errors=60, tenant="globex"),
    )
    rule = load(DEFAULT_RULES).rule("tool-errors")
    assert isinstance(rule, RatioRule)
    by_tenant = rule.model_copy(update={"by": ("tenant",)})
    found = StoredEvidence(store).runs(by_tenant, {"tenant": "acme"}, NOON - HOUR / 2, NOON)
    assert found == ["nine", "five", "two"]


def test_runs_of_other_groups_are_no_evidence(store: Store) -> None:
    """Where the agent is unknown, or runs cannot be chosen by the dimension, none is named rather than a wrong one."""
    put(store, ended("other", HOUR / 4, agent="desk", tool_errors=9))
    rule = load(DEFAULT_RULES).rule("tool-errors")
    assert isinstance(rule, RatioRule)
    for name, value in (("agent", ""), ("service_name", "web")):
        by = rule.model_copy(update={"by": (name,)})
        assert StoredEvidence(store).runs(by, {name: value}, NOON - HOUR, NOON) == []


def test_every_kind_of_default_rule_has_evidence(store: Store) -> None:
    """Each default rule finds the run that broke it and not the one that is fine."""
    bad = {"completed": False, "tool_errors": 1, "loops": 1, "policy_denials": 1}
    put(store, ended("bad", HOUR / 4, **bad), ended("fine", HOUR / 4))
    spend(store, "bad", HOUR / 4, 1.0)
    for rule in load(DEFAULT_RULES).rules:
        plain = rule.model_copy(update={"by": (), "per": ()})
        assert StoredEvidence(store).runs(plain, {}, NOON - HOUR, NOON) == ["bad"], rule.id


def test_overspent_budget_fires_from_stored_runs(store: Store, state: Engine, clock: Clock, tmp_path: Path) -> None:
    """From facts to the page: a tenant that spent 9 of 10 dollars warns, with its costliest runs in the notice."""
    spend(store, "cheap", HOUR, 1.0)
    spend(store, "dear", HOUR, 8.0)
    path = tmp_path / "rules.yaml"
    path.write_text(
        'version: 1\nreceivers: {ops: {apprise: "json://127.0.0.1:9"}}\nrules:\n'
        "  - {id: day, kind: budget, metric: spend, amount: 10, per: [tenant], window: {cumulative: day}}\n"
    )
    engine = AlertEngine.over(store, state, path, clock=clock)
    engine.tick(clock())
    shown = engine.snapshot()
    assert [(alert["severity"], alert["state"], alert["value"]) for alert in shown["alerts"]] == [
        ("warn", "firing", 9.0)
    ]
    assert [run["run_id"] for run in shown["notifications"][0]["runs"]] == ["dear", "cheap"]


def test_a_run_that_still_goes_on_warns_and_pages_once_each(
    store: Store, state: Engine, clock: Clock, tmp_path: Path
) -> None:
    """Money an agent spends in one long run is told of while it spends it, and not again when the run ends."""
    path = tmp_path / "rules.yaml"
    path.write_text(
        'version: 1\nreceivers: {ops: {apprise: "json://127.0.0.1:9"}}\nrules:\n'
        "  - {id: day, kind: budget, metric: cost, amount: 10, per: [tenant], window: {cumulative: day}}\n"
    )
    facts = FactsJob(store, state, clock=clock)
    engine = AlertEngine.over(store, state, path, clock=clock)
    began = clock()

    def sent(*spans: Row) -> list[str]:
        put_spans(store, facts, *spans)
        told = []
        for _ in range(2):
            clock.forward(seconds=5)
            facts.tick()
            told += [item.alert.severity for item in engine.tick(clock()).told]
        return told

    def own(**times: object) -> Row:
        return {**span("a", "agent", **columns), **times}

    def call(number: int, usd: float) -> Row:
        now = clock()
        return {**span(f"m{number}", "llm", "a", cost_usd=usd, **columns), "start": now, "end": now, "received_at": now}

    columns: dict[str, Any] = {"tenant": "acme", "trace_id": "night", "run_hint": "long", "input_tokens": 9}
    assert sent(own(is_final=False, start=began, end=began, received_at=began), call(0, 7.5)) == []
    assert sent(call(1, 1.0)) == ["warn"]
    assert sent(call(2, 0.5)) == []
    assert sent(call(3, 4.0)) == ["page"]
    assert sent(call(4, 9.0)) == []
    assert run_by_id(store, "long")["status"].to_pylist() == ["running"]
    notices = engine.snapshot()["notifications"]
    assert [(notice["severity"], [run["run_id"] for run in notice["runs"]]) for notice in notices] == [
        ("page", ["long"]),
        ("warn", ["long"]),
    ]
    end = clock()
    assert sent(own(start=began, end=end, received_at=end, cost_usd=22.0)) == []
    assert run_by_id(store, "long")["status"].to_pylist() == ["ended"]
    assert {alert["value"] for alert in engine.snapshot()["alerts"]} == {22.0}


def test_a_rule_counts_the_runs_of_its_filter_alone(store: Store) -> None:
    """In its figures and in the runs that stand for it; an age is counted from the end of the window."""
    put(store, ended("cheap", HOUR, completed=False, cost_usd=0.1), ended("dear", HOUR, completed=False, cost_usd=2.0))
    put(store, ended("old", 5 * HOUR, completed=False, cost_usd=2.0))
    request = Request("completion_rate", NOON - 6 * HOUR, NOON, filter="cost > 1 and started_at > 3h")
    [sample] = MetricSamples(store).read(request)
    assert (sample.value, sample.denominator) == (0.0, 1.0)
    rule = RatioRule.model_validate(
        {
            "id": "dear-runs",
            "kind": "ratio",
            "metric": "completion_rate",
            "window": {"rolling": "6h"},
            "filter": "cost > 1",
            "min_samples": 1,
            "compare": {"below": 0.9},
            "severity": "warn",
        }
    )
    assert [question.request.filter for question in questions(rule, NOON, timedelta(0))] == ["cost > 1"]
    assert sorted(StoredEvidence(store).runs(rule, {}, NOON - 6 * HOUR, NOON)) == ["dear", "old"]
