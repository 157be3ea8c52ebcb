"""Cedar policies decide behind the same interface, and what Cedar would pass over denies."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.support.agents import calls, named, recorded, says
from tests.support.otlp_sink import OtlpSink

from spanhouse.errors import ConfigurationError
from spanhouse_runtime.agent import Agent
from spanhouse_runtime.policies.cedar import CedarPolicy
from spanhouse_runtime.policy import Caller, Decision
from spanhouse_runtime.scripted import ScriptedModel

TEXT = """
@id("clerks refund")
permit(principal in Role::"clerk", action == Action::"call", resource == Tool::"refund")
when { context.arguments.amount.lessThanOrEqual(decimal("100.0")) };

@id("mail is asked") @decision("ask") @why("a person looks first")
permit(principal, action, resource == Tool::"send") when { context.tenant == "acme" };

@id("data alone")
permit(principal, action, resource == Tool::"read") when { context.resources.path like "/data/*" };

@id("anything") permit(principal, action, resource == Tool::"drop");

@id("not on others") forbid(principal, action, resource)
when { context.arguments has other && context.arguments.other > 1 };
"""
POLICY = CedarPolicy(TEXT, resources=["path"])
CLERK = Caller(frozenset({"clerk"}), tenant="acme", user_id="ann")


@pytest.mark.parametrize(
    ("tool", "arguments", "caller", "decision", "rule"),
    [
        ("refund", {"amount": 99.5}, CLERK, "allow", "clerks refund"),
        ("refund", {"amount": 100.01}, CLERK, "deny", "default"),
        ("refund", {"amount": 5.0}, Caller(), "deny", "default"),
        ("refund", {"amount": 5}, CLERK, "deny", "default"),
        ("refund", {"amount": float("nan")}, CLERK, "deny", "default"),
        ("refund", {"amount": 1.23456}, CLERK, "deny", "default"),
        ("send", {}, CLERK, "ask", "mail is asked"),
        ("send", {}, Caller(tenant="globex"), "deny", "default"),
        ("read", {"path": "/data/x"}, CLERK, "allow", "data alone"),
        ("read", {"path": "/data/../etc/passwd"}, CLERK, "deny", "default"),
        ("read", {"path": "/data/%2e%2e/x"}, CLERK, "deny", "default"),
        ("drop", {}, CLERK, "allow", "anything"),
        ("drop", {"other": 2}, CLERK, "deny", "not on others"),
        ("drop", {"other": "two"}, CLERK, "deny", "anything"),
        ("drop", {"other": {"__entity": {"type": "Role", "id": "clerk"}}}, CLERK, "deny", "default"),
        ("drop", {"other": 2**70}, CLERK, "deny", "default"),
        ("drop", {"gone": None, "list": [1, None]}, CLERK, "allow", "anything"),
        ('x" in Tool::"drop', {}, CLERK, "deny", "default"),
    ],
)
def test_a_call_is_judged_as_the_policies_say(
    tool: str, arguments: dict[str, object], caller: Caller, decision: str, rule: str
) -> None:
    verdict = POLICY.decide(tool, arguments, caller)
    assert (verdict.decision, verdict.rule) == (decision, rule), verdict


def test_deletions_and_money_are_asked_here_too() -> None:
    assert POLICY.decide("drop", {}, CLERK, action="delete").decision is Decision.ASK


def test_a_text_that_is_no_cedar_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="this is no Cedar"):
        CedarPolicy("permit(")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        CedarPolicy.load(tmp_path / "none.cedar")


def test_without_cedarpy_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cedarpy", None)
    with pytest.raises(ConfigurationError, match=r"pip install \"spanhouse\[cedar\]\""):
        CedarPolicy(TEXT)


def refund(amount: float) -> str:
    """Refund an amount."""
    return f"refunded {amount}"


def test_an_agent_runs_under_cedar_policies(sink: OtlpSink) -> None:
    model = ScriptedModel([calls("refund", amount=50.5), calls("refund", amount=500.5), says("never")])
    result = Agent("desk", model, [refund], policy=POLICY).run("refund", roles=["clerk"], user_id="ann")
    assert str(result.stop_reason) == "policy_deny:refund"
    _, events = recorded(sink, result.run_id)
    found = [(e["decision"], e["rule"], e["policy_version"]) for e in named(events, "policy.decision")]
    assert found == [("allow", "clerks refund", POLICY.fingerprint), ("deny", "default", POLICY.fingerprint)]
