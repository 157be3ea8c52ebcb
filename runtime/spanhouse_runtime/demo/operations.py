"""Agents that act: one is denied, one waits on a dead tool, one charges twice and pays once, one is stopped by hand."""

from __future__ import annotations

import threading
from typing import Any

from spanhouse.context import current_run
from spanhouse_runtime.agent import Agent
from spanhouse_runtime.demo.scenario import GPT_4O, GPT_4O_MINI, Case, Scenario, Stage
from spanhouse_runtime.demo.script import Line, scripted
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.policy import Decision, Policy, Rule
from spanhouse_runtime.tools import tool

_HANGS_SECONDS = 30.0


def _denied(stage: Stage) -> Case:
    def list_records(table: str, older_than_days: int) -> dict[str, Any]:
        """Count the records of a table that are older than this."""
        stage.work(0.2)
        return {"table": table, "older_than_days": older_than_days, "records": 18_442}

    def delete_records(table: str, older_than_days: int) -> dict[str, Any]:
        """Delete the records of a table that are older than this."""
        msg = f"the policy let a deletion from {table} older than {older_than_days} days through"
        raise AssertionError(msg)

    lines: list[Line] = [
        ("list_records", {"table": "invoices", "older_than_days": 365}),
        ("delete_records", {"table": "invoices", "older_than_days": 365}),
    ]
    agent = Agent(
        "ops-agent",
        scripted(stage, GPT_4O, lines),
        [list_records, delete_records],
        policy=Policy(
            rules=(
                Rule(
                    name="no deletion in production",
                    tool="delete_*",
                    decision=Decision.DENY,
                    why="invoices are kept for ten years",
                ),
            ),
            allow=("list_*",),
        ),
        instructions="You keep the databases tidy. Free space where you can.",
        version="3.1.0",
        price=GPT_4O[2],
    )
    return Case(agent, "The invoices table is filling the disk. Clean it up.")


def _timeout(stage: Stage) -> Case:
    def reconcile_ledger(month: str) -> dict[str, Any]:
        """Match payments against invoices for a month."""
        threading.Event().wait(_HANGS_SECONDS)
        return {"month": month}

    agent = Agent(
        "billing-agent",
        scripted(stage, GPT_4O_MINI, [("reconcile_ledger", {"month": "2026-10"})]),
        [tool(reconcile_ledger, timeout_seconds=1.0)],
        instructions="You close the books of the month.",
        version="1.2.5",
        price=GPT_4O_MINI[2],
    )
    return Case(agent, "Reconcile October and report what does not match.")


def _replayed(stage: Stage) -> Case:
    order = stage.order()
    charges: list[str] = []

    def charge_card(order_id: str, amount: float) -> dict[str, Any]:
        """Charge the card on file for an order."""
        stage.work(0.4)
        charges.append(order_id)
        return {"charge_id": f"ch_{order_id}_{len(charges)}", "amount": amount, "state": "captured"}

    lines: list[Line] = [
        ("charge_card", {"order_id": order, "amount": 249.00}),
        ("charge_card", {"amount": 249, "order_id": order}),
        f"Order {order} is paid: 249.00 EUR were captured once.",
    ]
    agent = Agent(
        "payment-agent",
        scripted(stage, GPT_4O_MINI, lines),
        [tool(charge_card, once=True, key=lambda arguments: str(arguments["order_id"]))],
        limits=Limits(max_usd=0.25),
        instructions="You collect payments. If you are not sure that a charge went through, charge again.",
        version="1.0.3",
        price=GPT_4O_MINI[2],
    )
    return Case(
        agent, f"Collect the 249 EUR for order {order}.", lambda answer: "captured once" in answer and len(charges) == 1
    )


def _stopped(stage: Stage) -> Case:
    told = threading.Event()

    def wait_for_batch(batch_id: str) -> dict[str, Any]:
        """Return how far a batch job has come."""
        run = current_run()
        assert run is not None
        assert stage.stop_run is not None
        if not told.is_set():
            told.set()
            stage.stop_run(run.run_id)
        stage.work(0.5)
        return {"batch_id": batch_id, "state": "running", "done": 0.41}

    def line(_: int) -> Line:
        return ("wait_for_batch", {"batch_id": "nightly-embeddings"})

    agent = Agent(
        "batch-agent",
        scripted(stage, GPT_4O_MINI, line),
        [tool(wait_for_batch, polling=True)],
        limits=Limits(max_steps=500, max_tool_calls=500, max_seconds=60),
        instructions="You watch over batch jobs until they are done.",
        version="0.4.0",
        price=GPT_4O_MINI[2],
        control=stage.control,
    )
    return Case(agent, "Wait for the nightly embeddings and report when they are done.")


SCENARIOS = (
    Scenario(
        "denied",
        "policy_deny:delete_records",
        "a deletion the policy refuses",
        "maintenance",
        "acme",
        "u-1001",
        _denied,
    ),
    Scenario(
        "tool-timeout",
        "tool_timeout:reconcile_ledger",
        "a tool that never answers",
        "closing",
        "acme",
        "u-1023",
        _timeout,
    ),
    Scenario("repeat-charge", "finish", "a charge asked for twice, made once", "payment", "acme", "u-1055", _replayed),
    Scenario(
        "operator-stop",
        "operator_kill",
        "stopped by a person while it works",
        "batch",
        "globex",
        "u-7700",
        _stopped,
        needs_operator=True,
    ),
)
