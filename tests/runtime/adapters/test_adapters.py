"""Agents of other frameworks under the guard: a denied tool, a spent budget, a loop, a kill and a person stop each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.runtime.adapters.frameworks import FRAMEWORKS, MADE
from tests.runtime.adapters.turns import Desk, Script, call
from tests.support.agents import Flags, named, recorded
from tests.support.otlp_sink import OtlpSink

from spanhouse.control import Flag
from spanhouse.errors import ConfigurationError
from spanhouse_runtime.control import Control
from spanhouse_runtime.guard import Guard, GuardedRun
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.money import Price
from spanhouse_runtime.policy import Decision, Policy, Rule


@dataclass(frozen=True)
class Framework:
    """A framework and the way its agent is run."""

    name: str
    stream: bool

    def __call__(self, script: Script) -> str:
        """Run its agent and return the last answer."""
        return FRAMEWORKS[self.name](script, stream=self.stream)


CASES = [Framework(name, stream) for name in FRAMEWORKS for stream in (False, True) if not (name == "mcp" and stream)]
pytestmark = pytest.mark.parametrize(
    "framework", CASES, ids=lambda case: f"{case.name}{'-stream' if case.stream else ''}"
)

OPEN = Policy(allow=("*",))
ASK = Policy(rules=(Rule(name="ask for money", tool="pay", decision=Decision.ASK),), allow=("*",))


@pytest.fixture(autouse=True)
def nothing_made() -> Iterator[None]:
    """Start with no calls made."""
    MADE.clear()
    yield
    MADE.clear()


def run(framework: Framework, guard: Guard, script: Script) -> tuple[GuardedRun, str]:
    answer = ""
    with guard.run("job", request_id="req-1", tenant="acme") as guarded:
        answer = framework(script)
        guarded.run.output(answer)
    return guarded, answer


def reason(guarded: GuardedRun) -> str:
    return str(guarded.run.stop_reason)


def test_an_agent_that_keeps_to_the_rules_finishes_and_its_trace_is_one(framework: Framework, sink: OtlpSink) -> None:
    script = Script(call("look", n=1), call("pay", usd=5))
    guard = Guard("worker", policy=OPEN, limits=Limits(max_usd=1), prices=Price(1, 1))
    guarded, answer = run(framework, guard, script)
    assert (reason(guarded), answer) == ("finish", "done")
    assert MADE == [("look", 1), ("pay", 5)]
    spans, events = recorded(sink, guarded.run.run_id)
    ours = [span for span in spans if span.scope == "spanhouse"]
    assert [span.name.partition(" ")[0] for span in ours] == [
        "invoke_agent",
        *("chat", "execute_tool") * 2,
        "chat",
    ]
    assert {span.trace_id for span in spans} == {guarded.run.trace_id}
    assert [event["tool"] for event in named(events, "tool.call")] == ["look", "pay"]
    # Pydantic AI guesses what its own stub model streams.
    if framework != Framework("pydantic_ai", stream=True):
        assert guarded.books.ledger.used("max_tokens") == 3 * 110  # type: ignore[arg-type]


def test_a_denied_tool_ends_the_run_before_it_is_called(framework: Framework, sink: OtlpSink) -> None:
    guard = Guard("worker", policy=Policy(allow=("look",)))
    guarded, _ = run(framework, guard, Script(call("look", n=1), call("pay", usd=5)))
    assert reason(guarded) == "policy_deny:pay"
    assert MADE == [("look", 1)]
    spans, events = recorded(sink, guarded.run.run_id)
    (denied,) = [span for span in spans if span.name == "execute_tool pay" and span.scope == "spanhouse"]
    assert denied.attributes["spanhouse.policy.decision"] == "deny"
    assert named(events, "run.end")[0]["stop_reason"] == "policy_deny:pay"


def test_a_refusal_can_be_told_to_the_model_instead(framework: Framework) -> None:
    guard = Guard("worker", policy=Policy(allow=("look",), on_deny="tell_model"))
    script = Script(call("pay", usd=5), call("look", n=1))
    guarded, answer = run(framework, guard, script)
    assert (reason(guarded), answer, MADE) == ("finish", "done", [("look", 1)])
    assert guarded.denials == {"pay": 1}


def test_a_spent_budget_ends_the_run_before_the_next_model_call(framework: Framework) -> None:
    guard = Guard("worker", policy=OPEN, limits=Limits(max_steps=2))
    script = Script(*(call("look", n=n) for n in range(9)))
    guarded, _ = run(framework, guard, script)
    assert reason(guarded) == "max_steps"
    assert script.taken == 2


def test_too_many_tool_calls_end_the_run(framework: Framework) -> None:
    guard = Guard("worker", policy=OPEN, limits=Limits(max_tool_calls=2))
    guarded, _ = run(framework, guard, Script(*(call("look", n=n) for n in range(9))))
    assert (reason(guarded), len(MADE)) == ("max_tool_calls", 2)


def test_a_loop_is_warned_of_and_then_ends_the_run(framework: Framework, sink: OtlpSink) -> None:
    guard = Guard("worker", policy=OPEN)
    guarded, _ = run(framework, guard, Script(*(call("look", n=1) for _ in range(9))))
    assert (reason(guarded), len(MADE)) == ("loop_detected:look", 3)
    loops = named(recorded(sink, guarded.run.run_id)[1], "loop")
    assert [event["action"] for event in loops] == ["warn", "stop"]


def test_an_operators_stop_ends_the_run_before_the_next_call(framework: Framework) -> None:
    view = Flags()

    class Killed(Script):
        def next(self) -> Any:
            if self.taken == 1:
                view.flags.append(Flag("f", "stop", "all", by="maria"))
            return super().next()

    guard = Guard("worker", policy=OPEN, control=Control(view))
    guarded, _ = run(framework, guard, Killed(*(call("look", n=n) for n in range(9))))
    assert (reason(guarded), MADE) == ("operator_kill", [("look", 0)])


def test_a_disabled_tool_ends_the_run(framework: Framework) -> None:
    guard = Guard("worker", policy=OPEN, control=Control(Flags([Flag("f", "disable", "tool", "pay")])))
    guarded, _ = run(framework, guard, Script(call("look", n=1), call("pay", usd=5)))
    assert (reason(guarded), MADE) == ("disabled:pay", [("look", 1)])


def test_a_refused_approval_ends_the_run(framework: Framework) -> None:
    guard = Guard("worker", policy=ASK, approver=Desk(approves=False))
    guarded, _ = run(framework, guard, Script(call("pay", usd=5)))
    assert (reason(guarded), MADE) == ("approval_denied:pay", [])


def test_an_approved_call_is_made_with_what_the_person_made_of_it(framework: Framework, sink: OtlpSink) -> None:
    desk = Desk(approves=True, arguments={"usd": 2})
    guarded, _ = run(framework, Guard("worker", policy=ASK, approver=desk), Script(call("pay", usd=5)))
    assert (reason(guarded), MADE) == ("finish", [("pay", 2)])
    assert desk.asked[0].arguments == {"usd": 5}
    events = recorded(sink, guarded.run.run_id)[1]
    assert [event["by"] for event in named(events, "approval.given")] == ["maria"]


def test_a_tool_that_fails_the_same_way_is_exhausted(framework: Framework) -> None:
    guard = Guard("worker", policy=OPEN)
    script = Script(*(call("look", n=-n) for n in range(1, 9)))
    try:
        guarded, _ = run(framework, guard, script)
    except ValueError:
        # Pydantic AI lets a tool's exception end the agent at once: then the guard has nothing to exhaust.
        assert framework.name == "pydantic_ai"
        return
    assert (reason(guarded), len(MADE)) == ("tool_error_exhausted:look", 3)


def test_what_is_guarded_is_not_called_unguarded(framework: Framework) -> None:
    if framework.name == "mcp":
        pytest.skip("its loop here is the test's own and asks for the guarded run itself")
    with pytest.raises(Exception, match="guarded") as error:
        framework(Script(call("look", n=1)))
    assert isinstance(error.value, ConfigurationError)
    assert MADE == []
