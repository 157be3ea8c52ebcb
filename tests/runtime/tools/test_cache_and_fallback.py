"""What only reads may be answered from a cache, and a tool that fails may stand back for another."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from tests.support.agents import calls, named, recorded, says
from tests.support.otlp_sink import OtlpSink

from spanhouse.errors import ConfigurationError, ErrorType
from spanhouse_runtime.agent import Agent
from spanhouse_runtime.guard.breaker import Breakers, BreakerSettings
from spanhouse_runtime.policy import Decision, Policy, Rule
from spanhouse_runtime.scripted import ScriptedModel
from spanhouse_runtime.tool_cache import ToolCache
from spanhouse_runtime.tool_failure import ToolFailure
from spanhouse_runtime.tools import Toolbox, tool


class Clock:
    """Time as the test has it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Rate:
    """Counts who asks."""

    def __init__(self) -> None:
        self.made = 0

    def rate(self, currency: str) -> str:
        """What a euro is."""
        self.made += 1
        return f"{currency} {self.made}"


def test_a_cached_answer_costs_nothing_and_says_how_old_it_is(sink: OtlpSink) -> None:
    source, clock = Rate(), Clock()
    cached = tool(source.rate, action="read", cache_seconds=60, cost_usd=0.01)
    model = ScriptedModel([calls("rate", currency="USD"), calls("rate", currency="USD"), says("done")])
    result = Agent("clerk", model, [cached], clock=clock).run("Go")
    assert (source.made, result.tools["rate"].ok, result.tools["rate"].replayed) == (1, 1, 1)
    spans, events = recorded(sink, result.run_id)
    charged = [span.attributes for span in spans if span.name == "execute_tool rate"]
    assert [span.get("spanhouse.cost_usd") for span in charged] == [0.01, None]
    assert [span.get("spanhouse.tool.replayed") for span in charged] == [None, True]
    (hit,) = named(events, "cache.hit")
    assert (hit["cache"], hit["tool"], hit["age_seconds"]) == ("tool", "rate", 0.0)


def test_a_cache_keeps_tenants_environments_and_arguments_apart_and_forgets_in_time() -> None:
    source, clock = Rate(), Clock()
    cached = tool(source.rate, action="read", cache_seconds=60)
    model = ScriptedModel([calls("rate", currency="USD"), says("done")] * 9)
    agent = Agent("clerk", model, [cached], clock=clock)

    def asked(**identity: Any) -> int:
        agent.run("Go", **identity)
        return source.made

    assert asked(tenant="acme", environment="prod") == 1
    assert asked(tenant="acme", environment="prod") == 1
    assert asked(tenant="globex", environment="prod") == 2
    assert asked(tenant="acme", environment="test") == 3
    clock.now = 59.9
    assert asked(tenant="acme", environment="prod") == 3
    clock.now = 60
    assert asked(tenant="acme", environment="prod") == 4


def test_a_failure_is_not_kept() -> None:
    cache = ToolCache(clock=Clock())
    made: list[int] = []

    def broken() -> None:
        made.append(1)
        raise ConnectionError

    model = ScriptedModel([calls("broken"), calls("broken"), says("done")])
    Agent("clerk", model, [tool(broken, action="read", cache_seconds=60)]).run("Go")
    assert len(made) == 2
    assert cache.get("", "", "broken", {}) is None


def test_a_full_cache_forgets_what_was_not_used_longest() -> None:
    cache = ToolCache(most=2, clock=Clock())
    for name in ("a", "b"):
        cache.put("t", "e", name, {}, name, 60)
    assert cache.get("t", "e", "a", {}) is not None
    cache.put("t", "e", "c", {}, "c", 60)
    assert [cache.get("t", "e", name, {}) is not None for name in "abc"] == [True, False, True]


def test_a_policy_is_asked_about_a_cached_call_too() -> None:
    source, policies = Rate(), [Policy(allow=("*",))]
    model = ScriptedModel([calls("rate", currency="USD"), says("done")] * 2)
    cached = tool(source.rate, action="read", cache_seconds=60)
    agent = Agent("clerk", model, [cached], policy=lambda: policies[-1], clock=Clock())
    agent.run("Go")
    policies.append(Policy())
    assert str(agent.run("Go").stop_reason) == "policy_deny:rate"


def exact(currency: str) -> str:
    """Ask the exchange."""
    raise ConnectionError(currency)


def rough(currency: str) -> str:
    """Yesterday's."""
    return f"{currency} as of yesterday"


def answers(model: ScriptedModel) -> list[str]:
    return [message.content for message in model.requests[-1].messages if message.role == "tool"]


def test_another_tool_answers_for_one_that_fails_and_the_model_need_not_know(sink: OtlpSink) -> None:
    model = ScriptedModel([calls("exact", currency="USD"), says("done")])
    agent = Agent("clerk", model, [tool(exact, fallback={ErrorType.UNAVAILABLE: tool(rough)})])
    result = agent.run("Go")
    assert answers(model) == ["USD as of yesterday"]
    assert (result.tools["exact"].failed, result.tools["rough"].ok) == (1, 1)
    assert [definition.name for definition in agent.setup.toolbox.definitions] == ["exact"]
    spans, events = recorded(sink, result.run_id)
    assert [s.name for s in spans if "execute_tool" in s.name] == ["execute_tool exact", "execute_tool rough"]
    (fallback,) = named(events, "fallback")
    assert (fallback["first_choice"], fallback["used"], fallback["reason"]) == ("exact", "rough", "unavailable")


def test_a_fallback_is_for_its_error_types_alone() -> None:
    model = ScriptedModel([calls("exact", currency="USD"), says("done")])
    Agent("clerk", model, [tool(exact, fallback={ErrorType.AUTH: "rough"}), rough]).run("Go")
    assert json.loads(answers(model)[0])["error"]["type"] == "unavailable"


def test_a_fallback_passes_the_guard_as_any_call() -> None:
    rules = (Rule(name="no", tool="rough", decision=Decision.DENY), Rule(name="ok", tool="*", decision=Decision.ALLOW))
    model = ScriptedModel([calls("exact", currency="USD"), says("done")])
    made = tool(exact, fallback={ErrorType.UNAVAILABLE: "rough"})
    result = Agent("clerk", model, [made, rough], policy=Policy(rules=rules)).run("Go")
    assert str(result.stop_reason) == "policy_deny:rough"


def test_a_fallback_may_have_one_of_its_own_and_a_timeout_with_one_ends_nothing() -> None:
    release = threading.Event()

    def slow(currency: str) -> None:
        """Hang."""
        release.wait(60)

    middle = tool(exact, fallback={ErrorType.UNAVAILABLE: "rough"})
    first = tool(slow, timeout_seconds=0.05, fallback={ErrorType.TIMEOUT: "exact"})
    model = ScriptedModel([calls("slow", currency="USD"), says("done")])
    result = Agent("clerk", model, [first, middle, rough]).run("Go")
    release.set()
    assert (str(result.stop_reason), answers(model)) == ("finish", ["USD as of yesterday"])


def test_a_fallback_the_arguments_do_not_fit_is_not_taken() -> None:
    def other(country: str) -> str:
        return country

    model = ScriptedModel([calls("exact", currency="USD"), says("done")])
    result = Agent("clerk", model, [tool(exact, fallback={ErrorType.UNAVAILABLE: tool(other)})]).run("Go")
    assert result.tools["exact"].failed == 1
    assert "other" not in result.tools


def test_what_may_have_been_done_is_not_done_again_by_another_tool() -> None:
    paid: list[str] = []

    def by_card(usd: int) -> None:
        raise problems.pop()

    def by_wire(usd: int) -> str:
        paid.append(f"wire {usd}")
        return "paid"

    taken = []
    for problem in (ConnectionResetError("sent?"), ToolFailure("declined", kind=ErrorType.UNAVAILABLE)):
        problems: list[Exception] = [problem]
        made = tool(by_card, once=True, fallback={ErrorType.UNAVAILABLE: tool(by_wire)})
        model = ScriptedModel([calls("by_card", usd=5), says("done")])
        Agent("clerk", model, [made]).run("Pay")
        taken.append(list(paid))
    assert taken == [[], ["wire 5"]]


def test_a_call_that_was_refused_unmade_says_nothing_of_the_tools_health() -> None:
    def wire(order: str) -> None:
        raise ConnectionResetError(order)

    made = tool(wire, once=True, breaker=BreakerSettings(in_a_row=2))
    model = ScriptedModel([calls("wire", order="A"), calls("wire", order="A"), calls("wire", order="B"), says("x")])
    result = Agent("clerk", model, [made]).run("Pay")
    assert (str(result.stop_reason), result.tools["wire"].failed) == ("finish", 3)


def test_fallbacks_that_go_in_circles_or_nowhere_are_refused() -> None:
    circle = [
        tool(exact, fallback={ErrorType.AUTH: "rough"}),
        tool(rough, fallback={ErrorType.AUTH: "exact"}),
    ]
    with pytest.raises(ConfigurationError, match="'exact' falls back on itself: exact -> rough -> exact"):
        Toolbox(circle)
    with pytest.raises(ConfigurationError, match="falls back on 'nowhere', which is no tool here: exact"):
        Toolbox([tool(exact, fallback={ErrorType.AUTH: "nowhere"})])
    with pytest.raises(ConfigurationError, match="two tools are called 'rough'"):
        Toolbox([tool(exact, fallback={ErrorType.AUTH: tool(rough)}), rough])


def test_a_tools_own_breaker_settings_hold_for_it_alone() -> None:
    tired = tool(exact, breaker=BreakerSettings(in_a_row=1))
    model = ScriptedModel([calls("exact", currency="USD"), calls("exact", currency="EUR"), says("done")])
    result = Agent("clerk", model, [tired]).run("Go")
    assert str(result.stop_reason) == "tool_unhealthy:exact"
    model = ScriptedModel([calls("exact", currency="USD"), calls("exact", currency="EUR"), says("done")])
    assert str(Agent("clerk", model, [exact]).run("Go").stop_reason) == "finish"


def test_breakers_of_any_framework_have_settings_by_glob() -> None:
    breakers = Breakers(by_tool={"slow_*": BreakerSettings(in_a_row=1), "*": BreakerSettings(in_a_row=2)})
    for name, opens in (("slow_fetch", True), ("fetch", False)):
        breakers.of(name, "acme").failed()
        assert breakers.of(name, "acme").admit()[0] is not opens


def test_a_cached_answer_says_nothing_of_a_tools_health() -> None:
    """A breaker that is trying a tool again is closed by calls that were made, not by answers from memory."""
    clock, away = Clock(), [False]

    def rate(currency: str) -> str:
        """What a euro is."""
        if away[0]:
            raise ConnectionError(currency)
        return currency

    made = tool(rate, action="read", cache_seconds=600, breaker=BreakerSettings(in_a_row=1, open_seconds=5))
    turns = [calls("rate", currency=name) for name in ("USD", "EUR")]
    model = ScriptedModel([*turns, says("done"), turns[0], turns[0], says("done")])
    agent = Agent("clerk", model, [made], clock=clock)
    agent.run("Go", tenant="acme")
    away[0] = True
    agent.guard.breakers.of("rate", "acme").failed()
    clock.now = 6
    assert str(agent.run("Go", tenant="acme").stop_reason) == "finish"
    assert agent.guard.breakers.of("rate", "acme").state == "half_open"
