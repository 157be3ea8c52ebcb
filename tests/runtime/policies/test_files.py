"""Policy files: who may do what until when, what is wrong with them, their own tests, and how they are followed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from spanhouse.errors import ConfigurationError
from spanhouse_runtime.policies.cases import run_cases
from spanhouse_runtime.policies.checking import covers, findings, glob_covers
from spanhouse_runtime.policy import Caller, Condition, Decision, Policy, Rule
from spanhouse_runtime.policy_file import PolicyFile, load_policy, merged, parse_policy, read_pages
from spanhouse_server.cli.policy import policy as command

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

FILES = """
rules:
  - name: never secrets
    tool: "*_file"
    resources: {path: ["/etc/**", "**/.env"]}
    decision: deny
  - name: writers write data
    tool: write_file
    roles: [writer, admin]
    resources: {path: "/data/**"}
    decision: allow
  - name: writing is asked
    tool: write_file
    decision: ask
allow: [read_file]
actions: {pay_*: money}
grants:
  - name: deploy night
    tool: run_job
    agent: deployer
    until: 2026-11-20T18:00:00Z
    by: ann
    why: release 1.4
tests:
  - {name: writers, tool: write_file, arguments: {path: /data/x}, roles: writer, expect: allow}
  - {tool: write_file, arguments: {path: /data/x}, expect: ask, rule: writing is asked}
  - {tool: read_file, arguments: {path: /app/.env}, expect: deny, rule: never secrets}
  - {tool: read_file, arguments: {path: /data/x}, expect: allow}
  - {tool: run_job, agent: deployer, at: 2026-11-20T17:00:00Z, expect: allow, rule: "grant:deploy night"}
"""


def put(folder: Path, text: str, name: str = "policy.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("tool", "path", "roles", "decision"),
    [
        ("write_file", "/data/x", "writer", "allow"),
        ("write_file", "/data/../etc/x", "writer", "deny"),
        ("write_file", "/data/%2e%2e/etc/x", "writer", "deny"),
        ("write_file", "/data/x", "reader", "ask"),
        ("write_file", "/DATA/x", "writer", "ask"),
        ("read_file", "/ETC/passwd", "", "deny"),
        ("read_file", "file:///etc/passwd", "", "deny"),
        ("read_file", ["/data/x", "/etc/passwd"], "", "deny"),
        ("write_file", ["/data/x", "/other"], "writer", "ask"),
        ("write_file", ["/data/x", "/data/y"], "writer", "allow"),
        ("write_file", [], "writer", "ask"),
        ("read_file", 7, "", "deny"),
        ("read_file", "", "", "deny"),
    ],
)
def test_who_asks_and_what_for_decide(tool: str, path: object, roles: str, decision: str) -> None:
    verdict = parse_policy(FILES).decide(tool, {"path": path}, Caller(frozenset({roles})))
    assert verdict.decision == decision, verdict


def test_a_grant_lets_its_agent_through_until_it_ends() -> None:
    policy = parse_policy(FILES)
    at_five, at_six = NOON + timedelta(hours=5), NOON + timedelta(hours=6)
    verdict = policy.decide("run_job", {}, Caller(agent="deployer", at=at_five))
    assert (verdict.decision, verdict.rule) == (Decision.ALLOW, "grant:deploy night")
    assert "ann" in verdict.why
    assert policy.decide("run_job", {}, Caller(agent="deployer", at=at_six)).decision is Decision.DENY
    assert policy.decide("run_job", {}, Caller(agent="other", at=at_five)).decision is Decision.DENY


def test_a_grant_never_lifts_a_rule_that_denies_and_lifts_a_question() -> None:
    grant = "{name: g, tool: '*', until: 2099-01-01T00:00:00Z, by: ann}"
    asks = parse_policy(f"rules: [{{name: r, tool: t, decision: ask}}]\ngrants: [{grant}]")
    denies = parse_policy(f"rules: [{{name: r, tool: t, decision: deny}}]\ngrants: [{grant}]")
    assert asks.decide("t", {}).rule == "grant:g"
    assert denies.decide("t", {}).rule == "r"


@pytest.mark.parametrize(
    "text",
    [
        "allow: ['*']",
        "rules: [{name: r, tool: '*', decision: allow}]",
        "grants: [{name: g, tool: '*', until: 2099-01-01T00:00:00Z, by: a}]",
    ],
)
def test_money_and_deletions_are_asked_whatever_is_allowed(text: str) -> None:
    policy = parse_policy(f"{text}\nactions: {{'pay_*': money}}")
    assert policy.decide("pay_bill", {}).rule == "always_ask"
    assert policy.decide("drop", {}, action="delete").decision is Decision.ASK
    assert policy.decide("look", {}, action="read").decision is Decision.ALLOW


def test_a_grant_without_a_zone_or_an_end_is_none() -> None:
    with pytest.raises(ConfigurationError, match=r"policy:1: grants.0.until"):
        parse_policy("grants: [{name: g, tool: t, until: 2026-11-20T18:00:00, by: ann}]")
    with pytest.raises(ConfigurationError, match=r"the key 'until' is missing"):
        parse_policy("grants: [{name: g, tool: t, by: ann}]")


def test_an_unknown_key_is_answered_with_its_line_and_the_nearest_one() -> None:
    with pytest.raises(
        ConfigurationError, match=r"p\.yaml:4: .*unknown key 'desicion': did you mean 'decision'\?"
    ) as e:
        parse_policy("rules:\n  - name: a\n    tool: t\n    desicion: deny\n", source="p.yaml")
    assert "p.yaml:2: rules.0: the key 'decision' is missing" in str(e.value)


def test_files_extend_files_and_their_own_rules_come_first(tmp_path: Path) -> None:
    put(tmp_path, "rules: [{name: base, tool: t, decision: deny}]\nallow: [a]\non_deny: tell_model", "base.yaml")
    path = put(tmp_path, "extends: base.yaml\nrules: [{name: own, tool: t, decision: allow}]\nallow: [b]")
    policy = load_policy(path)
    assert [rule.name for rule in policy.rules] == ["own", "base"]
    assert (policy.allow, policy.on_deny) == (("b", "a"), "stop")


def test_files_in_a_circle_are_named(tmp_path: Path) -> None:
    path = put(tmp_path, "extends: b.yaml", "a.yaml")
    put(tmp_path, "extends: a.yaml", "b.yaml")
    with pytest.raises(ConfigurationError, match=r"in a circle: .*a\.yaml → .*b\.yaml → .*a\.yaml"):
        load_policy(path)


def test_two_files_with_one_rule_name_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "rules: [{name: r, tool: t, decision: deny}]", "base.yaml")
    path = put(tmp_path, "extends: base.yaml\nrules: [{name: r, tool: t, decision: allow}]")
    with pytest.raises(ConfigurationError, match=r"must differ.*\['r'\]"):
        load_policy(path)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("tool: '*'", "tool: send_mail"),
        ("tool: send_*", "tool: send_mail_*"),
        ("tool: t, arguments: {n: {at_most: 10}}", "tool: t, arguments: {n: {at_most: 5}}"),
        ("tool: t, arguments: {n: {at_most: 10}}", "tool: t, arguments: {n: {equals: 5}}"),
        ("tool: t, arguments: {n: {prefix: a}}", "tool: t, arguments: {n: {prefix: ab}, m: {equals: 1}}"),
        ("tool: t, roles: [a, b]", "tool: t, roles: [a]"),
        ("tool: t, resources: {p: /data/**}", "tool: t, resources: {p: /data/x/*}"),
    ],
)
def test_a_rule_that_never_matches_is_an_error_and_the_other_order_is_none(
    tmp_path: Path, earlier: str, later: str
) -> None:
    text = "rules:\n  - {{name: one, {}, decision: deny}}\n  - {{name: two, {}, decision: deny}}"
    for rules, expected in (((earlier, later), 1), ((later, earlier), 0)):
        pages = read_pages(put(tmp_path, text.format(*rules)))
        found = findings(pages, merged(pages), NOON)
        assert [finding.line for finding in found] == [3] * expected
        assert all("'two' can never match: 'one'" in finding.message for finding in found)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("tool: 'send_?'", "tool: send_*"),
        ("tool: t, roles: [a]", "tool: t"),
        ("tool: t, arguments: {n: {at_most: 10}}", "tool: t, arguments: {n: {at_least: 5}}"),
        ("tool: t, arguments: {n: {pattern: 'a?'}}", "tool: t, arguments: {n: {pattern: 'a*'}}"),
        ("tool: t, resources: {p: /data/*}", "tool: t, resources: {p: /data/x/y}"),
    ],
)
def test_a_rule_that_can_still_match_is_left_alone(tmp_path: Path, earlier: str, later: str) -> None:
    rules = f"rules: [{{name: one, {earlier}, decision: deny}}, {{name: two, {later}, decision: deny}}]"
    pages = read_pages(put(tmp_path, rules))
    assert findings(pages, merged(pages), NOON) == []


def test_a_narrow_denial_after_leave_for_the_same_folder_still_counts_for_other_spellings() -> None:
    wide = Rule(name="a", tool="t", resources={"p": ("/data/**",)}, decision=Decision.ALLOW)
    narrow = Rule(name="b", tool="t", resources={"p": ("/data/secret",)}, decision=Decision.DENY)
    assert not covers(wide, narrow)
    both = Policy(rules=(wide, narrow))
    assert both.decide("t", {"p": ["/DATA/secret"]}).rule == "b"


@pytest.mark.parametrize(("wide", "narrow"), [("a*", "*a"), ("*a*", "*b*"), ("a?c", "abc*"), ("[ab]", "a?")])
def test_coverage_is_claimed_only_where_it_is_sure(wide: str, narrow: str) -> None:
    assert not glob_covers(wide, narrow)
    assert Condition(at_most=1) != Condition(at_least=1)


def test_leave_for_what_is_always_asked_and_grants_that_ended_are_warned_of(tmp_path: Path) -> None:
    path = put(tmp_path, FILES.replace("allow: [read_file]", "allow: [read_file, pay_bill]"))
    pages = read_pages(path)
    later = findings(pages, merged(pages), NOON + timedelta(days=1))
    assert [(f.severity, f.message.split()[0]) for f in later] == [("warning", "'pay_bill'"), ("warning", "grant")]
    assert CliRunner().invoke(command, ["check", str(path), "--strict"]).exit_code == 1


def test_the_command_line_checks_a_file(tmp_path: Path) -> None:
    path = put(tmp_path, FILES.replace("2026-11-20T18", "2999-11-20T18"))
    good = CliRunner().invoke(command, ["check", str(path)])
    assert good.exit_code == 0, good.output
    assert load_policy(path).fingerprint in good.output
    put(tmp_path, "rules: [{name: a, tool: '*', decision: deny}, {name: b, tool: t, decision: allow}]")
    shadowed = CliRunner().invoke(command, ["check", str(path), "--json"])
    assert shadowed.exit_code == 1
    assert json.loads(shadowed.output)["findings"][0]["severity"] == "error"
    put(tmp_path, "rules: [{name: a, tool: t, decision: dney}]")
    wrong = CliRunner().invoke(command, ["check", str(path)])
    assert wrong.exit_code == 1
    assert "policy.yaml:1: rules.0.decision" in wrong.output


def test_the_command_line_runs_a_files_tests(tmp_path: Path) -> None:
    path = put(tmp_path, FILES)
    passed = CliRunner().invoke(command, ["test", str(path), "--all-rules"])
    assert passed.exit_code == 0, passed.output
    assert "5 tests, 0 failed; 5 of 5 rules reached" in passed.output
    put(tmp_path, FILES.replace("expect: ask, rule: writing is asked", "expect: allow"))
    failed = CliRunner().invoke(command, ["test", str(path)])
    assert failed.exit_code == 1
    assert "policy.yaml:26: write_file: allow: expected allow, decided ask by 'writing is asked'" in failed.output


def test_a_rule_no_test_reaches_is_named_and_fails_where_asked(tmp_path: Path) -> None:
    kept = [line for line in FILES.splitlines() if "rule: never secrets" not in line]
    path = put(tmp_path, "\n".join(kept))
    loose = CliRunner().invoke(command, ["test", str(path)])
    assert (loose.exit_code, "reached by no test: never secrets" in loose.output) == (0, True)
    assert CliRunner().invoke(command, ["test", str(path), "--all-rules"]).exit_code == 1


def test_a_changed_file_is_followed_and_the_last_good_one_holds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    put(tmp_path, "allow: [a]", "base.yaml")
    path = put(tmp_path, "extends: base.yaml")
    policy = PolicyFile(path, clock=lambda: now[0])
    first = policy()
    put(tmp_path, "allow: [a, b]", "base.yaml")
    assert policy() is first
    now[0] += 1
    assert policy().allow == ("a", "b")
    put(tmp_path, "alow: [a]", "base.yaml")
    for _ in range(3):
        now[0] += 1
        assert policy().allow == ("a", "b")
    assert "unknown key 'alow'" in policy.problem
    assert len([r for r in caplog.records if "the last good one holds" in r.message]) == 1
    (tmp_path / "base.yaml").unlink()
    now[0] += 1
    assert policy().allow == ("a", "b")
    put(tmp_path, "allow: [c]", "base.yaml")
    now[0] += 1
    assert (policy().allow, policy.problem) == (("c",), "")


def test_tests_are_no_part_of_a_policys_version() -> None:
    assert parse_policy(FILES).fingerprint == parse_policy(FILES[: FILES.index("tests:")]).fingerprint


def test_the_documented_file_is_one_without_problems_and_passes_its_tests(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "policy.md").read_text(encoding="utf-8")
    put(tmp_path, "allow: []", "base.yaml")
    path = put(tmp_path, text.split("```yaml\n")[1].split("```")[0])
    assert findings(read_pages(path), load_policy(path), NOON) == []
    tested = run_cases(read_pages(path), load_policy(path))
    assert (len(tested.results), tested.failed) == (2, [])
