"""A failed call is made again only where that does no harm, after waits that can be cut short, and never for ever."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.agents import Flags, calls, named, recorded, says
from tests.support.otlp_sink import OtlpSink

from spanhouse.control import Flag
from spanhouse.errors import ConfigurationError, ErrorType
from spanhouse_runtime.agent import Agent
from spanhouse_runtime.control import Control
from spanhouse_runtime.guard import Rate
from spanhouse_runtime.guard.breaker import BreakerSettings
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.result import RunResult
from spanhouse_runtime.retries import Retries
from spanhouse_runtime.scripted import ScriptedModel
from spanhouse_runtime.tool_arguments import IdempotencyKey
from spanhouse_runtime.tool_failure import ToolFailure, retry_after
from spanhouse_runtime.tools import Tool, tool

AT_ONCE = Retries(attempts=3, first_wait=0)


class Flaky:
    """A service that is away for its first calls."""

    def __init__(self, failures: int, problem: Exception | None = None) -> None:
        self.left, self.made = failures, 0
        self.problem = problem or ConnectionError("no route")

    def fetch(self, page: int = 1) -> str:
        """Fetch."""
        self.made += 1
        if self.left:
            self.left -= 1
            raise self.problem
        return f"page {page}"


def run(made: Tool, *turns: Any, **settings: Any) -> RunResult:
    model = ScriptedModel([*(turns or [calls(made.name)]), says("done")])
    return Agent("clerk", model, [made], on_timeout="tell_model", **settings).run("Go")


def test_a_call_that_only_reads_is_made_again_each_attempt_with_its_own_span(sink: OtlpSink) -> None:
    flaky = Flaky(2)
    result = run(tool(flaky.fetch, action="read", retries=AT_ONCE))
    assert (flaky.made, result.tools["fetch"].ok, result.tools["fetch"].retried) == (3, 1, 2)
    spans, events = recorded(sink, result.run_id)
    attempts = [span for span in spans if span.name == "execute_tool fetch"]
    assert [(span.attributes["spanhouse.tool.attempt"], span.status) for span in attempts] == [(1, 2), (2, 2), (3, 0)]
    assert [(event["attempt"], event["error_type"]) for event in named(events, "retry")] == [
        (2, "unavailable"),
        (3, "unavailable"),
    ]
    assert [event["attempt"] for event in named(events, "tool.call")] == [1, 2, 3]


def test_attempts_are_bounded_and_every_one_counts_as_a_call() -> None:
    flaky = Flaky(9)
    result = run(tool(flaky.fetch, idempotent=True, retries=3))
    assert (flaky.made, result.tools["fetch"].failed) == (3, 1)
    flaky = Flaky(9)
    result = run(tool(flaky.fetch, idempotent=True, retries=AT_ONCE), limits=Limits(max_tool_calls=2))
    assert (flaky.made, str(result.stop_reason)) == (2, "max_tool_calls")


def test_what_may_have_had_its_effect_is_not_made_again() -> None:
    flaky = Flaky(1)
    assert run(tool(flaky.fetch, retries=AT_ONCE)).tools["fetch"].failed == 1
    assert flaky.made == 1


def test_a_tool_that_says_nothing_was_done_is_tried_again() -> None:
    flaky = Flaky(1, ToolFailure("busy", kind=ErrorType.UNAVAILABLE))
    assert run(tool(flaky.fetch, once=True, retries=AT_ONCE)).tools["fetch"].ok == 1
    assert flaky.made == 2


def test_failures_that_do_not_pass_are_not_tried_again() -> None:
    flaky = Flaky(1, PermissionError("no"))
    assert run(tool(flaky.fetch, action="read", retries=AT_ONCE)).tools["fetch"].failed == 1
    assert flaky.made == 1


def test_a_key_the_tool_passes_on_makes_it_repeatable_and_stays_the_same_over_attempts(sink: OtlpSink) -> None:
    keys: list[str] = []

    def charge(usd: int, key: IdempotencyKey) -> str:
        keys.append(key)
        if len(keys) == 1:
            raise ConnectionResetError(usd)
        return "charged"

    made = tool(charge, retries=AT_ONCE)
    assert list(made.definition.parameters["properties"]) == ["usd"]
    result = run(made, calls("charge", usd=5))
    assert (result.tools["charge"].ok, len(keys), len(set(keys))) == (1, 2, 1)
    spans, _ = recorded(sink, result.run_id)
    assert {s.attributes.get("spanhouse.idempotency_key") for s in spans if "charge" in s.name} == set(keys)


def test_an_attempt_that_may_have_had_its_effect_leaves_the_intent_whatever_the_last_one_says() -> None:
    problems: list[Exception] = [ConnectionResetError("sent"), ToolFailure("declined")]

    def charge(usd: int, key: IdempotencyKey) -> str:
        if problems:
            raise problems.pop(0)
        return f"charged {usd} {key}"

    model = ScriptedModel([calls("charge", usd=5), calls("charge", usd=5), says("help")])
    Agent("clerk", model, [tool(charge, once=True, retries=AT_ONCE)]).run("Go")
    assert "no recorded outcome" in model.requests[-1].messages[-1].content


def test_attempts_give_their_turn_back_however_they_end() -> None:
    for failures, ok in ((2, 1), (9, 0)):
        flaky = Flaky(failures)
        made = tool(flaky.fetch, action="read", retries=AT_ONCE)
        model = ScriptedModel([calls("fetch"), says("done")])
        agent = Agent("clerk", model, [made], rates={"fetch": Rate(at_once=1, queue_seconds=0)})
        result = agent.run("Go", tenant="acme")
        assert (str(result.stop_reason), result.tools["fetch"].ok) == ("finish", ok)
        assert agent.guard.rates.enter("fetch", "acme") == 0


def test_a_kill_ends_the_wait_for_the_next_attempt(sink: OtlpSink) -> None:
    flags, flaky = Flags(), Flaky(9, ToolFailure("later", kind=ErrorType.RATE_LIMIT, retry_after=600))

    def fetch() -> str:
        flags.flags.append(Flag("f", "stop", "all"))
        return flaky.fetch()

    made = tool(fetch, retries=Retries(seconds=3_600))
    result = run(made, control=Control(flags), limits=Limits(max_seconds=3_600))
    assert (str(result.stop_reason), flaky.made) == ("operator_kill", 1)


def test_the_breaker_hears_of_every_attempt_and_may_end_them() -> None:
    flaky = Flaky(9)
    made = tool(
        flaky.fetch, action="read", retries=Retries(attempts=9, first_wait=0), breaker=BreakerSettings(in_a_row=2)
    )
    assert (str(run(made).stop_reason), flaky.made) == ("tool_unhealthy:fetch", 2)


def test_what_cannot_be_waited_for_is_told_to_the_model_with_the_time_and_a_hint() -> None:
    flaky = Flaky(9, ToolFailure("closed", kind=ErrorType.RATE_LIMIT, retry_after=900, hint="ask for a smaller page"))
    model = ScriptedModel([calls("fetch"), says("later")])
    Agent("clerk", model, [tool(flaky.fetch, retries=3)]).run("Go")
    assert model.requests[-1].messages[-1].content == (
        '{"error": {"type": "rate_limit", "message": "ToolFailure: closed", '
        '"retry_after": 900.0, "hint": "ask for a smaller page"}}'
    )
    assert flaky.made == 1


@given(
    st.integers(1, 200),
    st.floats(0, 100),
    st.none() | st.floats(0, 1_000),
    st.floats(0, 1),
)
def test_waits_stay_within_their_bounds(attempt: int, spent: float, asked: float | None, draw: float) -> None:
    retries = Retries(attempts=100, seconds=60, first_wait=0.5, longest_wait=20)
    wait = retries.wait(attempt, spent=spent, asked=asked, draw=draw)
    if wait is None:
        assert attempt >= 100 or spent + (20 if asked is None else asked) > 60
    else:
        assert attempt < 100
        assert spent + wait <= 60
        assert wait == asked if asked is not None else wait <= min(20, 0.5 * 2.0 ** (attempt - 1))


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ({"retry_after": 5}, 5.0),
        ({"retry_after": "2.5"}, 2.5),
        ({"response": SimpleNamespace(headers={"retry-after": "7"})}, 7.0),
        ({"headers": {"Retry-After": "Thu, 01 Jan 2026 00:01:30 GMT"}}, 90.0),
        ({"headers": {"Retry-After": "Wed, 31 Dec 2025 00:00:00 GMT"}}, 0.0),
        ({"headers": {"Retry-After": "soon"}}, None),
        ({"retry_after": float("nan")}, None),
        ({"retry_after": True}, None),
        ({}, None),
    ],
    ids=str,
)
def test_what_a_failure_asks_to_wait_is_read_wherever_clients_put_it(said: dict[str, Any], seconds: float) -> None:
    problem = RuntimeError("busy")
    problem.__dict__.update(said)
    outer = ToolFailure("busy")
    outer.__cause__ = problem
    assert retry_after(outer, NOW) == retry_after(problem, NOW) == seconds


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"seconds": -1}, {"first_wait": float("inf")}], ids=str)
def test_retries_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Retries(**wrong)
