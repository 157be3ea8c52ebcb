"""Sampling by tail rules: what is kept, how it is weighed, and that what goes is accounted for exactly once."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from sqlalchemy import Engine
from tests.support import many_runs
from tests.support.rows import rows as table_rows
from tests.support.small_traces import EPOCH, Row, put, span, traces_of

from spanhouse_analysis import frames
from spanhouse_analysis.facts import Facts
from spanhouse_analysis.job import FactsJob
from spanhouse_analysis.metrics import MetricQuery, Point, catalogue, evaluate
from spanhouse_analysis.sampling import Sampler, Sampling, decisions, facts
from spanhouse_analysis.sampling.deletion import is_idle
from spanhouse_analysis.sampling.rules import in_sample, keeps
from spanhouse_storage import Store, StoreUnavailableError
from spanhouse_storage.reads import LedgerFilter, ledger_gaps, ledger_totals
from spanhouse_storage.state import open_state

DELAY = timedelta(seconds=30)
"""As long as the server's default."""


class Clock:
    """A clock that goes on by hand, from now: the engine drops decisions that are months old."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


class Site:
    """A store, its jobs, and a process that can be killed and started again."""

    def __init__(self, store: Store, state: Engine, rule: Sampling | None) -> None:
        self.store, self.state, self.rule, self.clock = store, state, rule, Clock()
        self.start()

    def start(self, store: Store | None = None) -> None:
        used = store or self.store
        sampler = Sampler(used, self.state, lambda _tenant: self.rule, delay=DELAY)
        self.job = FactsJob(used, self.state, clock=self.clock, sampler=sampler)
        self.job.recover()

    def take(self, *spans: Row) -> None:
        """Store spans as the collector does, and their line of the ledger."""
        received = self.clock.now
        given = [{**row, "received_at": received} for row in spans]
        put(self.store, self.job, *given)
        minute = int(received.timestamp()) // 60
        line = {
            "first_received": received,
            "last_received": received,
            "token": f"batch-{spans[0]['trace_id']}-{spans[0]['span_id']}-{received}",
            "tenants": ["default"],
            "minutes": [minute],
            "signals": ["traces"],
            "sources": [""],
            "reasons": [""],
            "received": [len(spans)],
            "stored": [len(spans)],
            **{key: [0] for key in ("rejected", "sampled_out", "late", "duplicated")},
        }
        self.store.insert("ledger", table_rows("ledger", line), str(line["token"]))

    def settle(self, seconds: float = 2) -> None:
        self.clock.now += timedelta(seconds=seconds)
        self.job.tick()

    def spans(self) -> int:
        """Return how many spans there are once the engine has done what it was told."""
        deadline = time.monotonic() + 30
        while not is_idle(self.store):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return int(self.store.query("SELECT count() AS c FROM spans FINAL")["c"][0].as_py())

    def runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.store.query("SELECT * FROM runs FINAL ORDER BY trace_id").to_pylist()
        return found

    def totals(self) -> dict[str, Any]:
        """Return the ledger's sums, which add up."""
        totals = ledger_totals(self.store, LedgerFilter())
        assert (
            totals["received"] == totals["stored"] + totals["rejected"] + totals["sampled_out"] + totals["duplicated"]
        )
        assert not ledger_gaps(self.store, LedgerFilter(), limit=10)
        return totals


@pytest.fixture
def site(store: Store, tmp_path: Path) -> Iterator[Site]:
    for table in ("ledger", "sampled_traces", "scores"):
        store.execute(f"TRUNCATE TABLE {table}")
    state = open_state(tmp_path / "state.db")
    yield Site(store, state, Sampling(rate=0.0))
    state.dispose()


def agent(trace: str, **columns: Any) -> list[Row]:
    """Return a run of three spans: an agent, a model call that cost 0.5 usd, and a tool call."""
    root = span("a" + trace, "agent", trace_id=trace, seconds=3, stop_reason="finish", agent="helper", **columns)
    model = span(
        "m" + trace,
        "llm",
        "a" + trace,
        trace_id=trace,
        cost_usd=0.5,
        input_tokens=10,
        output_tokens=2,
        finish_reasons=["stop"],
    )
    tool = span("t" + trace, "tool", "a" + trace, trace_id=trace, at=1, tool_name="search")
    return [root, model, tool]


def value(store: Store, name: str) -> float | None:
    [point] = evaluate(store, MetricQuery([name]))
    return point.value


def test_nothing_is_sampled_where_the_policy_says_nothing(site: Site) -> None:
    site.rule = None
    site.take(*agent("t1"))
    site.settle()
    site.settle(120)
    assert [run["weight"] for run in site.runs()] == [1.0]
    assert site.spans() == 3
    assert not site.store.query("SELECT 1 FROM sampled_traces").num_rows


def test_a_run_that_lives_is_seen_and_one_sampled_out_leaves_its_spending_alone(site: Site) -> None:
    root, model, tool = agent("t1")
    site.take(model, tool)
    site.settle(10)
    assert [run["status"] for run in site.runs()] == ["running"]
    site.take(root)
    site.settle()
    assert site.runs() == []
    assert site.spans() == 3
    assert value(site.store, "spend") == 0.5
    assert value(site.store, "tokens_spent") == 12
    assert value(site.store, "runs") is None
    site.settle(60)
    assert site.spans() == 0
    assert value(site.store, "spend") == 0.5
    totals = site.totals()
    assert (totals["received"], totals["stored"], totals["sampled_out"]) == (3, 0, 3)


@pytest.mark.parametrize(
    ("rule", "columns"),
    [
        ({}, {"stop_reason": "max_steps"}),
        ({}, {"escalated": True}),
        ({}, {"outcome": "failure"}),
        ({"slower_than": 2.0}, {}),
        ({"costlier_than": 0.4}, {}),
        ({}, {"attributes": {"spanhouse.sampling.keep": "true"}}),
    ],
    ids=str,
)
def test_a_run_that_a_rule_keeps_stands_for_itself(site: Site, rule: dict[str, Any], columns: dict[str, Any]) -> None:
    site.rule = Sampling(rate=0.0, **rule)
    root, *rest = agent("t1")
    site.take({**root, **columns}, *rest)
    site.settle()
    site.settle(120)
    assert [(run["weight"], run["status"]) for run in site.runs()] == [(1.0, "ended")]
    assert site.spans() == 3
    assert site.totals()["sampled_out"] == 0


def test_errors_and_denials_are_kept(site: Site) -> None:
    root, model, tool = agent("t1")
    site.take(root, model, {**tool, "status": "error"})
    root, model, tool = agent("t2")
    site.take(root, model, {**tool, "decision": "deny"})
    site.settle()
    site.settle(120)
    assert [run["trace_id"] for run in site.runs()] == ["t1", "t2"]


def test_a_low_score_that_is_there_by_then_keeps_its_run(site: Site) -> None:
    site.rule = Sampling(rate=0.0, scored_below={"correctness": 0.5})
    for trace, score in (("t1", 0.2), ("t2", 0.9)):
        row = {"tenant": "default", "score_id": trace, "name": "correctness", "value": score, "trace_id": trace}
        site.store.insert("scores", table_rows("scores", row), trace)
        site.take(*agent(trace))
    site.settle()
    assert [run["trace_id"] for run in site.runs()] == ["t1"]


def test_a_late_span_goes_too_and_its_spending_is_counted(site: Site) -> None:
    site.take(*agent("t1"))
    site.settle()
    site.settle(60)
    late = span("late", "llm", "at1", trace_id="t1", at=2, cost_usd=0.25, finish_reasons=["stop"])
    site.take(late)
    site.settle(10)
    assert site.runs() == []
    site.settle(60)
    assert site.spans() == 0
    assert value(site.store, "spend") == 0.75
    totals = site.totals()
    assert (totals["stored"], totals["sampled_out"]) == (0, 4)


def test_a_record_that_is_sent_again_is_not_moved_again(site: Site) -> None:
    spans = agent("t1")
    site.take(*spans)
    site.settle()
    site.settle(60)
    put(site.store, site.job, *({**row, "received_at": site.clock.now} for row in spans))
    site.settle(10)
    site.settle(60)
    assert site.spans() == 0
    totals = site.totals()
    assert (totals["stored"], totals["sampled_out"]) == (0, 3)
    assert value(site.store, "spend") == 0.5


def test_a_late_failure_before_the_deletion_keeps_the_whole_run(site: Site) -> None:
    site.take(*agent("t1"))
    site.settle()
    assert site.runs() == []
    site.take(span("late", "tool", "at1", trace_id="t1", at=2, status="error", tool_name="mail"))
    site.settle(10)
    site.settle(120)
    [run] = site.runs()
    assert (run["weight"], run["spans_stored"], run["stop_code"]) == (1.0, 4, "finish")
    assert site.spans() == 4
    assert site.totals()["sampled_out"] == 0
    assert value(site.store, "spend") == 0.5


def test_a_late_failure_after_the_deletion_is_kept_as_it_is_and_said_to_be_a_part(site: Site) -> None:
    site.take(*agent("t1"))
    site.settle()
    site.settle(60)
    site.take(span("late", "tool", "at1", trace_id="t1", at=2, status="error", tool_name="mail"))
    site.settle(10)
    site.settle(120)
    [run] = site.runs()
    assert (run["status"], run["stop_code"], run["weight"]) == ("ended", "unknown", 1.0)
    assert (run["spans_stored"], run["spans_expected"]) == (1, 4)
    assert site.spans() == 1
    assert value(site.store, "spend") == 0.5
    totals = site.totals()
    assert (totals["stored"], totals["sampled_out"]) == (1, 3)


def test_what_was_decided_stands_when_the_policy_changes(site: Site) -> None:
    site.rule = None
    site.take(*agent("t1"))
    site.settle()
    site.rule = Sampling(rate=0.0)
    site.job.touch(traces_of([{**row, "received_at": site.clock.now} for row in agent("t1")]))
    site.settle(10)
    assert [run["weight"] for run in site.runs()] == [1.0]


def test_audit_events_are_never_sampled_away(site: Site) -> None:
    event = {"tenant": "default", "stream": "r1", "seq": 1, "name": "run.start", "trace_id": "t1", "run_id": "r1"}
    site.store.insert("audit_events", table_rows("audit_events", event), "event")
    site.take(*agent("t1"))
    site.settle()
    site.settle(60)
    assert site.spans() == 0
    assert site.store.query("SELECT 1 FROM audit_events").num_rows == 1


class Dying:
    """The store, until its n-th change: there the process is killed, before the change or after it."""

    def __init__(self, store: Store, at: int, *, after: bool) -> None:
        self._store, self._left, self._after = store, at, after
        self.query, self.info = store.query, store.info

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        self._change(lambda: self._store.insert(table, rows, token))

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        self._change(lambda: self._store.execute(sql, parameters))

    def _change(self, change: Any) -> None:
        self._left -= 1
        if self._left == 0 and not self._after:
            msg = "killed"
            raise StoreUnavailableError(msg)
        change()
        if self._left == 0:
            msg = "killed"
            raise StoreUnavailableError(msg)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6, 8])
def test_killed_anywhere_it_ends_the_same(site: Site, at: int, *, after: bool) -> None:
    """The changes are: steps, runs, decisions; ledger, decisions, three deletions; and those of a later pass."""
    site.rule = Sampling(rate=0.5)
    traces = [f"t{number}" for number in range(20)]
    for trace in traces:
        site.take(*agent(trace))
    dying: Any = Dying(site.store, at, after=after)
    site.start(dying)
    try:
        site.settle()
        site.settle(60)
        site.settle(60)
    except StoreUnavailableError:
        site.clock.now += timedelta(seconds=5)
        site.start()
    site.settle(10)
    site.settle(60)
    site.settle(60)
    kept = sorted(trace for trace in traces if in_sample(trace, 0.5))
    assert 0 < len(kept) < 20
    assert sorted(run["trace_id"] for run in site.runs()) == kept
    assert {run["weight"] for run in site.runs()} == {2.0}
    assert site.spans() == 3 * len(kept)
    totals = site.totals()
    assert (totals["stored"], totals["sampled_out"]) == (3 * len(kept), 60 - 3 * len(kept))
    assert value(site.store, "spend") == 10.0
    assert value(site.store, "runs") == 2.0 * len(kept)


def test_a_larger_sample_holds_a_smaller_one_and_each_has_its_rate() -> None:
    ids = [f"{number:032x}" for number in range(20_000)]
    small, large = ({each for each in ids if in_sample(each, rate)} for rate in (0.1, 0.3))
    assert small < large
    assert math.isclose(len(small), 2_000, rel_tol=0.1)
    assert all(in_sample(each, 1.0) for each in ids[:100])
    assert not any(in_sample(each, 0.0) for each in ids[:100])


NAMES = [metric.name for metric in catalogue() if metric.kind != "gauge"]


def sampled(runs: pl.DataFrame, steps: pl.DataFrame, rule: Sampling) -> Facts:
    """Return what the decision leaves of runs, each in a trace of its own."""
    kept = dict(zip(runs["run_id"], runs.select(keeps(rule)).to_series(), strict=True))
    ran = {
        (tenant, trace): [decisions.Ran(run_id, True, started, "", kept[run_id])]
        for tenant, trace, run_id, started in runs.select("tenant", "trace_id", "run_id", "started_at").iter_rows()
    }
    decided = decisions.decide(ran, {}, {}, set(), lambda _tenant: rule)
    return facts.decided(Facts(runs, steps, pl.DataFrame()), decided, {})


def stored_points(store: Store, found: Facts, token: str) -> dict[Any, Point]:
    for table in ("runs", "steps"):
        store.execute(f"TRUNCATE TABLE {table}")
        store.insert(table, frames.to_table(getattr(found, table), table), f"{token}-{table}")
    points = evaluate(store, MetricQuery(NAMES, exact=True), now=EPOCH + timedelta(days=9))
    return {(point.metric, *point.group.items()): point for point in points}


@pytest.mark.parametrize("seed", [1, 2])
def test_metrics_of_a_sample_are_within_sampling_error_of_the_whole(store: Store, seed: int) -> None:
    runs = many_runs.runs(3_000, EPOCH, 3, seed)
    steps = many_runs.calls(runs, seed)
    whole = stored_points(store, Facts(runs, steps, pl.DataFrame()), f"whole-{seed}")
    rule = Sampling(rate=0.4, errors=False, not_finished=False)
    part = sampled(runs, steps, rule)
    assert 0.35 * runs.height < part.runs.height < 0.75 * runs.height
    estimated = stored_points(store, part, f"part-{seed}")
    misses = []
    for key, true in whole.items():
        mine = estimated[key]
        if key[0] in {"spend", "tokens_spent", "unpriced_calls"}:
            assert mine.value is not None
            assert true.value is not None
            assert math.isclose(mine.value, true.value, rel_tol=1e-9)
            assert not mine.sampled
            continue
        assert mine.sampled
        if true.value is None or mine.value is None or mine.low is None or mine.high is None:
            continue
        # The whole is within a little more than the interval: some forty figures are looked at.
        width = 1.6 * max(mine.high - mine.value, mine.value - mine.low) + 0.02 * abs(true.value)
        if abs(mine.value - true.value) > width:
            misses.append((key, true.value, mine.value, mine.low, mine.high))
    assert len(misses) <= 1, misses
    runs_of = estimated["runs",]
    assert runs_of.low is not None
    assert runs_of.high is not None


def test_a_sample_of_all_is_exact(store: Store) -> None:
    runs = many_runs.runs(1_000, EPOCH, 2, 5)
    steps = many_runs.calls(runs, 5)
    whole = stored_points(store, Facts(runs, steps, pl.DataFrame()), "all")
    same = stored_points(store, sampled(runs, steps, Sampling(rate=1.0)), "same")
    assert whole == same


def test_weights_repeat_values_in_quantiles(store: Store) -> None:
    runs = many_runs.runs(300, EPOCH, 1, 6).with_columns(weight=pl.lit(3.0), type=pl.lit("agent"))
    nothing = frames.STEPS.to_frame()
    points = stored_points(store, Facts(runs, nothing, pl.DataFrame()), "weighted")
    repeated = np.quantile(np.repeat(runs["run_seconds"].to_numpy(), 3), 0.95)
    assert points["run_seconds_p95",].value == pytest.approx(repeated, rel=1e-12)
    assert points["runs",].value == 900
