"""An update is put on the review list of its process, and can be taken back from there for a set time."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.agents import calls, named, recorded, says
from tests.support.otlp_sink import OtlpSink

import spanhouse as sh
from spanhouse.errors import ConfigurationError
from spanhouse_runtime.agent import Agent
from spanhouse_runtime.guard import Guard
from spanhouse_runtime.policy import Policy
from spanhouse_runtime.reviews import UndoRefused
from spanhouse_runtime.scripted import ScriptedModel
from spanhouse_runtime.tools import tool
from spanhouse_runtime.traits import ToolTraits


class Account:
    """Something that can be changed and changed back."""

    def __init__(self) -> None:
        self.plan = "free"
        self.broken = False

    def set_plan(self, plan: str) -> str:
        """Set the plan."""
        before, self.plan = self.plan, plan
        return before

    def put_back(self, arguments: dict[str, Any], result: str) -> str:
        """Set the plan to what it was."""
        if self.broken:
            raise ConnectionError
        self.plan = result
        return f"{arguments['plan']} -> {result}"


class Clock:
    """Time as the test has it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def account() -> Account:
    """A fresh account."""
    return Account()


def agent_of(account: Account, *, undo: bool = True, clock: Any = None) -> Agent:
    made = tool(account.set_plan, action="update", undo=account.put_back if undo else None, undo_seconds=60)
    model = ScriptedModel([calls("set_plan", "call_7", plan="pro"), says("done")])
    return Agent("clerk", model, [made], clock=clock or Clock())


def test_an_update_is_taken_back_and_both_runs_say_so(sink: OtlpSink, account: Account) -> None:
    agent = agent_of(account)
    result = agent.run("Upgrade", tenant="acme", request_id="req-1")
    (entry,) = agent.reviews
    assert (account.plan, entry.call_id, entry.result, entry.run_id) == ("pro", "call_7", "free", result.run_id)
    assert agent.undo("call_7", by="maria", reason="wrong account") == "pro -> free"
    assert (account.plan, agent.reviews) == ("free", [])
    assert sh.flush()
    opened = named(recorded(sink, result.run_id)[1], "review")
    assert [(event["state"], event["undo"], event["review_id"]) for event in opened] == [
        ("open", True, entry.review_id)
    ]
    undone = [log for log in sink.audit if log.event_name == "review" and log.data["state"] == "undone"]
    assert [(e.data["review_id"], e.data["by"], e.data["reason"], e.data["of_run"]) for e in undone] == [
        (entry.review_id, "maria", "wrong account", result.run_id)
    ]
    assert undone[0].attributes["spanhouse.request_id"] == "req-1"
    assert undone[0].attributes["tenant.id"] == "acme"


def test_an_update_is_taken_back_once(account: Account) -> None:
    agent = agent_of(account)
    agent.run("Upgrade")
    agent.undo("call_7", by="maria")
    with pytest.raises(UndoRefused, match="nothing on the review list is called 'call_7'"):
        agent.undo("call_7", by="maria")


def test_after_its_time_an_update_stays_done(account: Account) -> None:
    clock = Clock()
    agent = agent_of(account, clock=clock)
    agent.run("Upgrade")
    clock.now = 60.0
    assert agent.reviews == []
    with pytest.raises(UndoRefused, match="its time is up"):
        agent.undo("call_7", by="maria")
    assert account.plan == "pro"


def test_an_undo_that_fails_leaves_the_update_on_the_list(sink: OtlpSink, account: Account) -> None:
    agent = agent_of(account)
    agent.run("Upgrade")
    account.broken = True
    with pytest.raises(ConnectionError):
        agent.undo("call_7", by="maria")
    account.broken = False
    assert agent.undo("call_7", by="maria") == "pro -> free"
    assert sh.flush()
    assert len([log for log in sink.audit if log.data.get("state") == "undone"]) == 1


def test_an_update_without_an_undo_is_reviewed_and_its_undo_refused(sink: OtlpSink, account: Account) -> None:
    agent = agent_of(account, undo=False)
    result = agent.run("Upgrade")
    with pytest.raises(UndoRefused, match="set_plan has no undo"):
        agent.undo("call_7", by="maria")
    assert [entry.call_id for entry in agent.reviews] == ["call_7"]
    assert [event["undo"] for event in named(recorded(sink, result.run_id)[1], "review")] == [False]


def test_an_update_that_was_looked_at_stays_and_the_record_says_who_did(sink: OtlpSink, account: Account) -> None:
    agent = agent_of(account)
    agent.run("Upgrade")
    agent.keep("call_7", by="maria")
    assert (account.plan, agent.reviews) == ("pro", [])
    assert sh.flush()
    assert [log.data["by"] for log in sink.audit if log.data.get("state") == "kept"] == ["maria"]


def test_an_undo_must_take_what_it_is_given() -> None:
    def wrong(order: str) -> None:
        """Take something else."""

    with pytest.raises(ConfigurationError, match="its undo must take arguments and result"):
        tool(lambda: None, name="change", action="update", undo=wrong)


def test_tools_of_other_frameworks_are_put_on_the_list_by_their_guard(sink: OtlpSink) -> None:
    guard = Guard("worker", policy=Policy(allow=("*",)), traits={"set_*": ToolTraits("update")})
    with guard.run("job") as guarded, guarded.tool("set_plan", {"plan": "pro"}) as call:
        call.result("free")
    assert [e["undo"] for e in named(recorded(sink, guarded.run.run_id)[1], "review")] == [False]
