"""What operators change about a run under way: limits tightened and raised, its next call edited or refused."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.agents import Flags, named, recorded
from tests.support.otlp_sink import OtlpSink

from spanhouse.control import Flag
from spanhouse.errors import RunStopped
from spanhouse_runtime.control import Control
from spanhouse_runtime.guard import CallRefused, Guard, ModelAsk, ToolAsk
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.money import Price
from spanhouse_runtime.policy import Policy

OPEN = Policy(allow=("*",))
SMALL = [{"name": "small", "tool": "pay", "decision": "allow", "arguments": {"amount": {"at_most": 10}}}]


def flag(name: str, action: str, scope: str = "run", target: str = "", **more: Any) -> Flag:
    """Return a flag of an operator."""
    return Flag(name, action, scope, target, by="ann", reason="too dear", **more)


def guard_of(view: Flags, **more: Any) -> Guard:
    """Return a guard that follows these flags."""
    return Guard("worker", policy=more.pop("policy", OPEN), control=Control(view), **more)


def call(guarded: Any, tool: str = "look", **arguments: Any) -> dict[str, Any]:
    """Make a call and return the arguments it went with."""
    with guarded.tool(tool, arguments) as made:
        made.result("done")
    return dict(made.arguments)


def test_a_tightened_limit_ends_a_run_that_is_under_way(sink: OtlpSink) -> None:
    """Two calls are made, then the tenant is held to two: the third is not made, and who did it stands in the trail."""
    view = Flags()
    with guard_of(view).run("job", tenant="acme") as guarded:
        call(guarded, n=1)
        call(guarded, n=2)
        view.flags.append(flag("7", "tighten", "tenant", "acme", limits={"max_tool_calls": 2}))
        call(guarded, n=3)
    spans, events = recorded(sink, guarded.run.run_id)
    assert str(guarded.stopped) == "max_tool_calls"
    assert sum(span.name == "execute_tool look" for span in spans) == 2
    (override,) = named(events, "override")
    assert (override["by"], override["reason"], override["flag_id"]) == ("ann", "too dear", "7")
    assert override["after"] == {"max_tool_calls": 2}


def test_dollars_are_tightened_where_there_was_no_limit(sink: OtlpSink) -> None:
    """The next model call may not cost more than is left, although the run began without a limit."""
    view = Flags()
    guard = guard_of(view, prices=Price(1_000.0, 1_000.0))
    ask = ModelAsk("m", input_tokens=100, max_output_tokens=100)
    with guard.run("job") as guarded:
        guarded.admit_model(ask).dropped()
        view.flags.append(flag("1", "tighten", "all", limits={"max_usd": 0.1}))
        guarded.admit_model(ask)
    assert str(guarded.stopped) == "max_usd"
    assert named(recorded(sink, guarded.run.run_id)[1], "override")[0]["before"] == {"max_usd": None}


def test_what_was_tightened_goes_back_when_the_flag_is_lifted(sink: OtlpSink) -> None:
    """The run's own limit holds again; both changes are written down."""
    view = Flags([flag("1", "tighten", "agent", "worker", limits={"max_tool_calls": 2})])
    with guard_of(view, limits=Limits(max_tool_calls=3)).run("job") as guarded:
        call(guarded, n=1)
        call(guarded, n=2)
        view.flags.clear()
        call(guarded, n=3)
        call(guarded, n=4)
    _, events = recorded(sink, guarded.run.run_id)
    assert str(guarded.stopped) == "max_tool_calls"
    assert [event["after"] for event in named(events, "override")] == [{"max_tool_calls": 2}, {"max_tool_calls": 3}]


def test_a_raised_limit_lets_a_run_go_on_for_good(sink: OtlpSink) -> None:
    """Raised in time it is not stopped; that the flag runs out takes nothing back."""
    view = Flags()
    with guard_of(view, limits=Limits(max_tool_calls=1)).run("job") as guarded:
        call(guarded, n=1)
        view.flags.append(flag("1", "raise", target=guarded.run.run_id, limits={"max_tool_calls": 3}))
        call(guarded, n=2)
        view.flags.clear()
        call(guarded, n=3)
    assert guarded.stopped is None
    _, events = recorded(sink, guarded.run.run_id)
    assert [event["after"] for event in named(events, "override")] == [{"max_tool_calls": 3}]


def test_a_limit_that_cannot_be_followed_ends_the_run(sink: OtlpSink) -> None:
    """Control fails closed: what an operator meant is not known, and going on as before is not it."""
    view = Flags([flag("1", "tighten", "all", limits={"max_wishes": 3})])
    with guard_of(view).run("job") as guarded:
        call(guarded)
    assert str(guarded.stopped) == "disabled:control"
    assert named(recorded(sink, guarded.run.run_id)[1], "run.end")[0]["stop_reason"] == "disabled:control"


def test_an_operator_gives_the_next_call_other_arguments_once(sink: OtlpSink) -> None:
    """The call is made with them, the one after it as the model asked."""
    view = Flags()
    with guard_of(view).run("job") as guarded:
        view.flags.append(flag("4", "edit_next", target=guarded.run.run_id, arguments={"amount": 5}))
        assert call(guarded, "pay", amount=500) == {"amount": 5}
        assert call(guarded, "pay", amount=600) == {"amount": 600}
    _, events = recorded(sink, guarded.run.run_id)
    (override,) = named(events, "override")
    assert (override["by"], override["what"], override["tool"]) == ("ann", "arguments", "pay")
    assert override["before"] != override["after"]
    assert named(events, "tool.call")[0]["args_hash"] == override["after"]


def test_what_an_operator_writes_is_judged_by_the_policy(sink: OtlpSink) -> None:
    """An operator's arguments are no way around a rule."""
    view = Flags()
    policy = Policy.model_validate({"rules": SMALL, "on_deny": "stop"})
    with guard_of(view, policy=policy).run("job") as guarded:
        view.flags.append(flag("4", "edit_next", target=guarded.run.run_id, arguments={"amount": 50}))
        call(guarded, "pay", amount=5)
    assert str(guarded.stopped) == "policy_deny:pay"
    assert named(recorded(sink, guarded.run.run_id)[1], "tool.call")[0]["status"] == "denied"


def test_an_operator_refuses_the_next_call_of_a_tool_and_the_run_goes_on(sink: OtlpSink) -> None:
    """Another tool's call is not meant; the refused one is recorded as denied and its model told why."""
    view = Flags()
    with guard_of(view).run("job") as guarded:
        view.flags.append(flag("4", "refuse_next", target=guarded.run.run_id, tool="mail"))
        call(guarded, "look")
        with pytest.raises(CallRefused) as refused:
            call(guarded, "mail", to="bob")
        call(guarded, "mail", to="eve")
    assert "ann: too dear" in refused.value.as_text()
    assert guarded.stopped is None
    _, events = recorded(sink, guarded.run.run_id)
    assert [event["status"] for event in named(events, "tool.call")] == ["ok", "denied", "ok"]
    (override,) = named(events, "override")
    assert (override["what"], override["tool"], override["flag_id"]) == ("refused", "mail", "4")


@pytest.mark.usefixtures("sink")
def test_an_agent_that_never_heard_its_operator_waits_a_little_and_then_stops() -> None:
    """Fail closed is the default; with news in time the call is made; without need of news it is made at once."""
    silent = Flags(old=float("inf"))
    guard = Guard("worker", policy=OPEN, control=Control(silent, first_seconds=0.1))
    with guard.run("job") as guarded:
        guarded.admit_tool(ToolAsk("look", {}))
    assert str(guarded.stopped) == "disabled:control"
    with Guard("worker", policy=OPEN, control=Control(silent, required=False)).run("job") as guarded:
        call(guarded)
    assert guarded.stopped is None

    class Late(Flags):
        asked = 0

        def age(self) -> float:
            self.asked += 1
            return float("inf") if self.asked < 3 else 0.0

    with Guard("worker", policy=OPEN, control=Control(Late())).run("job") as guarded:
        call(guarded)
    assert guarded.stopped is None


@pytest.mark.usefixtures("sink")
def test_old_news_holds_for_half_a_minute_and_no_longer() -> None:
    """A server that falls silent does not halt its agents at once, and cannot be silent for good."""
    view = Flags(old=29.0)
    with guard_of(view).run("job") as guarded:
        call(guarded)
        view.old = 31.0
        with pytest.raises(RunStopped):
            call(guarded)
    assert str(guarded.stopped) == "disabled:control"
