from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from spanhouse_alerts.check import DEFAULT_RULES, check, load, loads, schema
from spanhouse_alerts.rules import BudgetRule, RatioRule, Severity
from spanhouse_alerts.source import MAX_BYTES, RulesError
from spanhouse_alerts.wording import describe

GOOD = """\
version: 1
defaults: {interval: 10s}
receivers:
  ops: {apprise: "env:OPS_URL"}
  soc:
    webhook: {url: "https://soc.example/hook", hmac_secret: "env:SOC_HMAC"}
routes:
  - {match: {severity: page}, to: [ops, soc]}
  - {to: [ops]}
rules:
  - id: tool-errors
    kind: ratio
    metric: tool_error_rate
    by: [tenant, tool]
    window: {rolling: 30m}
    min_samples: 20
    compare: {above: 0.15}
    recover: 0.10
    for: 2m
    severity: page
  - id: tenant-day
    kind: budget
    metric: cost
    amount: 10
    per: [tenant]
    window: {cumulative: day, tz: Europe/Brussels}
"""


@pytest.mark.parametrize(("written", "meant"), [("cost", "spend"), ("tokens", "tokens_spent"), ("runs", "runs")])
def test_a_budget_is_held_against_what_was_spent_whatever_it_is_called(written: str, meant: str) -> None:
    """A budget on cost does not wait for runs to end."""
    rule = f"{{id: day, kind: budget, metric: {written}, amount: 10, window: {{cumulative: day}}}}"
    [found] = loads(f"version: 1\nrules: [{rule}]").rules
    assert found.metric == meant


def test_a_good_file_loads_as_written() -> None:
    """Durations, defaults and the budget's 80 and 100 % come out as said."""
    rules = loads(GOOD)
    ratio, budget = rules.rules
    assert isinstance(ratio, RatioRule)
    assert isinstance(budget, BudgetRule)
    assert (ratio.for_.total_seconds(), ratio.confidence, ratio.compare.line, ratio.recovery) == (120, 0.95, 0.15, 0.1)
    assert [(t.severity, t.at) for t in budget.thresholds] == [(Severity.WARN, 0.8), (Severity.PAGE, 1.0)]
    assert rules.route("tool-errors", Severity.PAGE).to == ("ops", "soc")
    assert rules.route("tenant-day", Severity.WARN).to == ("ops",)
    assert check(GOOD) == []


def test_without_routes_everybody_is_told() -> None:
    """No routes: all receivers. Routes of which none matches: nobody."""
    head, _, tail = GOOD.partition("routes:\n")
    rules_part = tail[tail.index("rules:") :]
    assert loads(head + rules_part).route("tool-errors", Severity.WARN).to == ("ops", "soc")
    only_pages = loads(head + "routes: [{match: {severity: page}, to: [ops]}]\n" + rules_part)
    assert only_pages.route("tool-errors", Severity.WARN).to == ()


BAD = [
    ("min_samples: 20", "min_samples: 0", 16, "greater than or equal to 1"),
    ("    min_samples: 20\n", "", 11, "'min_samples' is missing"),
    ("recover: 0.10", "recover: 0.20", 11, "wrong side"),
    ("compare: {above: 0.15}", "compare: {above: 15}", 17, "less than or equal to 1"),
    ("compare: {above: 0.15}", "compare: {above: 0.15, below: 0.1}", 17, "exactly one of above and below"),
    ("compare: {above: 0.15}", "compare: {above: 1.0}", 11, "can never fire"),
    ("compare: {above: 0.15}", "compare: {above: .nan}", 17, "finite number"),
    ("metric: tool_error_rate", "metric: tool_eror_rate", 13, "did you mean 'tool_error_rate'"),
    ("by: [tenant, tool]", "by: [tenant, tol]", 14, "did you mean 'tool'"),
    ("by: [tenant, tool]", "by: [tenant, tenant]", 11, "names a dimension twice"),
    ("by: [tenant, tool]", "by: tenant", 14, "valid tuple"),
    ("per: [tenant]", "per: [tenat]", 25, "did you mean 'tenant'"),
    ("for: 2m", "for: 120", 19, "not a duration"),
    ("for: 2m", "form: 2m", 19, "unknown key 'form': did you mean 'for'"),
    ("for: 2m", "on: 2m", 19, "read as True by YAML"),
    ("severity: page\n  -", "severity: loud\n  -", 20, "'warn' or 'page'"),
    ("kind: budget", "kind: bugdet", 21, "unknown kind 'bugdet'"),
    ("    kind: budget\n", "", 21, "'kind' is missing"),
    ("amount: 10", "amount: 0", 24, "greater than 0"),
    ("amount: 10", 'amount: "10"', 24, "amount"),
    ("metric: cost", "metric: euros", 23, "'spend', 'tokens_spent' or 'runs'"),
    ("tz: Europe/Brussels", "tz: Europe/Brussel", 26, "time zone 'Europe/Brussel' is not known"),
    ("tz: Europe/Brussels", "tz: ../../etc/passwd", 26, "time zone"),
    ("cumulative: day", "cumulative: hour", 26, "'day', 'week' or 'month'"),
    ("id: tenant-day", "id: tool-errors", 21, "taken by the rule on line 11"),
    ("id: tenant-day", "id: Tenant Day", 21, "pattern"),
    ("to: [ops, soc]", "to: [ops, sock]", 8, "did you mean 'soc'"),
    ("to: [ops, soc]", "to: []", 8, "at least 1"),
    ("{match: {severity: page}, to", "{match: {}, to", 8, "never count"),
    ("match: {severity: page}", "match: {rule: tool-error}", 8, "did you mean 'tool-errors'"),
    ('{apprise: "env:OPS_URL"}', "{}", 4, "exactly one of webhook and apprise"),
    ('hmac_secret: "env:SOC_HMAC"', "hmac_secret: hunter2", 6, "must not stand in the file"),
    ("https://soc.example/hook", "ftp://soc.example/hook", 6, "must start with http"),
    ("interval: 10s", "interval: 0s", 2, "between 1s and 1h"),
    ("interval: 10s", "interval: 45m", 15, "shorter than the interval"),
    ("interval: 10s", "interval: 10s, interval: 5s", 2, "written twice"),
    ("version: 1\n", "version: 2\n", 1, "1"),
    ("version: 1\n", "", 1, "'version' is missing"),
    ("amount: 10", "amount: &a 10", 24, "anchors"),
    ("amount: 10", "amount: *a", 24, "anchors"),
    ("amount: 10", "amount: !!python/object/apply:os.system [ls]", 24, "tag"),
    ("amount: 10", "labels: {severity: x}\n    amount: 10", 21, "set by the rule itself"),
    (
        "amount: 10",
        "thresholds: [{severity: warn, at: 1.0}, {severity: page, at: 0.8}]\n    amount: 10",
        21,
        "must be below",
    ),
    (
        "amount: 10",
        "thresholds: [{severity: warn, at: 0.8}, {severity: warn, at: 1}]\n    amount: 10",
        21,
        "equal labels",
    ),
    ("amount: 10", "thresholds: []\n    amount: 10", 24, "at least 1"),
    ("amount: 10", "amount: [10", 25, "expected"),
    (
        "amount: 10",
        "filter: tool_eror > 1\n    amount: 10",
        24,
        "unknown field 'tool_eror': did you mean 'tool_errors'?",
    ),
    ("amount: 10", "filters: {tenat: acme}\n    amount: 10", 24, "unknown filter 'tenat': did you mean 'tenant'"),
]


@pytest.mark.parametrize(
    ("was", "becomes", "line", "message"), BAD, ids=[f"{i}-{b[1][:25]}" for i, b in enumerate(BAD)]
)
def test_what_cannot_work_is_refused_with_its_line(was: str, becomes: str, line: int, message: str) -> None:
    """One change to a good file gives one finding, on the right line, that says what to change."""
    assert GOOD.count(was) == 1
    problems = check(GOOD.replace(was, becomes))
    assert [problem.line for problem in problems] == [line], problems
    assert message in problems[0].message


def test_every_finding_is_told_at_once() -> None:
    """Three mistakes give three findings in the order of their lines."""
    text = GOOD.replace("interval: 10s", "intervall: 10s").replace("min_samples: 20", "min_samples: -1")
    assert [p.line for p in check(text.replace("amount: 10", "amount: -1"))] == [2, 16, 24]


@pytest.mark.parametrize("text", ["", "[]", "just text", "rules:\n", "version: 1\nrules: {}\n", "\x00", "a: [" * 3_000])
def test_what_is_no_rules_file_is_a_finding_and_no_crash(text: str) -> None:
    """Empty, other and deeply nested YAML is answered with findings."""
    assert check(text)


def test_a_huge_file_is_refused_unread() -> None:
    """Over 256 KB nothing is parsed."""
    assert "256 KB" in check("#" * (MAX_BYTES + 1))[0].message


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    """A missing file and one that is no UTF-8 are findings that name the file."""
    with pytest.raises(RulesError, match=r"cannot read .*none\.yaml"):
        load(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"version: 1 # caf\xe9")
    with pytest.raises(RulesError, match="not UTF-8"):
        load(tmp_path / "latin.yaml")


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
    )
)
def test_no_yaml_crashes_the_check(value: object) -> None:
    """Whatever a file holds, the answer is a list of findings."""
    assert check(yaml.safe_dump({"version": 1, "rules": [value]}))
    assert check(yaml.safe_dump({"version": 1, "rules": [{"id": "a", "kind": "ratio", "by": value}]}))


def test_the_default_rules_load_and_read_as_english() -> None:
    """What `spanhouse up` uses without a file is good, and each rule says what it watches for."""
    rules = load(DEFAULT_RULES)
    said = {rule.id: describe(rule) for rule in rules.rules}
    assert said["tenant-day-budget"] == (
        "warn when spend per tenant and day (UTC) reaches 80 % of $50.00, page at 100 %"
    )
    assert said["tool-errors"] == (
        "page when tool_error_rate by tenant and tool over the last 30m is above 15 %, 95 % sure, out of 20 or more"
    )


def test_the_schema_describes_the_file() -> None:
    """Editors get the keys as they are written, `for` among them, and unknown ones are marked."""
    text = json.dumps(schema())
    assert '"for"' in text
    assert '"for_"' not in text
    assert schema()["additionalProperties"] is False
