"""The demonstration: every scenario ends as it says, recorded whole, with exactly one stop reason."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

import pytest
from tests.support.agents import Flags, named
from tests.support.otlp_sink import Answer, OtlpSink, SinkLog, SinkSpan

from spanhouse.control import Flag
from spanhouse.errors import SpanhouseError
from spanhouse.stop_reasons import StopReason
from spanhouse_runtime.control import Control
from spanhouse_runtime.demo import SCENARIOS, Scenario, play
from spanhouse_runtime.result import RunResult


class Played:
    """One whole demonstration and what the far end took of it."""

    def __init__(self, sink: OtlpSink) -> None:
        view = Flags()
        self.told: list[tuple[Scenario, RunResult]] = []
        self.results = play(
            sink.url,
            pace=0.0,
            stop_run=lambda run_id: view.flags.append(Flag("f-1", "stop", "run", run_id, by="maria", reason="cost")),
            control=Control(view),
            on_progress=lambda scenario, result: self.told.append((scenario, result)),
        )
        self.spans: defaultdict[str, list[SinkSpan]] = defaultdict(list)
        for span in sink.spans:
            self.spans[span.attributes["spanhouse.run_id"]].append(span)
        self.events: defaultdict[str, list[SinkLog]] = defaultdict(list)
        for event in sink.audit:
            self.events[event.attributes["spanhouse.run_id"]].append(event)

    def of(self, name: str) -> tuple[RunResult, list[SinkSpan], list[SinkLog]]:
        """Return the result, spans and audit events of a scenario."""
        result = next(result for scenario, result in self.told if scenario.name == name)
        return result, self.spans[result.run_id], self.events[result.run_id]


@pytest.fixture(scope="module")
def played() -> Any:
    with OtlpSink() as sink:
        return Played(sink)


def test_every_scenario_is_played_and_told_in_order(played: Played) -> None:
    assert [scenario for scenario, _ in played.told] == list(SCENARIOS)
    assert [result for _, result in played.told] == played.results
    assert len({result.run_id for result in played.results}) == len(SCENARIOS)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_scenario_ends_as_it_says_with_one_stop_reason_everywhere(played: Played, scenario: Scenario) -> None:
    result, spans, events = played.of(scenario.name)
    roots = [span for span in spans if "spanhouse.stop_reason" in span.attributes]
    assert str(result.stop_reason) == scenario.expected
    assert StopReason.parse(scenario.expected) == result.stop_reason
    assert [root.attributes["spanhouse.stop_reason"] for root in roots] == [scenario.expected]
    assert [event["stop_reason"] for event in named(events, "run.end")] == [scenario.expected]
    assert roots[0].attributes["spanhouse.request_id"] == result.request_id == f"req-demo-{scenario.name}"
    assert (roots[0].attributes["tenant.id"], roots[0].attributes["user.id"]) == (scenario.tenant, scenario.user_id)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_scenarios_record_is_whole(played: Played, scenario: Scenario) -> None:
    result, spans, events = played.of(scenario.name)
    root = next(span for span in spans if "spanhouse.stop_reason" in span.attributes)
    assert root.attributes["spanhouse.spans_expected"] == len(spans)
    assert [event.attributes["spanhouse.audit.seq"] for event in events] == list(range(1, len(events) + 1))
    assert all(event.attributes["spanhouse.audit.version"] >= 1 for event in events), "an event did not fit its model"
    counts = Counter(span.attributes["gen_ai.operation.name"] for span in spans)
    assert counts["chat"] == len(named(events, "model.call")) == result.steps
    assert counts["execute_tool"] == len(named(events, "tool.call"))
    hashes = {span.attributes["spanhouse.tool.args_hash"] for span in spans if "execute_tool" in span.name}
    assert {event["args_hash"] for event in named(events, "tool.call")} == hashes
    budget = json.loads(root.attributes["spanhouse.budget"])
    assert {"max_steps", "max_tool_calls", "max_seconds"} <= set(budget)
    assert budget["max_steps"]["used"] == result.steps
    assert root.attributes["spanhouse.output"] == result.output
    states = [event["after"] for event in named(events, "state")]
    assert states[-1] == root.attributes["spanhouse.state"]


def test_the_money_agent_searches_several_times_and_is_warned_first(played: Played) -> None:
    result, spans, events = played.of("max-usd")
    assert sum(span.name == "execute_tool web_search" for span in spans) >= 3
    limit = result.budget["max_usd"]
    assert 0.8 * limit["limit"] <= limit["used"] <= limit["limit"]
    assert len(named(events, "budget.warn")) == 1
    assert [event["budget"] for event in named(events, "budget.stop")] == ["max_usd"]
    costs = sum(span.attributes.get("spanhouse.cost_usd", 0) for span in spans)
    assert costs == pytest.approx(limit["used"])


def test_the_denied_deletion_is_a_span_that_was_never_run(played: Played) -> None:
    _, spans, events = played.of("denied")
    (span,) = [span for span in spans if span.name == "execute_tool delete_records"]
    assert span.attributes["spanhouse.policy.decision"] == "deny"
    assert named(events, "policy.decision")[-1]["rule"] == "no deletion in production"


def test_the_looping_run_shows_three_equal_calls_a_warning_and_a_stop(played: Played) -> None:
    _, spans, events = played.of("loop")
    fetched = [span for span in spans if span.name == "execute_tool fetch_page"]
    assert len(fetched) == 3
    assert len({span.attributes["spanhouse.tool.args_hash"] for span in fetched}) == 1
    assert [event["action"] for event in named(events, "loop")] == ["warn", "stop"]


def test_the_repeated_charge_is_replayed(played: Played) -> None:
    _, spans, _ = played.of("repeat-charge")
    charges = sorted((span for span in spans if span.name == "execute_tool charge_card"), key=lambda span: span.start)
    assert [span.attributes.get("spanhouse.tool.replayed") for span in charges] == [None, True]


def test_the_stopped_run_says_who_and_why(played: Played) -> None:
    _, _, events = played.of("operator-stop")
    assert [(event["by"], event["reason"]) for event in named(events, "kill")] == [("maria", "cost")]


def test_outcomes_tell_right_answers_from_wrong_ones(played: Played) -> None:
    outcomes = {scenario.name: result.outcome.value for scenario, result in played.told}
    assert {name for name, outcome in outcomes.items() if outcome == "success"} == {
        "refund",
        "order-status",
        "tool-error",
        "repeat-charge",
    }
    assert [name for name, outcome in outcomes.items() if outcome == "failure"] == ["wrong-answer"]


def test_without_an_operator_the_run_that_needs_one_is_left_out_and_rounds_have_their_own_requests() -> None:
    with OtlpSink() as sink:
        results = play(sink.url, pace=0.0, rounds=2)
    assert len(results) == 2 * (len(SCENARIOS) - 1)
    assert {"req-demo-refund", "req-demo-refund-2"} <= {result.request_id for result in results}


def test_the_same_seed_plays_the_same_runs() -> None:
    with OtlpSink() as sink:
        first, again = (play(sink.url, pace=0.0, seed=3) for _ in range(2))
    assert [result.output for result in first] == [result.output for result in again]
    assert [result.usage for result in first] == [result.usage for result in again]


def test_a_server_that_does_not_take_the_records_is_an_error() -> None:
    with OtlpSink() as sink:
        sink.always(Answer(400))
        with pytest.raises(SpanhouseError, match="did not take all telemetry"):
            play(sink.url, pace=0.0)
