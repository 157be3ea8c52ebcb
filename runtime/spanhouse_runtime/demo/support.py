"""A support agent: runs that finish rightly, wrongly and in spite of a failed tool, and one handed to a person."""

from __future__ import annotations

from typing import Any

from spanhouse_runtime.agent import Agent
from spanhouse_runtime.demo.scenario import GPT_4O_MINI, Case, Scenario, Stage
from spanhouse_runtime.demo.script import Line, scripted
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.policy import Condition, Decision, Policy, Rule
from spanhouse_runtime.tools import Function, tool

_INSTRUCTIONS = (
    "You are the support agent of an online shop. Look an order up before you say anything about it. "
    "Refund at most 100 EUR; hand larger sums and upset customers to a person."
)
_POLICY = Policy(
    rules=(
        Rule(
            name="small refunds only",
            tool="refund_order",
            arguments={"amount": Condition(at_most=100)},
            decision=Decision.ALLOW,
        ),
    ),
    allow=("lookup_*", "track_*", "transfer_to_human"),
)


def _agent(stage: Stage, lines: list[Line]) -> Agent:
    return Agent(
        "support-agent",
        scripted(stage, GPT_4O_MINI, lines),
        [tool(made, once=made.__name__ == "refund_order") for made in _tools(stage)],
        limits=Limits(max_usd=0.50, max_steps=10),
        policy=_POLICY,
        instructions=_INSTRUCTIONS,
        version="1.4.0",
        price=GPT_4O_MINI[2],
    )


def _tools(stage: Stage) -> list[Function]:
    def lookup_order(order_id: str) -> dict[str, Any]:
        """Return an order: state, items and amount."""
        stage.work(0.12)
        return {
            "order_id": order_id,
            "state": "delivered",
            "items": ["kettle 1.7 l"],
            "amount": 64.90,
            "currency": "EUR",
        }

    def refund_order(order_id: str, amount: float, reason: str = "") -> dict[str, Any]:
        """Refund an amount of an order to the card it was paid with."""
        stage.work(0.3)
        return {"refund_id": f"re_{order_id}", "amount": amount, "reason": reason, "state": "booked"}

    def track_parcel(order_id: str) -> dict[str, Any]:
        """Return where the parcel of an order is."""
        stage.work(0.2)
        msg = f"carrier API at tracking.carrier.example refused the connection for {order_id}"
        raise ConnectionError(msg)

    def transfer_to_human(reason: str) -> dict[str, Any]:
        """Hand the conversation to a person."""
        stage.work(0.05)
        return {"queue": "tier-2", "position": 3, "reason": reason}

    return [lookup_order, refund_order, track_parcel, transfer_to_human]


def _refund(stage: Stage) -> Case:
    order = stage.order()
    lines: list[Line] = [
        ("lookup_order", {"order_id": order}),
        ("refund_order", {"order_id": order, "amount": 64.90, "reason": "arrived broken"}),
        f"I am sorry the kettle arrived broken. I have refunded 64.90 EUR for order {order} to your card.",
    ]
    task = f"My kettle arrived broken, order {order}. I want my money back."
    return Case(_agent(stage, lines), task, lambda answer: "64.90" in answer and order in answer)


def _status(stage: Stage) -> Case:
    order = stage.order()
    lines: list[Line] = [("lookup_order", {"order_id": order}), f"Order {order} was delivered: one kettle, 64.90 EUR."]
    return Case(_agent(stage, lines), f"Where is my order {order}?", lambda answer: "delivered" in answer)


def _wrong(stage: Stage) -> Case:
    order = stage.order()
    lines: list[Line] = [("lookup_order", {"order_id": order}), f"Order {order} is on its way and arrives tomorrow."]
    return Case(_agent(stage, lines), f"Has order {order} been delivered?", lambda answer: "delivered" in answer)


def _tool_error(stage: Stage) -> Case:
    order = stage.order()
    lines: list[Line] = [
        ("track_parcel", {"order_id": order}),
        ("lookup_order", {"order_id": order}),
        f"The carrier does not answer right now, but our records say that order {order} was delivered.",
    ]
    return Case(_agent(stage, lines), f"Track the parcel of order {order}.", lambda answer: "delivered" in answer)


def _escalated(stage: Stage) -> Case:
    order = stage.order()
    lines: list[Line] = [
        ("lookup_order", {"order_id": order}),
        (
            "transfer_to_human",
            {"reason": f"Customer asks for 480 EUR for damage caused by order {order}; over my limit."},
        ),
    ]
    task = f"The kettle of order {order} ruined my kitchen counter. I want 480 EUR and a manager!"
    return Case(_agent(stage, lines), task)


SCENARIOS = (
    Scenario("refund", "finish", "a refund within policy, done once", "refund", "acme", "u-1042", _refund),
    Scenario("order-status", "finish", "a plain question answered", "order_status", "globex", "u-7781", _status),
    Scenario(
        "wrong-answer", "finish", "finished, and still a failure by its check", "order_status", "acme", "u-1109", _wrong
    ),
    Scenario(
        "tool-error",
        "finish",
        "a tool fails and the run succeeds all the same",
        "tracking",
        "globex",
        "u-7790",
        _tool_error,
    ),
    Scenario("escalated", "escalated", "handed to a person", "complaint", "globex", "u-7802", _escalated),
)
