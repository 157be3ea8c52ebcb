"""Rules over a real store: figures and evidence out of facts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine
from tests.support.rows import rows, run

from spanhouse_alerts.check import DEFAULT_RULES, load
from spanhouse_alerts.engine import AlertEngine
from spanhouse_alerts.evaluate import questions
from spanhouse_alerts.evidence import StoredEvidence
from spanhouse_alerts.metric_samples import MetricSamples
from spanhouse_alerts.rules import RatioRule
from spanhouse_alerts.samples import Request
from spanhouse_storage import Store, migrate, open_store

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
    for table in ("runs", "steps"):
        opened.execute(f"TRUNCATE TABLE {table}")
    return opened


def ended(run_id: str, ago: timedelta, **columns: object) -> dict[str, object]:
    """Return a run of acme that ended some time before noon, after a minute."""
    end = NOON - ago
    return run(run_id, started_at=end - timedelta(minutes=1), ended_at=end, **{"completed": True, **columns})


def put(store: Store, *runs: dict[str, object]) -> None:
    """Store runs."""
    store.insert("runs", rows("runs", *runs), "-".join(str(each["run_id"]) for each in runs))


def test_spend_is_summed_by_tenant_within_the_window(store: Store) -> None:
    """A budget's figure is the cost of the runs that ended in its window, by tenant, filtered."""
    put(
        store,
        ended("a", HOUR, cost_usd=3.0, environment="live"),
        ended("b", HOUR, cost_usd=5.5, environment="live"),
        ended("c", HOUR, cost_usd=9.0, environment="test"),
        ended("d", 13 * HOUR, cost_usd=70.0, environment="live"),
        ended("e", HOUR, cost_usd=1.0, environment="live", tenant="globex"),
    )
    request = Request("cost", NOON - 12 * HOUR, NOON, ("tenant",), {"environment": ["live", "other"]})
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


def test_every_kind_of_default_rule_has_evidence(store: Store) -> None:
    """Each default rule finds the run that broke it and not the one that is fine."""
    bad = {"completed": False, "tool_errors": 1, "loops": 1, "policy_denials": 1, "cost_usd": 1.0}
    put(store, ended("bad", HOUR / 4, **bad), ended("fine", HOUR / 4))
    for rule in load(DEFAULT_RULES).rules:
        plain = rule.model_copy(update={"by": (), "per": ()})
        assert StoredEvidence(store).runs(plain, {}, NOON - HOUR, NOON) == ["bad"], rule.id


def test_overspent_budget_fires_from_stored_runs(store: Store, state: Engine, clock: Clock, tmp_path: Path) -> None:
    """From facts to the page: a tenant that spent 9 of 10 dollars warns, with its costliest runs in the notice."""
    put(store, ended("cheap", HOUR, cost_usd=1.0), ended("dear", HOUR, cost_usd=8.0))
    path = tmp_path / "rules.yaml"
    path.write_text(
        'version: 1\nreceivers: {ops: {apprise: "json://127.0.0.1:9"}}\nrules:\n'
        "  - {id: day, kind: budget, metric: cost, amount: 10, per: [tenant], window: {cumulative: day}}\n"
    )
    engine = AlertEngine.over(store, state, path, clock=clock)
    engine.tick(clock())
    shown = engine.snapshot()
    assert [(alert["severity"], alert["state"], alert["value"]) for alert in shown["alerts"]] == [
        ("warn", "firing", 9.0)
    ]
    assert [run["run_id"] for run in shown["notifications"][0]["runs"]] == ["dear", "cheap"]
