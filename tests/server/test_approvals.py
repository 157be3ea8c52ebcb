"""Approvals on a real server: agents ask and wait, operators answer, and nobody else does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.served import Served, problem, serving

from spanhouse import Client, ServerError
from spanhouse.canonical import args_hash

PATH = "/api/v1/approvals"
PAY = {"to": "bob", "amount": 500}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server; each test asks under a run of its own."""
    with serving(tmp_path_factory.mktemp("approvals") / "data") as running:
        yield running


@pytest.fixture
def agent(served: Served) -> Iterator[Client]:
    """The client of an agent on loopback, which shows no token."""
    with Client(served.url, token="") as client:
        yield client


def ask(agent: Client, /, **more: Any) -> dict[str, Any]:
    """Put a question about a payment."""
    arguments = more.pop("arguments", PAY)
    question = {
        "run_id": "r1",
        "tool": "pay",
        "arguments": arguments,
        "args_hash": args_hash(arguments),
        "expires_in": 60,
    }
    return agent.ask_approval(**{**question, **more})


def test_an_answer_reaches_the_agent_that_waits_and_both_ends_stand_in_the_trail(served: Served, agent: Client) -> None:
    """What was asked, who said yes and how long it took; what was asked is not kept beyond the answer."""
    asked = ask(agent, run_id="told", tenant="acme", why="money", agent="support")
    assert (asked["state"], asked["arguments"], asked["by"]) == ("waiting", PAY, None)
    heard: list[dict[str, Any]] = []
    waiting = threading.Thread(target=lambda: heard.append(agent.approval(asked["id"], wait=30)))
    waiting.start()
    with served.client as operator:
        (listed,) = operator.approvals()
        assert listed["id"] == asked["id"]
        operator.answer_approval(
            asked["id"], approved=True, args_hash=asked["args_hash"], by="ann", reason="known customer"
        )
        assert operator.approvals() == []
        assert [each["id"] for each in operator.approvals(every=True)] == [asked["id"]]
    waiting.join(30)
    (answer,) = heard
    assert (answer["state"], answer["by"], answer["reason"]) == ("approved", "ann", "known customer")
    assert answer["arguments"] is None
    served.drain()
    events = served.get("/api/v1/audit", tenant="acme")["events"]
    told = {event["name"]: event["data"] for event in events}
    assert told["approval.asked"]["tool"] == "pay"
    given = told["approval.given"]
    assert (given["by"], given["approval_id"], given["run_id"]) == ("ann", asked["id"], "told")
    assert given["duration_ms"] > 0
    assert all(event["stream"] == "control" for event in events)


def test_an_agent_cannot_approve_itself(served: Served, agent: Client) -> None:
    """On loopback too, where an agent needs no key for anything else: neither listing nor answering is for it."""
    asked = ask(agent)
    with pytest.raises(ServerError) as refused:
        agent.answer_approval(asked["id"], approved=True, args_hash=asked["args_hash"])
    assert refused.value.status == 401
    with pytest.raises(ServerError) as refused:
        agent.approvals()
    assert refused.value.status == 401
    assert agent.approval(asked["id"])["state"] == "waiting"
    assert agent.withdraw_approval(asked["id"])["state"] == "withdrawn"
    with served.client as operator, pytest.raises(ServerError) as late:
        operator.answer_approval(asked["id"], approved=True, args_hash=asked["args_hash"])
    assert late.value.status == 409


def test_an_answer_counts_once(served: Served, agent: Client) -> None:
    """The second answer, the same or another, is told that it is over; the first stands."""
    asked = ask(agent)
    with served.client as operator:
        operator.answer_approval(asked["id"], approved=False, args_hash=asked["args_hash"], by="ann", reason="no")
        for approved in (True, False):
            with pytest.raises(ServerError, match="denied by ann"):
                operator.answer_approval(asked["id"], approved=approved, args_hash=asked["args_hash"])
    assert agent.approval(asked["id"])["state"] == "denied"


def test_of_operators_who_answer_at_once_one_is_heard(served: Served, agent: Client) -> None:
    """Ten say yes or no in the same moment: one answer stands, nine are told."""
    asked = ask(agent)
    barrier, said, refused = threading.Barrier(10), list[str](), list[int | None]()

    def answer(number: int) -> None:
        with served.client as operator:
            barrier.wait(30)
            try:
                operator.answer_approval(
                    asked["id"], approved=number % 2 == 0, args_hash=asked["args_hash"], by=f"op{number}"
                )
                said.append(f"op{number}")
            except ServerError as error:
                refused.append(error.status)

    threads = [threading.Thread(target=answer, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(said) == 1
    assert refused == [409] * 9
    assert agent.approval(asked["id"])["by"] == said[0]


def test_an_answer_about_other_arguments_is_refused(served: Served, agent: Client) -> None:
    """Who saw something else has not approved this."""
    asked = ask(agent)
    with served.client as operator, pytest.raises(ServerError) as refused:
        operator.answer_approval(asked["id"], approved=True, args_hash=args_hash({**PAY, "amount": 5}))
    assert refused.value.status == 409
    assert agent.approval(asked["id"])["state"] == "waiting"
    agent.withdraw_approval(asked["id"])


def test_what_ran_out_cannot_be_answered(served: Served, agent: Client) -> None:
    """Silence is a refusal, and a late yes does not undo it."""
    asked = ask(agent, expires_in=0.01)
    assert agent.approval(asked["id"], wait=10)["state"] == "expired"
    with served.client as operator:
        with pytest.raises(ServerError, match="expired"):
            operator.answer_approval(asked["id"], approved=True, args_hash=asked["args_hash"])
        assert asked["id"] in [each["id"] for each in operator.approvals(state="expired")]


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"arguments": {"amount": float("nan")}}, "JSON"),
        ({"arguments": {"amount": float("inf")}}, "JSON"),
        ({"args_hash": "0" * 16}, "args_hash"),
        ({"arguments": ["pay"]}, "arguments"),
        ({"tool": ""}, "tool"),
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": float("nan")}, "expires_in"),
        ({"expires_in": 1e12}, "expires_in"),
        ({"run_id": ""}, "run_id"),
        ({"kind": "input"}, "question"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_question_that_cannot_be_shown_as_it_is_meant_is_refused(
    served: Served, said: dict[str, Any], word: str
) -> None:
    """NaN, a hash of something else, no tool, no end: 400, and nothing waits."""
    arguments = said.get("arguments", PAY)
    body = {"run_id": "r", "tool": "pay", "arguments": arguments, "args_hash": args_hash(arguments), "expires_in": 60}
    text = json.dumps({**body, **said})
    answer = served.http.post(PATH, content=text, headers={"content-type": "application/json"})
    assert word in problem(answer, 400)["detail"]
    with served.client as operator:
        assert operator.approvals() == []


def test_an_answer_with_nan_or_a_cut_secret_in_its_arguments_is_refused(served: Served, agent: Client) -> None:
    """A call must not be made with a text that stands for a secret, or with what is no number."""
    asked = ask(agent, arguments={"token": "Bearer sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD"})
    assert "REDACTED" in json.dumps(asked["arguments"])
    headers = {"Authorization": f"Bearer {served.parts.operator_token}", "content-type": "application/json"}
    said = {"approved": True, "args_hash": asked["args_hash"]}
    for arguments in ({"amount": float("nan")}, asked["arguments"]):
        text = json.dumps({**said, "arguments": arguments})
        problem(served.http.post(f"{PATH}/{asked['id']}/answer", content=text, headers=headers), 400)
    assert agent.approval(asked["id"])["state"] == "waiting"
    agent.withdraw_approval(asked["id"])


def test_other_arguments_reach_the_agent(served: Served, agent: Client) -> None:
    """An operator who knows better says what the call is to be made with."""
    asked = ask(agent)
    with served.client as operator:
        operator.answer_approval(
            asked["id"], approved=True, args_hash=asked["args_hash"], arguments={**PAY, "amount": 5}
        )
    found = agent.approval(asked["id"])
    assert found["answer_arguments"] == {**PAY, "amount": 5}
    assert found["args_hash"] == asked["args_hash"]


def test_a_question_for_a_text_is_answered_with_one(served: Served, agent: Client) -> None:
    """An empty yes is none."""
    asked = agent.ask_approval(kind="input", run_id="r1", question="Which account?", expires_in=60)
    said = {"approved": True, "args_hash": asked["args_hash"]}
    with served.client as operator:
        with pytest.raises(ServerError, match="text"):
            operator.answer_approval(asked["id"], **said)
        operator.answer_approval(asked["id"], **said, text="the second one")
    assert agent.approval(asked["id"])["answer_text"] == "the second one"
