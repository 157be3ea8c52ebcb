"""Shared budgets as the server shows them, and grants that operators give through it, with the real process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.process import ServerProcess

from spanhouse import ControlPoller
from spanhouse.client import Client
from spanhouse.stop_reasons import StopCode
from spanhouse_runtime.budgets import Budget, BudgetStore, Scope
from spanhouse_runtime.control import Control
from spanhouse_runtime.guard import Guard, Subject
from spanhouse_runtime.policy import Policy


@pytest.mark.e2e
def test_budgets_are_listed_and_grants_are_given_by_the_command_line(tmp_path: Path) -> None:
    url, file = f"sqlite:///{tmp_path}/budgets.db", tmp_path / "budgets.yaml"
    file.write_text("budgets: [{scope: tenant/day, max_usd: 2}]", encoding="utf-8")
    store = BudgetStore(url, [Budget(scope=Scope.TENANT_DAY, max_usd=2)])
    acme = Subject("r", tenant="acme")
    store.settle(store.reserve(acme, {StopCode.MAX_USD: 10**9}), {StopCode.MAX_USD: 10**9})
    store.close()
    with ServerProcess(tmp_path / "data", budgets=str(file), budget_store=url) as server:
        (row,) = server.get("/api/v1/budgets")["budgets"]
        assert (row["scope"], row["tenant"], row["limit"], row["used"], row["share"]) == (
            "tenant/day",
            "acme",
            2.0,
            1.0,
            0.5,
        )
        assert "acme" in server.cli("budgets")
        assert json.loads(server.cli("budgets", "--tenant", "globex", "--json")) == {"budgets": []}
        file.write_text("budgets: [{scope: day}]", encoding="utf-8")
        assert "budgets.yaml:1: budgets.0.scope" in server.cli("budgets", code=1)

        grant = ["control", "grant", "agent", "writer", "--tool", "write_*", "--data", str(server.data)]
        why = ["--by", "ann", "--reason", "INC-7", "--json"]
        given = server.cli(*grant, "--resource", "path=/data/**", "--ttl", "600", *why)
        flag = json.loads(given)
        assert (flag["action"], flag["tool"], flag["resources"]) == ("grant", "write_*", {"path": ["/data/**"]})
        refused = server.cli(*grant, code=1)
        assert "a grant ends" in refused
        with ControlPoller(Client(server.url), cache="") as flags:
            assert flags.wait_for_first(10)
            guard = Guard("writer", policy=Policy(), control=Control(flags))
            reasons = []
            for path in ("/data/x", "/etc/x"):
                with guard.run("job") as guarded, guarded.tool("write_file", {"path": path}) as call:
                    call.result("written")
                reasons.append(str(guarded.stopped or "finish"))
        assert reasons == ["finish", "policy_deny:write_file"]


@pytest.mark.e2e
def test_a_server_that_was_told_of_no_budgets_says_how_to_tell_it(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        assert "SPANHOUSE_BUDGET_STORE" in server.cli("budgets", code=1)
