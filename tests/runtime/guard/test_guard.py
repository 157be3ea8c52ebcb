"""One guard for every call: the order of its checks, what it gives back, and the first stop that stands."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from tests.support.agents import Flags, named, recorded
from tests.support.otlp_sink import OtlpSink

from spanhouse.control import Flag
from spanhouse.errors import ConfigurationError, RunStopped
from spanhouse_runtime.control import Control
from spanhouse_runtime.guard import (
    ApprovalAnswer,
    ApprovalRequest,
    Breakers,
    BreakerSettings,
    CallRefused,
    Guard,
    GuardedRun,
    Rate,
    current_guarded_run,
)
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.money import Price
from spanhouse_runtime.policy import Decision, Policy, Rule

OPEN = Policy(allow=("*",))
ASK_PAY = Policy(rules=(Rule(name="ask for money", tool="pay", decision=Decision.ASK),), allow=("*",))


def broken(guarded: GuardedRun, tool: str, **arguments: Any) -> None:
    """Make a call that fails."""
    with guarded.tool(tool, arguments):
        msg = "broken"
        raise ValueError(msg)


class Desk:
    """A person who answers as told; ``answers`` is by tool."""

    def __init__(self, answer: ApprovalAnswer | None, before: Any = None) -> None:
        self.answer_with, self.before = answer, before
        self.asked: list[ApprovalRequest] = []
        self.withdrawn: list[str] = []

    def ask(self, request: ApprovalRequest) -> str:
        self.asked.append(request)
        if self.before is not None:
            self.before()
        return f"q-{len(self.asked)}"

    def answer(self, approval_id: str) -> ApprovalAnswer | None:
        said = self.answer_with
        if said is None or said.args_hash:
            return said
        shown = self.asked[int(approval_id.removeprefix("q-")) - 1].args_hash
        return ApprovalAnswer(said.approved, said.by, said.reason, shown, said.arguments)

    def withdraw(self, approval_id: str) -> None:
        self.withdrawn.append(approval_id)


def test_a_call_that_is_let_through_is_judged_reserved_made_and_settled_in_that_order(sink: OtlpSink) -> None:
    guard = Guard("worker", policy=OPEN, limits=Limits(max_usd=1.0), prices=Price(1, 1))
    with guard.run("job", request_id="req-1") as guarded:
        with guarded.model("m", input_tokens=10) as model:
            model.response(output="look", input_tokens=10, output_tokens=5)
        with guarded.tool("look", {"page": 1}) as call:
            call.result("text")
    spans, events = recorded(sink, guarded.run.run_id)
    assert [span.name for span in spans] == ["invoke_agent worker", "chat m", "execute_tool look"]
    order = [event.event_name for event in events if event.event_name != "state"]
    assert order == [
        "run.start",
        "config",
        "budget.reserve",
        "model.call",
        "budget.settle",
        "policy.decision",
        "tool.call",
        "run.end",
    ]
    assert spans[0].attributes["spanhouse.stop_reason"] == "finish"


def stopped_by(guard: Guard, tool: str = "pay", **arguments: Any) -> str:
    with guard.run("job") as guarded, guarded.tool(tool, arguments) as call:
        call.result("done")
    return str(guarded.run.stop_reason)


def test_the_strongest_check_comes_first() -> None:
    """With everything against a call, taking one check away at a time uncovers the next."""
    deny = Policy(rules=(Rule(name="no", tool="pay", decision=Decision.DENY),))
    tired = Breakers(BreakerSettings(in_a_row=1))
    tired.of("pay", "default").failed()
    everything: dict[str, Any] = {
        "control": Control(Flags([Flag("f", "stop", "all")])),
        "policy": deny,
        "approver": Desk(ApprovalAnswer(approved=False, by="maria")),
        "rates": {"pay": Rate(at_once=1, queue_seconds=0)},
        "breakers": tired,
        "limits": Limits(max_tool_calls=1),
    }

    def reason(**changed: Any) -> str:
        guard = Guard("worker", **{**everything, **changed})
        guard.rates.enter("pay", "default")
        with guard.run("job") as guarded:
            guarded.books.reserve({"max_tool_calls": 1})  # type: ignore[dict-item]
            with guarded.tool("pay", {}):
                pass
        return str(guarded.run.stop_reason)

    free: dict[str, Any] = {}
    assert reason(**free) == "operator_kill"
    free["control"] = Control(Flags([Flag("f", "disable", "tool", "pay")]))
    assert reason(**free) == "disabled:pay"
    free["control"] = None
    assert reason(**free) == "policy_deny:pay"
    free["policy"] = ASK_PAY
    assert reason(**free) == "approval_denied:pay"
    free["approver"] = Desk(ApprovalAnswer(approved=True, by="maria"))
    assert reason(**free) == "rate_limited:pay"
    free["rates"] = None
    assert reason(**free) == "tool_unhealthy:pay"
    free["breakers"] = None
    assert reason(**free) == "max_tool_calls"
    free["limits"] = Limits(max_tool_calls=2)
    assert reason(**free) == "finish"


def test_the_first_stop_stands_whatever_a_framework_makes_of_it(sink: OtlpSink) -> None:
    guard = Guard("worker", policy=Policy(allow=("look",)))
    with guard.run("job") as guarded:
        for tool in ("pay", "look", "look"):
            with pytest.raises(RunStopped) as stop, guarded.tool(tool, {}):
                pass
            assert str(stop.value.reason) == "policy_deny:pay"
        with pytest.raises(RunStopped), guarded.model("m"):
            pass
    assert str(guarded.run.stop_reason) == "policy_deny:pay"
    spans, _ = recorded(sink, guarded.run.run_id)
    assert [span.name for span in spans] == ["invoke_agent worker", "execute_tool pay"]


def test_a_refusal_is_told_to_the_model_where_the_policy_says_so() -> None:
    guard = Guard("worker", policy=Policy(allow=("look",), on_deny="tell_model"))
    with guard.run("job") as guarded:
        with pytest.raises(CallRefused) as refused, guarded.tool("pay", {}):
            pass
        assert json.loads(refused.value.as_text()) == {
            "error": {
                "type": "policy_deny",
                "message": "pay was not allowed by rule 'default': pay is not on the allowlist",
            }
        }
        with guarded.tool("look", {}) as call:
            call.result("fine")
    assert str(guarded.run.stop_reason) == "finish"
    assert guarded.denials == {"pay": 1}


def test_an_approval_holds_for_the_arguments_that_were_shown_and_no_others() -> None:
    given = ApprovalAnswer(approved=True, by="maria", args_hash="0000000000000000")
    assert stopped_by(Guard("worker", policy=ASK_PAY, approver=Desk(given)), usd=5) == "approval_denied:pay"


def test_nobody_answering_in_time_is_a_refusal_and_the_question_is_taken_back(sink: OtlpSink) -> None:
    desk = Desk(None)
    guard = Guard("worker", policy=ASK_PAY, approver=desk, approval_seconds=0.01)
    assert stopped_by(guard, usd=5) == "approval_timeout:pay"
    assert desk.withdrawn == ["q-1"]


def test_a_question_that_cannot_be_put_is_a_refusal() -> None:
    def away() -> None:
        msg = "the server is away"
        raise ConnectionError(msg)

    guard = Guard("worker", policy=ASK_PAY, approver=Desk(None, before=away))
    assert stopped_by(guard, usd=5) == "approval_denied:pay"


def test_changed_arguments_are_judged_again_and_written_down(sink: OtlpSink) -> None:
    changed = ApprovalAnswer(approved=True, by="maria", reason="half of it", arguments={"usd": 2})
    guard = Guard("worker", policy=ASK_PAY, approver=Desk(changed))
    with guard.run("job") as guarded, guarded.tool("pay", {"usd": 5}) as call:
        assert call.arguments == {"usd": 2}
        call.result("paid")
    _, events = recorded(sink, guarded.run.run_id)
    assert [event["decision"] for event in named(events, "policy.decision")] == ["ask", "ask"]
    (override,) = named(events, "override")
    assert (override["by"], override["what"], override["tool"]) == ("maria", "arguments", "pay")
    (made,) = named(events, "tool.call")
    assert made["args_hash"] == override["after"] != override["before"]


def test_a_policy_that_changes_while_a_person_thinks_is_asked_again() -> None:
    policies = [ASK_PAY]
    desk = Desk(ApprovalAnswer(approved=True, by="maria"), before=lambda: policies.append(Policy()))
    guard = Guard("worker", policy=lambda: policies[-1], approver=desk)
    assert stopped_by(guard, usd=5) == "policy_deny:pay"


def test_a_kill_while_a_person_thinks_stops_the_call_that_was_approved() -> None:
    view = Flags()
    desk = Desk(ApprovalAnswer(approved=True, by="maria"), before=lambda: view.flags.append(Flag("f", "stop", "all")))
    guard = Guard("worker", policy=ASK_PAY, approver=desk, control=Control(view))
    assert stopped_by(guard, usd=5) == "operator_kill"


def test_nothing_is_held_while_a_person_thinks() -> None:
    held: list[tuple[int, float]] = []

    def look() -> None:
        guarded = current_guarded_run()
        assert guarded is not None
        held.append((guarded.books.ledger.reserved("max_tool_calls"), guard.rates.enter("pay", "default")))  # type: ignore[arg-type]
        guard.rates.leave("pay", "default")

    desk = Desk(ApprovalAnswer(approved=True, by="maria"), before=look)
    guard = Guard("worker", policy=ASK_PAY, approver=desk, rates={"pay": Rate(at_once=1)})
    assert stopped_by(guard, usd=5) == "finish"
    assert held == [(0, 0.0)]


def test_a_turn_is_waited_for_and_given_back_however_the_call_ends() -> None:
    guard = Guard("worker", policy=OPEN, rates={"look": Rate(at_once=1, queue_seconds=30)})
    inside = threading.Event()
    release = threading.Event()
    order: list[str] = []

    def first() -> None:
        with guard.run("first") as guarded, contextlib.suppress(ValueError), guarded.tool("look", {}):
            inside.set()
            release.wait(30)
            order.append("first")
            msg = "broken"
            raise ValueError(msg)

    def second() -> None:
        with guard.run("second") as guarded, guarded.tool("look", {}):
            order.append("second")

    one, two = threading.Thread(target=first), threading.Thread(target=second)
    one.start()
    inside.wait(30)
    two.start()
    release.set()
    one.join(30)
    two.join(30)
    assert order == ["first", "second"]


def test_a_tool_that_keeps_failing_is_left_alone_by_every_run_of_the_tenant(sink: OtlpSink) -> None:
    guard = Guard("worker", policy=OPEN, limits=Limits(equal_failures=100))
    with guard.run("job") as guarded:
        for n in range(5):
            with pytest.raises(ValueError, match="broken"):
                broken(guarded, "look", n=n)
    assert stopped_by(guard, "look", n=6) == "tool_unhealthy:look"
    with guard.run("job", tenant="globex") as other, other.tool("look", {}):
        pass
    assert str(other.run.stop_reason) == "finish"
    (change,) = named(recorded(sink, guarded.run.run_id)[1], "breaker")
    assert (change["before"], change["after"], change["reason"]) == ("closed", "open", "5 failures in a row")


def test_equal_failures_exhaust_a_tool() -> None:
    guard = Guard("worker", policy=OPEN)
    with guard.run("job") as guarded:
        for n in range(3):
            with pytest.raises(RunStopped if n == 2 else ValueError):
                broken(guarded, "look", n=n)
    assert str(guarded.run.stop_reason) == "tool_error_exhausted:look"


def test_coroutines_are_guarded_without_holding_up_their_loop(sink: OtlpSink) -> None:
    guard = Guard("worker", policy=ASK_PAY, approver=Desk(ApprovalAnswer(approved=True, by="maria")))
    ticks: list[int] = []

    @guard.tool
    async def pay(usd: int) -> str:
        await asyncio.sleep(0)
        return f"paid {usd}"

    async def tick() -> None:
        for n in range(3):
            ticks.append(n)
            await asyncio.sleep(0)

    async def job() -> Any:
        with guard.run("job") as guarded:
            runs.append(guarded.run.run_id)
            async with guarded.model("m") as model:
                model.response(output="pay", input_tokens=3, output_tokens=1)
            return list(await asyncio.gather(pay(5), tick(), pay(usd=6)))

    runs: list[str] = []
    assert asyncio.run(job()) == ["paid 5", None, "paid 6"]
    assert ticks == [0, 1, 2]
    spans, _ = recorded(sink, runs[0])
    assert [span.name for span in spans].count("execute_tool pay") == 2


def test_a_cancelled_call_gives_its_turn_back() -> None:
    guard = Guard("worker", policy=OPEN, rates={"nap": Rate(at_once=1, queue_seconds=0)})

    @guard.tool
    async def nap() -> None:
        await asyncio.sleep(60)

    async def job() -> None:
        with guard.run("job"):
            task = asyncio.create_task(nap())
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert guard.rates.enter("nap", "default") == 0.0

    asyncio.run(job())


def test_a_decorated_method_is_called_with_what_a_person_made_of_its_arguments() -> None:
    changed = ApprovalAnswer(approved=True, by="maria", arguments={"usd": 2})
    guard = Guard("worker", policy=ASK_PAY, approver=Desk(changed))

    class Till:
        def __init__(self) -> None:
            self.paid: list[int] = []

        @guard.tool
        def pay(self, usd: int) -> None:
            self.paid.append(usd)

    till = Till()
    with guard.run("job"):
        till.pay(5)
    assert till.paid == [2]


def test_a_guarded_function_is_never_called_unguarded() -> None:
    made: list[Mapping[str, Any]] = []
    guard = Guard("worker", policy=OPEN)

    @guard.tool(name="note")
    def write(**fields: Any) -> None:
        made.append(fields)

    with pytest.raises(ConfigurationError, match="note is guarded and was called outside a guarded run"):
        write(text="hello")
    assert made == []


def test_a_model_without_a_price_is_refused_where_money_is_limited() -> None:
    guard = Guard("worker", policy=OPEN, limits=Limits(max_usd=1.0), prices={"known": Price(1, 1)})
    with guard.run("job") as guarded, guarded.model("other"):
        pass
    assert str(guarded.run.stop_reason) == "max_usd:unknown_price"


def test_a_run_someone_else_opened_can_be_guarded(sink: OtlpSink) -> None:
    import spanhouse as sh  # noqa: PLC0415 - the SDK alone, as its user has it

    guard = Guard("worker", policy=Policy())
    with sh.run("theirs") as run, guard.attach(run) as guarded, guarded.tool("pay", {}):
        pass
    assert str(run.stop_reason) == "policy_deny:pay"
