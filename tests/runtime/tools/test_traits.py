"""What a tool declares decides what happens to its calls, under every guard and whatever drives the agent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.agents import Desk, calls, named, recorded, says
from tests.support.otlp_sink import OtlpSink

from spanhouse.errors import ConfigurationError
from spanhouse_runtime.agent import Agent
from spanhouse_runtime.guard import Guard
from spanhouse_runtime.guard.approval import ApprovalAnswer
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.policy import Decision, Policy, Rule
from spanhouse_runtime.scripted import ScriptedModel
from spanhouse_runtime.tools import tool
from spanhouse_runtime.traits import Action, BlastRadius, Care, Reversible, ToolTraits, TraitsByTool

OPEN = Policy(allow=("*",))
BY_RULE = Policy(rules=(Rule(name="everything", tool="*", decision=Decision.ALLOW),))
TRAITS = st.builds(
    ToolTraits,
    st.none() | st.sampled_from(Action),
    st.none() | st.sampled_from(Reversible),
    st.none() | st.sampled_from(BlastRadius),
)


def stopped_by(traits: ToolTraits | None, policy: Policy, **settings: Any) -> str:
    guard = Guard("worker", policy=policy, traits={"act": traits} if traits else None, **settings)
    with guard.run("job") as guarded, guarded.tool("act", {"n": 1}) as call:
        call.result("done")
    return str(guarded.run.stop_reason)


@pytest.mark.parametrize(
    ("action", "on_allowlist", "by_rule"),
    [
        ("read", "finish", "finish"),
        ("draft", "finish", "finish"),
        ("update", "finish", "finish"),
        ("send", "approval_denied:act", "finish"),
        ("delete", "approval_denied:act", "approval_denied:act"),
        ("money", "approval_denied:act", "approval_denied:act"),
    ],
)
def test_sending_needs_a_rule_and_deleting_and_money_a_person(action: str, on_allowlist: str, by_rule: str) -> None:
    assert stopped_by(ToolTraits(action), OPEN) == on_allowlist
    assert stopped_by(ToolTraits(action), BY_RULE) == by_rule


def test_without_traits_the_policy_decides_alone() -> None:
    assert stopped_by(None, OPEN) == "finish"


def test_traits_never_soften_a_policy() -> None:
    deny = Policy(rules=(Rule(name="no", tool="*", decision=Decision.DENY),))
    ask = Policy(rules=(Rule(name="sign", tool="*", decision=Decision.ASK),))
    assert stopped_by(ToolTraits("read"), deny) == "policy_deny:act"
    assert stopped_by(ToolTraits("read"), ask) == "approval_denied:act"
    assert stopped_by(ToolTraits("money"), deny) == "policy_deny:act"


def test_what_a_person_approves_is_done_and_the_record_says_what_asked(sink: OtlpSink) -> None:
    desk = Desk(ApprovalAnswer(approved=True, by="maria"))
    guard = Guard("worker", policy=BY_RULE, traits={"*": ToolTraits("money", "no", "high")}, approver=desk)
    with guard.run("job") as guarded, guarded.tool("pay", {"usd": 5}) as call:
        call.result("paid")
    assert desk.asked[0].why == "always asked: action money, reversible: no, blast radius high"
    (decision,) = named(recorded(sink, guarded.run.run_id)[1], "policy.decision")
    assert (decision["decision"], decision["rule"]) == ("ask", "traits")


def test_arguments_a_person_changed_are_not_asked_about_for_ever() -> None:
    desk = Desk(ApprovalAnswer(approved=True, by="maria", arguments={"n": 2}))
    assert stopped_by(ToolTraits("money"), BY_RULE, approver=desk) == "finish"
    assert len(desk.asked) == 1


@pytest.mark.parametrize("traits", [ToolTraits("update", "no"), ToolTraits("update", blast_radius="very_high")])
def test_an_update_that_cannot_be_taken_back_or_reaches_far_is_asked_about(traits: ToolTraits) -> None:
    assert stopped_by(traits, OPEN) == "approval_denied:act"
    assert stopped_by(traits, BY_RULE) == "finish"


def test_an_update_is_done_and_put_on_the_review_list_for_a_set_time(sink: OtlpSink) -> None:
    guard = Guard("worker", policy=OPEN, traits={"set_*": ToolTraits("update", "yes", undo_seconds=60)})
    with guard.run("job") as guarded:
        with guarded.tool("set_plan", {"plan": "pro"}) as call:
            call.result("done")
        with pytest.raises(ValueError, match="no"), guarded.tool("set_plan", {"plan": "max"}):
            raise ValueError("no")  # noqa: EM101 - a tool that fails
    (entry,) = named(recorded(sink, guarded.run.run_id)[1], "review")
    assert (entry["tool"], entry["action"], entry["state"], entry["reversible"]) == (
        "set_plan",
        "update",
        "open",
        "yes",
    )
    assert entry["until"].endswith("Z")


def test_a_decorated_function_declares_its_action() -> None:
    guard = Guard("worker", policy=BY_RULE)
    made: list[int] = []

    @guard.tool(action="delete")
    def drop(n: int) -> None:
        made.append(n)

    with guard.run("job") as guarded:
        drop(1)
    assert (str(guarded.run.stop_reason), made) == ("approval_denied:drop", [])


@given(TRAITS, TRAITS)
def test_of_two_declarations_the_graver_holds_whoever_speaks_first(one: ToolTraits, other: ToolTraits) -> None:
    both = one.strictest(other)
    assert both == other.strictest(one)
    order = tuple(Care)
    assert order.index(both.care) >= max(order.index(one.care), order.index(other.care))


def test_a_call_cannot_declare_itself_milder_than_its_guard_does() -> None:
    traits = TraitsByTool({"pay*": ToolTraits("money"), "*": ToolTraits("read")})
    assert traits.of("pay_out", "read").action == "money"
    assert traits.of("look").action == "read"


def test_words_that_are_no_traits_are_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigurationError, match="action cannot be 'destroy': it is one of read, draft"):
        ToolTraits("destroy")
    with pytest.raises(ConfigurationError, match="undo_seconds must be more than 0"):
        ToolTraits("update", undo_seconds=0)


def test_an_agents_tools_declare_for_themselves(sink: OtlpSink) -> None:
    paid: list[int] = []

    def pay(usd: int) -> str:
        paid.append(usd)
        return "paid"

    model = ScriptedModel([calls("pay", usd=5), says("done")])
    result = Agent("clerk", model, [tool(pay, action="money")], policy=BY_RULE).run("Pay")
    assert (str(result.stop_reason), paid) == ("approval_denied:pay", [])


def test_what_a_call_costs_is_reserved_booked_and_on_its_span(sink: OtlpSink) -> None:
    guard = Guard("worker", policy=OPEN, limits=Limits(max_usd=0.05))

    @guard.tool(cost_usd=lambda arguments: 0.01 * arguments["pages"])
    def scan(pages: int) -> str:
        return f"{pages} pages"

    with guard.run("job") as guarded:
        scan(3)
        scan(3)
    assert str(guarded.run.stop_reason) == "max_usd"
    assert guarded.books.ledger.report()["max_usd"]["used"] == 0.03
    spans, events = recorded(sink, guarded.run.run_id)
    assert [span.attributes.get("spanhouse.cost_usd") for span in spans if "scan" in span.name] == [0.03]
    assert [event.get("cost_usd") for event in named(events, "tool.call")] == [0.03]


def scanned() -> str:
    """Scan."""
    return "scanned"


@pytest.mark.parametrize(
    "cost",
    [lambda _: float("nan"), lambda _: -1.0, lambda arguments: arguments["missing"]],
    ids=["nan", "negative", "raises"],
)
def test_a_cost_nobody_knows_is_refused_where_dollars_are_limited(cost: Any) -> None:
    reasons = []
    for limits in (Limits(max_usd=1.0), Limits()):
        guard = Guard("worker", policy=OPEN, limits=limits)
        scan: Callable[[], str] = guard.tool(cost_usd=cost)(scanned)
        with guard.run("job") as guarded:
            scan()
        reasons.append(str(guarded.run.stop_reason))
    assert reasons == ["max_usd:unknown_price", "finish"]


@pytest.mark.parametrize(("changed", "paid"), [({"usd": 2}, [2]), ({"usd": "much"}, []), ({}, [])], ids=str)
def test_what_a_person_makes_of_the_arguments_is_checked_and_is_what_is_called(changed: Any, paid: list[int]) -> None:
    made: list[int] = []

    def pay(usd: int) -> str:
        made.append(usd)
        return "paid"

    desk = Desk(ApprovalAnswer(approved=True, by="maria", arguments=changed))
    model = ScriptedModel([calls("pay", usd=5), says("done")])
    result = Agent("clerk", model, [tool(pay, action="money")], approver=desk).run("Pay")
    assert (str(result.stop_reason), made) == ("finish", paid)
