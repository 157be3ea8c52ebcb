"""What tools are declared to do holds in agents of other frameworks, each tested from its own package."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.runtime.adapters.frameworks import FRAMEWORKS, MADE
from tests.runtime.adapters.turns import Desk, Script, call
from tests.support.agents import named, recorded
from tests.support.otlp_sink import OtlpSink

from spanhouse_runtime.guard import Guard, GuardedRun
from spanhouse_runtime.policy import Decision, Policy, Rule
from spanhouse_runtime.traits import ToolTraits

pytestmark = pytest.mark.parametrize("framework", FRAMEWORKS)

BY_RULE = Policy(rules=(Rule(name="everything", tool="*", decision=Decision.ALLOW),))
TRAITS = {"look": ToolTraits("update"), "pay": ToolTraits("money")}


@pytest.fixture(autouse=True)
def nothing_made() -> Iterator[None]:
    """Start with no calls made."""
    MADE.clear()
    yield
    MADE.clear()


def run(framework: str, guard: Guard, script: Script) -> GuardedRun:
    with guard.run("job") as guarded:
        FRAMEWORKS[framework](script)
    return guarded


def test_money_is_asked_about_whatever_the_policy_allows(framework: str) -> None:
    guarded = run(framework, Guard("worker", policy=BY_RULE, traits=TRAITS), Script(call("pay", usd=5)))
    assert (str(guarded.run.stop_reason), MADE) == ("approval_denied:pay", [])


def test_money_a_person_approves_is_paid(framework: str) -> None:
    desk = Desk(approves=True)
    guarded = run(framework, Guard("worker", policy=BY_RULE, traits=TRAITS, approver=desk), Script(call("pay", usd=5)))
    assert (str(guarded.run.stop_reason), MADE) == ("finish", [("pay", 5)])
    assert desk.asked[0].why == "always asked: action money"


def test_an_update_goes_on_the_review_list(framework: str, sink: OtlpSink) -> None:
    guarded = run(framework, Guard("worker", policy=BY_RULE, traits=TRAITS), Script(call("look", n=1)))
    assert [event["tool"] for event in named(recorded(sink, guarded.run.run_id)[1], "review")] == ["look"]
