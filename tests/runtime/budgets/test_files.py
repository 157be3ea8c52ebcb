"""Budgets come from a file that is followed, and what is left of them can be listed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from spanhouse.errors import ConfigurationError
from spanhouse.stop_reasons import StopCode
from spanhouse_runtime.budget import BudgetRefused
from spanhouse_runtime.budgets import Budget, BudgetsFile, BudgetStore, Scope, load_budgets
from spanhouse_runtime.budgets.listing import Holder, of_tenants
from spanhouse_runtime.budgets.rules import accounts
from spanhouse_runtime.guard import Subject
from spanhouse_server.cli.budgets import budgets

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TOKENS, USD = StopCode.MAX_TOKENS, StopCode.MAX_USD

BUDGETS = """
budgets:
  - {scope: tenant/day, max_usd: 10, max_tokens: 1000}
  - {scope: tenant/day, tenant: acme, max_tokens: 100}
  - {scope: user/month, max_tokens: 400}
  - {scope: request, max_tool_calls: 3}
"""


def put(folder: Path, text: str) -> Path:
    path = folder / "budgets.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_says_what_the_model_says(tmp_path: Path) -> None:
    found = load_budgets(put(tmp_path, BUDGETS))
    assert found[1] == Budget(scope=Scope.TENANT_DAY, tenant="acme", max_tokens=100)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "budgets:\n- {scope: user/day, max_use: 1}",
            r"budgets\.yaml:2: .*unknown key 'max_use': did you mean 'max_usd'",
        ),
        ("budgets:\n- {scope: user/week, max_usd: 1}", r"budgets\.yaml:2: budgets\.0\.scope: .*'user/day'"),
        ("budgets:\n\n- {scope: user/day}", r"budgets\.yaml:3: .*limits nothing"),
        ("budgets:\n- {scope: run, max_usd: .nan}", r"budgets\.yaml:2: .*finite number"),
        ("budgets:\n- {scope: run, max_usd: -1}", r"budgets\.yaml:2"),
        ("budgets:\n- {scope: run, max_usd: 1}\n- {scope: run, max_steps: 1}", r"yaml:3: .* stands on line 2 already"),
        ("", r"budgets\.yaml:1: .*not nothing"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    path = put(tmp_path, text)
    with pytest.raises(ConfigurationError, match=says):
        load_budgets(path)
    checked = CliRunner().invoke(budgets, ["check", str(path)])
    assert checked.exit_code == 1
    assert "budgets.yaml:" in checked.output


def test_a_store_keeps_to_its_file_as_it_changes(tmp_path: Path) -> None:
    now = [0.0]
    path = put(tmp_path, "budgets: [{scope: run, max_tokens: 5}]")
    store = BudgetStore(f"sqlite:///{tmp_path}/b.db", BudgetsFile(path, clock=lambda: now[0]))
    with pytest.raises(BudgetRefused):
        store.reserve(Subject("r"), {TOKENS: 6})
    put(tmp_path, "budgets: [{scope: run, max_tokens: 50}]")
    now[0] += 1
    store.release(store.reserve(Subject("r"), {TOKENS: 6}))
    put(tmp_path, "budgets: nonsense")
    now[0] += 1
    store.release(store.reserve(Subject("r"), {TOKENS: 6}))
    store.close()


@given(st.sampled_from(Scope), st.text(max_size=8), st.text(max_size=8), st.text(max_size=8))
def test_whose_an_account_is_can_be_told_from_its_key(scope: Scope, tenant: str, user: str, name: str) -> None:
    subject = Subject(run_id=name, request_id=name, tenant=tenant, user_id=user)
    (account,) = accounts([Budget(scope=scope, max_steps=1)], subject, NOON)
    holder = Holder.parse(account.key)
    assert holder.scope is scope
    if scope in {Scope.REQUEST, Scope.TENANT_DAY, Scope.USER_DAY, Scope.USER_MONTH}:
        assert holder.tenant == tenant
    if scope in {Scope.USER_DAY, Scope.USER_MONTH}:
        assert holder.user == user
    if scope in {Scope.REQUEST, Scope.RUN}:
        assert holder.name == name
    assert holder.current(NOON) is (scope not in {Scope.REQUEST, Scope.RUN})


def spent(folder: Path) -> str:
    url = f"sqlite:///{folder}/b.db"
    store = BudgetStore(url, load_budgets(put(folder, BUDGETS)))
    for tenant, tokens in (("acme", 80), ("globex", 200)):
        subject = Subject("r1", request_id="q1", tenant=tenant, user_id="ann")
        store.settle(store.reserve(subject, {TOKENS: tokens, USD: 1}), {TOKENS: tokens, USD: 2_500_000_000})
    store.reserve(Subject("r2", tenant="acme", user_id="bob"), {TOKENS: 10, StopCode.MAX_TOOL_CALLS: 1})
    store.close()
    return url


def test_what_is_left_is_listed_with_the_strictest_limit_the_fullest_first(tmp_path: Path) -> None:
    url = spent(tmp_path)
    store = BudgetStore(url, load_budgets(tmp_path / "budgets.yaml"))
    rows = [row.as_json() for row in store.uses()]
    everything = store.uses(every=True)
    store.close()
    shown = [
        (r["scope"], r["tenant"], r["user"], r["budget"], r["limit"], r["used"], r["reserved"], r["share"])
        for r in rows
    ]
    assert shown == [
        ("tenant/day", "acme", None, "max_tokens", 100, 80, 10, 0.9),
        ("user/month", "globex", "ann", "max_tokens", 400, 200, 0, 0.5),
        ("tenant/day", "acme", None, "max_usd", 10.0, 2.5, 0.0, 0.25),
        ("tenant/day", "globex", None, "max_usd", 10.0, 2.5, 0.0, 0.25),
        ("tenant/day", "globex", None, "max_tokens", 1000, 200, 0, 0.2),
        ("user/month", "acme", "ann", "max_tokens", 400, 80, 0, 0.2),
        ("user/month", "acme", "bob", "max_tokens", 400, 0, 10, 0.025),
    ]
    assert "request" in {row.holder.scope.value for row in everything}
    assert {row.holder.tenant for row in of_tenants(everything, frozenset({"acme"}))} == {"acme"}


def test_the_command_line_lists_a_store(tmp_path: Path) -> None:
    url = spent(tmp_path)
    options = ["--store", url, "--file", str(tmp_path / "budgets.yaml"), "--tenant", "acme"]
    listed = CliRunner().invoke(budgets, options)
    assert listed.exit_code == 0, listed.output
    assert "90%" in listed.output
    assert "globex" not in listed.output
    assert len(json.loads(CliRunner().invoke(budgets, [*options, "--json"]).output)["budgets"]) == 4
    assert CliRunner().invoke(budgets, options[:2]).exit_code == 2


def test_the_documented_file_can_be_used(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "budgets.md").read_text(encoding="utf-8")
    assert len(load_budgets(put(tmp_path, text.split("```yaml\n")[1].split("```")[0]))) == 6
