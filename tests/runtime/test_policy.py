"""Policy: first match wins, no match is a denial, and what cannot be judged is denied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spanhouse.errors import ConfigurationError
from spanhouse_runtime.policy import Decision, Policy, Verdict
from spanhouse_runtime.policy_file import MAX_POLICY_BYTES, load_policy, parse_policy

REFUNDS = """
rules:
  - name: small refunds
    tool: refund_*
    arguments: {amount: {at_most: 100}}
    decision: allow
  - name: large refunds
    tool: refund_*
    decision: ask
    why: a person signs for more than 100
  - name: own mail only
    tool: send_mail
    arguments: {"message.to": {pattern: "*@acme.example"}}
    decision: allow
  - name: staging only
    tool: sql
    arguments: {database: {prefix: staging_}, write: {equals: false}}
    decision: allow
allow: [lookup_*, search]
"""


def decide(tool: str, **arguments: Any) -> Verdict:
    return parse_policy(REFUNDS).decide(tool, arguments)


@pytest.mark.parametrize(
    ("tool", "arguments", "decision", "rule"),
    [
        ("refund_order", {"amount": 100}, "allow", "small refunds"),
        ("refund_order", {"amount": 100.01}, "ask", "large refunds"),
        ("refund_order", {}, "ask", "large refunds"),
        ("send_mail", {"message": {"to": "ops@acme.example"}}, "allow", "own mail only"),
        ("send_mail", {"message": {"to": "ops@acme.example.evil.example"}}, "deny", "default"),
        ("send_mail", {"message": "ops@acme.example"}, "deny", "default"),
        ("sql", {"database": "staging_eu", "write": False}, "allow", "staging only"),
        ("sql", {"database": "staging_eu", "write": True}, "deny", "default"),
        ("sql", {"database": "production", "write": False}, "deny", "default"),
        ("lookup_order", {}, "allow", "allowlist"),
        ("search", {}, "allow", "allowlist"),
        ("search_all", {}, "deny", "default"),
        ("Search", {}, "deny", "default"),
    ],
)
def test_the_first_rule_that_matches_decides(tool: str, arguments: dict[str, Any], decision: str, rule: str) -> None:
    verdict = parse_policy(REFUNDS).decide(tool, arguments)
    assert (verdict.decision, verdict.rule) == (decision, rule)


@pytest.mark.parametrize("amount", ["50", None, True, float("nan"), float("inf"), [1], {"value": 1}])
def test_an_amount_that_is_no_number_is_denied_and_never_passes_a_rule_by(amount: Any) -> None:
    verdict = decide("refund_order", amount=amount)
    assert (verdict.decision, verdict.rule) == (Decision.DENY, "small refunds")
    assert "argument 'amount'" in verdict.why


@given(tool=st.text(max_size=20), arguments=st.dictionaries(st.text(max_size=5), st.integers()))
def test_an_empty_policy_denies_everything(tool: str, arguments: dict[str, int]) -> None:
    assert Policy().decide(tool, arguments).decision is Decision.DENY


def test_equals_compares_values_not_python_types() -> None:
    policy = parse_policy("rules: [{name: one, tool: t, arguments: {a: {equals: 1}}, decision: allow}]")
    assert policy.decide("t", {"a": 1.0}).decision is Decision.ALLOW
    assert policy.decide("t", {"a": True}).decision is Decision.DENY


def test_a_hostile_argument_cannot_stall_a_pattern() -> None:
    policy = parse_policy("rules: [{name: p, tool: t, arguments: {a: {pattern: '*a*a*a*a*a*b'}}, decision: allow}]")
    assert policy.decide("t", {"a": "a" * 20_000}).decision is Decision.DENY


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rules: [{name: a, tool: t, decision: maybe}]", "rules.0.decision"),
        ("rules: [{name: a, tool: t, decision: allow, argument: {}}]", "rules.0.argument"),
        ("rules: [{name: a, tool: t, decision: allow, arguments: {x: {}}}]", "needs one of: equals"),
        ("rules: [{name: a, tool: '', decision: allow}]", "rules.0.tool"),
        ("rules: [{name: a, tool: t, decision: deny}, {name: a, tool: u, decision: deny}]", "must differ"),
        ("rules: [{name: default, tool: t, decision: deny}]", "must differ"),
        ("on_deny: shrug", "on_deny"),
        ("alow: [search]", "alow"),
        ("[search]", "must be a mapping"),
        ("rules: [", "expected the node content"),
        ("allow: &a [x]\nrules: *a", "aliases"),
        ("", "must be a mapping"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused_in_plain_words(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as refused:
        parse_policy(text, source="agents.yaml")
    assert str(refused.value).startswith("agents.yaml")


def test_a_policy_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(REFUNDS, encoding="utf-8")
    assert load_policy(path) == parse_policy(REFUNDS)


def test_a_file_that_is_missing_or_too_large_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.yaml:1: cannot be read: No such file"):
        load_policy(tmp_path / "absent.yaml")
    path = tmp_path / "huge.yaml"
    path.write_bytes(b"#" * (MAX_POLICY_BYTES + 1))
    with pytest.raises(ConfigurationError, match=r"huge\.yaml:1: the file is larger than"):
        load_policy(path)


def test_a_policy_cannot_be_changed_behind_the_runs_back() -> None:
    policy = parse_policy(REFUNDS)
    with pytest.raises(ValidationError, match="frozen"):
        policy.on_deny = "tell_model"
