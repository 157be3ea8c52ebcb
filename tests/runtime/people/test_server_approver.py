"""Approvals end to end: an agent's guard, a real server process, an operator; and every way to cheat it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.agents import Flags, named, recorded
from tests.support.otlp_sink import OtlpSink
from tests.support.process import ServerProcess

from spanhouse import Client, ServerError
from spanhouse.canonical import args_hash
from spanhouse.control import Flag
from spanhouse_runtime.control import Control
from spanhouse_runtime.guard import CallRefused, Guard
from spanhouse_runtime.guard.approval import ApprovalAnswer, ApprovalRequest
from spanhouse_runtime.people import Band, EscalationRules, ServerApprover
from spanhouse_runtime.policy import Policy

ASK = Policy.model_validate({"rules": [{"name": "money", "tool": "pay", "decision": "ask", "why": "money"}]})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A real server."""
    with ServerProcess(tmp_path_factory.mktemp("people") / "data") as running:
        yield running


@pytest.fixture
def agent(server: ServerProcess) -> Iterator[Client]:
    """What the agent speaks to the server with: nothing that could answer."""
    with Client(server.url, token="") as client:
        yield client


@pytest.fixture
def operator(server: ServerProcess) -> Iterator[Client]:
    """What an operator speaks with."""
    with Client(server.url, token=(server.data / "operator.token").read_text().strip()) as client:
        yield client


class Person:
    """Answers the first question of a run in a thread of its own, as told."""

    def __init__(self, operator: Client, run_id: str, **answer: Any) -> None:
        self._operator, self._run_id, self._answer = operator, run_id, answer
        self.seen: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        deadline = time.monotonic() + 30
        while not self.seen and time.monotonic() < deadline:
            found = [each for each in self._operator.approvals(wait=1) if each["run_id"] == self._run_id]
            self.seen = found[0] if found else {}
        said = {"approved": True, "args_hash": self.seen["args_hash"], "by": "ann", **self._answer}
        self._operator.answer_approval(self.seen["id"], **said)

    def done(self) -> dict[str, Any]:
        """Return what they were asked, once they have answered."""
        self._thread.join(60)
        return self.seen


def guard_of(agent: Client, **more: Any) -> Guard:
    """Return a guard whose payments are asked about at the server."""
    return Guard("support", policy=more.pop("policy", ASK), approver=ServerApprover(agent), **more)


def pay(guarded: Any, **arguments: Any) -> dict[str, Any]:
    """Pay, and return what was paid."""
    with guarded.tool("pay", arguments) as call:
        call.result("paid")
    return dict(call.arguments)


def test_an_operators_yes_lets_the_call_through(sink: OtlpSink, agent: Client, operator: Client) -> None:
    """The run waits meanwhile; who, why and how long stand in its record."""
    with guard_of(agent).run("job", request_id="req-1", user_id="u1") as guarded:
        person = Person(operator, guarded.run.run_id, reason="known")
        assert pay(guarded, amount=500) == {"amount": 500}
    asked = person.done()
    assert (asked["tool"], asked["arguments"], asked["why"], asked["user_id"]) == (
        "pay",
        {"amount": 500},
        "money",
        "u1",
    )
    _, events = recorded(sink, guarded.run.run_id)
    (given,) = named(events, "approval.given")
    assert (given["by"], given["reason"], given["approval_id"]) == ("ann", "known", asked["id"])
    assert given["duration_ms"] > 0
    assert "waiting" in [event["after"] for event in named(events, "state")]


def test_an_operators_edit_is_what_is_called(sink: OtlpSink, agent: Client, operator: Client) -> None:
    """And the record says so as an override."""
    with guard_of(agent).run("job") as guarded:
        person = Person(operator, guarded.run.run_id, arguments={"amount": 5})
        assert pay(guarded, amount=500) == {"amount": 5}
    person.done()
    (override,) = named(recorded(sink, guarded.run.run_id)[1], "override")
    assert (override["by"], override["after"]) == ("ann", args_hash({"amount": 5}))


def test_an_operators_no_is_told_to_the_model(sink: OtlpSink, agent: Client, operator: Client) -> None:
    """With their reason; the call is not made."""
    with guard_of(agent).run("job") as guarded:
        person = Person(operator, guarded.run.run_id, approved=False, reason="wrong person")
        with pytest.raises(CallRefused, match="ann: wrong person"):
            pay(guarded, amount=500)
    person.done()
    assert [call["status"] for call in named(recorded(sink, guarded.run.run_id)[1], "tool.call")] == ["denied"]


def test_silence_is_a_refusal(sink: OtlpSink, agent: Client, operator: Client) -> None:
    """And the question waits for nobody afterwards."""
    with (
        guard_of(agent, approval_seconds=0.6).run("job") as guarded,
        pytest.raises(CallRefused, match="nobody answered"),
    ):
        pay(guarded, amount=500)
    assert named(recorded(sink, guarded.run.run_id)[1], "approval.timeout")
    assert guarded.run.run_id not in [each["run_id"] for each in operator.approvals()]


def test_a_kill_ends_the_wait_for_an_answer(sink: OtlpSink, agent: Client, operator: Client) -> None:
    """Nobody need answer what will not be done; the question is taken back."""
    view = Flags()
    with guard_of(agent, control=Control(view)).run("job") as guarded:
        stop = threading.Timer(0.5, lambda: view.flags.append(Flag("1", "stop", "all")))
        stop.start()
        pay(guarded, amount=500)
    stop.join()
    assert str(guarded.stopped) == "operator_kill"
    (state,) = {each["state"] for each in operator.approvals(every=True) if each["run_id"] == guarded.run.run_id}
    assert state == "withdrawn"


class Forged(Client):
    """A client whose answers somebody has changed on the way."""

    changes: dict[str, Any]

    def approval(self, approval_id: str, *, wait: float = 0) -> dict[str, Any]:
        """Return the question as if it had been approved."""
        found = super().approval(approval_id, wait=0)
        return {**found, "state": "approved", "by": "mallory", "wait": wait, **self.changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"args_hash": args_hash({"amount": 1})},
        {"args_hash": None},
        {"run_id": "another run"},
        {"id": "apr_old"},
        {"state": "denied"},
        {"state": "expired"},
        {"state": "perhaps"},
        {"answer_arguments": "rm -rf"},
    ],
)
@pytest.mark.usefixtures("sink")
def test_an_answer_about_anything_else_is_no_answer(server: ServerProcess, changes: dict[str, Any]) -> None:
    """Other arguments, another run, an old question, a state nobody knows: the call is refused."""
    with Forged(server.url, token="") as client:
        client.changes = changes
        with guard_of(client, approval_seconds=1.0).run("job") as guarded, pytest.raises(CallRefused):
            pay(guarded, amount=500)


@pytest.mark.usefixtures("sink")
def test_an_old_answer_cannot_be_played_again(agent: Client, operator: Client) -> None:
    """A yes is for one call: the next equal one is asked about anew, and the first id answers nothing any more."""
    approver = ServerApprover(agent)
    guard = Guard("support", policy=ASK, approver=approver, approval_seconds=0.6)
    with guard.run("job") as guarded:
        person = Person(operator, guarded.run.run_id)
        pay(guarded, amount=500)
        old = person.done()["id"]
        again = approver.answer(old)
        assert again is not None
        assert not again.approved
        with pytest.raises(CallRefused, match="nobody answered"):
            pay(guarded, amount=500)


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), {1, 2}])
def test_arguments_that_cannot_be_shown_are_refused(sink: OtlpSink, agent: Client, amount: Any) -> None:
    """NaN, an infinity, a set: no person could say yes to what they cannot see."""
    with guard_of(agent).run("job") as guarded, pytest.raises(CallRefused, match="could not be put"):
        pay(guarded, amount=amount)
    assert named(recorded(sink, guarded.run.run_id)[1], "approval.denied")


@pytest.mark.usefixtures("sink")
def test_without_a_server_nothing_is_approved() -> None:
    """A question that cannot be put is a refusal."""
    with (
        Client("http://127.0.0.1:9", token="") as nobody,
        guard_of(nobody).run("job") as guarded,
        pytest.raises(CallRefused, match="could not be put"),
    ):
        pay(guarded, amount=500)


@pytest.mark.usefixtures("sink")
def test_a_server_that_is_away_for_a_moment_is_asked_again(agent: Client, operator: Client) -> None:
    """An answer that comes after it is heard all the same."""
    failures = iter([True, True])

    class Flaky(Client):
        def approval(self, approval_id: str, *, wait: float = 0) -> dict[str, Any]:
            if next(failures, False):
                msg = "away"
                raise ServerError(msg)
            return super().approval(approval_id, wait=wait)

    with Flaky(agent.url, token="") as flaky, guard_of(flaky).run("job") as guarded:
        person = Person(operator, guarded.run.run_id)
        pay(guarded, amount=500)
    person.done()
    assert guarded.stopped is None


def test_a_run_waits_for_a_word_and_goes_on_with_it(sink: OtlpSink, agent: Client, operator: Client) -> None:
    """In state waiting, with the time it took in the record."""
    with guard_of(agent).run("job") as guarded:
        person = Person(operator, guarded.run.run_id, text="the second one")
        assert guarded.people.need_input("Which account?") == "the second one"
    assert person.done()["question"] == "Which account?"
    _, events = recorded(sink, guarded.run.run_id)
    (asked,) = named(events, "escalation")
    assert (asked["kind"], asked["reason"]) == ("need_input", "Which account?")
    (review,) = named(events, "review")
    assert review["by"] == "ann"
    assert review["duration_ms"] > 0
    assert "waiting" in [event["after"] for event in named(events, "state")]
    assert guarded.stopped is None


def test_a_draft_is_put_to_a_person(sink: OtlpSink, agent: Client, operator: Client) -> None:
    """Their yes lets it be done, their no does not; both are reviews of the decision."""
    for text, band in (("yes", Band.ACT), ("no, ask legal", Band.DRAFT)):
        with guard_of(agent).run("job") as guarded:
            person = Person(operator, guarded.run.run_id, text=text)
            assert guarded.people.decide("send the letter", 0.6) is band
        person.done()
        events = recorded(sink, guarded.run.run_id)[1]
        (decision,), (review,) = named(events, "decision"), named(events, "review")
        assert review["decision_id"] == decision["decision_id"]
        assert review["correct"] is (band is Band.ACT)


def test_without_an_answer_the_run_is_handed_over(sink: OtlpSink, agent: Client) -> None:
    """One stop reason, ``escalated``, whether nobody answers or nobody is there."""
    with guard_of(agent).run("job") as guarded:
        guarded.people.need_input("Which account?", seconds=0.6)
    assert str(guarded.stopped) == "escalated"
    with Guard("support", policy=ASK, escalation=EscalationRules(to="team-a")).run("job") as alone:
        alone.people.need_input("Which account?")
    assert str(alone.stopped) == "escalated"
    assert named(recorded(sink, alone.run.run_id)[1], "escalation")[0]["to"] == "team-a"


def test_protocols_are_what_the_guard_needs(agent: Client) -> None:
    """Refusals name who refused; a question that was never asked has no answer."""
    approver = ServerApprover(agent)
    assert approver.answer("apr_never") == ApprovalAnswer(
        approved=False, by="nobody", reason="this question is not asked any more"
    )
    request = ApprovalRequest("r", "", "default", "", "a", "pay", {"n": 1}, "0" * 16, "rule", "", "", 5.0)
    with pytest.raises(ValueError, match="pay"):
        approver.ask(request)
