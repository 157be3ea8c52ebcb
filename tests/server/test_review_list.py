"""The review list over the real path: agents put updates on it, people see what nobody has looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner
from tests.support.agents import calls, says
from tests.support.served import Served

import spanhouse as sh
from spanhouse_runtime import Agent, ScriptedModel, tool
from spanhouse_server.cli.commands import cli
from spanhouse_server.cli.review import reviews


@pytest.fixture
def recording(served: Served) -> Iterator[None]:
    """The SDK, sending to the server."""
    sh.init("review-test", url=served.url)
    yield
    sh.shutdown()


def put_back(arguments: dict[str, Any], result: str) -> str:
    """Take it back."""
    return f"{arguments} {result}"


def listed(served: Served, *options: str) -> list[dict[str, Any]]:
    """Return what the command lists, by call."""
    ended = CliRunner().invoke(cli, ["review", "list", "--json", *options], env={"SPANHOUSE_URL": served.url})
    assert ended.exit_code == 0, ended.output
    found: list[dict[str, Any]] = json.loads(ended.stdout)["reviews"]
    return found


@pytest.mark.usefixtures("recording")
def test_an_update_is_listed_until_somebody_has_looked(served: Served) -> None:
    def set_plan(plan: str) -> str:
        """Set the plan."""
        return plan

    plans = {"c1": "pro", "c2": "max", "c3": "basic"}
    model = ScriptedModel([*(calls("set_plan", call, plan=plan) for call, plan in plans.items()), says("done")])
    agent = Agent("billing", model, [tool(set_plan, action="update", undo=put_back)])
    result = agent.run("Upgrade", tenant="default")
    agent.undo("c1", by="maria", reason="wrong user")
    agent.keep("c2", by="tom")
    assert sh.flush()
    served.drain()
    (entry,) = listed(served, "--run", result.run_id)
    assert (entry["call_id"], entry["tool"], entry["agent"], entry["undo"]) == ("c3", "set_plan", "billing", True)
    everything = {entry["call_id"]: (entry["state"], entry["by"]) for entry in listed(served, "--all")}
    assert everything == {"c1": ("undone", "maria"), "c2": ("kept", "tom"), "c3": ("open", None)}
    shown = CliRunner().invoke(cli, ["review", "list"], env={"SPANHOUSE_URL": served.url})
    assert "set_plan" in shown.stdout
    nobodys = CliRunner().invoke(cli, ["review", "list", "--tenant", "nobody"], env={"SPANHOUSE_URL": served.url})
    assert nobodys.stdout.strip().endswith("Nothing waits to be looked at.")


NOW = datetime(2026, 1, 2, tzinfo=UTC)


def event(review_id: str, state: str, *, tenant: str = "acme", **data: Any) -> dict[str, Any]:
    """Return a review event as the API gives it."""
    named = {"time": "2026-01-01T00:00:00Z", "tenant": tenant, "agent": "a", "run_id": "r", "request_id": None}
    return {**named, "tool": "t", "data": {"review_id": review_id, "state": state, **data}}


def test_entries_have_one_state_whatever_the_order_of_events() -> None:
    events = [
        event("1", "undone", by="maria"),
        event("1", "open"),
        event("2", "open", until="2026-01-01T23:00:00.000Z"),
        event("3", "open", until="2026-01-03T00:00:00.000Z"),
        event("3", "kept", tenant="globex"),
        {**event("", ""), "data": {"decision_id": "4", "reason": "queued"}},
        {**event("", ""), "data": {"decision_id": "5", "reason": "queued"}},
        {**event("", ""), "data": {"decision_id": "5", "correct": False, "by": "tom"}},
        {**event("", ""), "data": {"kind": "need_input", "by": "tom"}},
    ]
    assert {entry["review_id"]: entry["state"] for entry in reviews(events, NOW)} == {
        "1": "undone",
        "2": "expired",
        "3": "open",
        "4": "open",
        "5": "wrong",
    }
