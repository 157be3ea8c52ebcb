"""What becomes of a tool call: judged, counted, timed, replayed, and always answered unless it ends the run."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from tests.support.agents import calls, named, recorded, says
from tests.support.otlp_sink import OtlpSink

from spanhouse.canonical import args_hash
from spanhouse_runtime.agent import Agent
from spanhouse_runtime.idempotency import MemoryIdempotencyStore
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.model import ModelResponse, ToolCall
from spanhouse_runtime.policy import Condition, Decision, Policy, Rule
from spanhouse_runtime.result import RunResult
from spanhouse_runtime.scripted import ScriptedModel
from spanhouse_runtime.tool_result import capped
from spanhouse_runtime.tools import Function, Tool, ToolFailure, tool


def run(turns: list[Any], *tools: Tool | Function, **settings: Any) -> tuple[RunResult, ScriptedModel]:
    model = ScriptedModel(turns)
    return Agent("clerk", model, tools, **settings).run("Do it"), model


def answers(model: ScriptedModel) -> list[str]:
    return [message.content for message in model.requests[-1].messages if message.role == "tool"]


def pay(amount: float, to: str = "shop") -> dict[str, Any]:
    """Pay."""
    return {"paid": amount, "to": to}


def fail(reason: str = "no route") -> None:
    """Fail."""
    raise ConnectionError(reason)


def test_results_reach_the_model_as_text_and_the_span_with_the_argument_hash(sink: OtlpSink) -> None:
    result, model = run([calls("pay", "call_7", amount=5), says("ok")], pay)
    assert json.loads(answers(model)[0]) == {"paid": 5.0, "to": "shop"}
    spans, events = recorded(sink, result.run_id)
    span = next(span for span in spans if span.name == "execute_tool pay")
    digest = args_hash({"amount": 5, "to": "shop"})
    assert span.attributes["gen_ai.tool.call.id"] == "call_7"
    assert span.attributes["spanhouse.tool.args_hash"] == digest
    assert json.loads(span.attributes["gen_ai.tool.call.result"]) == {"paid": 5.0, "to": "shop"}
    (event,) = named(events, "tool.call")
    assert (event["args_hash"], event["status"], event["decision"]) == (digest, "ok", "allow")


@pytest.mark.parametrize("call", [ToolCall("1", "nope", {}), ToolCall("1", "pay", {"amount": "much"})])
def test_an_unknown_tool_and_arguments_that_do_not_fit_are_told_to_the_model_and_counted(
    sink: OtlpSink, call: ToolCall
) -> None:
    result, model = run([ModelResponse(tool_calls=(call,)), says("sorry")], pay)
    assert str(result.stop_reason) == "finish"
    assert json.loads(answers(model)[0])["error"]["type"] == "invalid_input"
    assert result.tools[call.name].failed == 1
    spans, events = recorded(sink, result.run_id)
    assert [span.status for span in spans if span.name == f"execute_tool {call.name}"] == [2]
    assert [(event["status"], event["error_type"]) for event in named(events, "tool.call")] == [
        ("error", "invalid_input")
    ]


def test_a_failing_tool_is_told_to_the_model_and_the_run_can_still_finish(sink: OtlpSink) -> None:
    result, model = run([calls("fail"), says("did without")], fail)
    assert (str(result.stop_reason), result.tools["fail"].failed) == ("finish", 1)
    assert json.loads(answers(model)[0]) == {"error": {"type": "unavailable", "message": "ConnectionError: no route"}}
    spans, _ = recorded(sink, result.run_id)
    assert [span.attributes.get("spanhouse.error.class") for span in spans if span.status == 2] == ["unavailable"]


def test_three_equal_failures_exhaust_a_tool() -> None:
    result, _ = run([calls("fail")] * 9, fail)
    assert (str(result.stop_reason), result.tools["fail"].failed) == ("tool_error_exhausted:fail", 3)


def test_different_failures_and_failures_with_a_success_between_do_not_exhaust_a_tool() -> None:
    def moody(reason: str) -> str:
        if reason == "fine":
            return reason
        raise ConnectionError(reason)

    turns = [calls("moody", reason=reason) for reason in ("a", "b", "a", "a", "fine", "a", "a", "b")]
    result, _ = run([*turns, says("done")], moody)
    assert (str(result.stop_reason), result.tools["moody"].failed) == ("finish", 7)


def test_a_tool_that_is_not_on_the_allowlist_ends_the_run_and_is_never_called(sink: OtlpSink) -> None:
    called: list[str] = []

    def delete(name: str) -> None:
        called.append(name)

    result, _ = run([calls("delete", name="all")], delete, policy=Policy(allow=("read_*",)))
    assert (str(result.stop_reason), called, result.tools["delete"].denied) == ("policy_deny:delete", [], 1)
    spans, events = recorded(sink, result.run_id)
    (span,) = [span for span in spans if span.name == "execute_tool delete"]
    assert (span.attributes["spanhouse.policy.decision"], span.attributes["spanhouse.policy.rule"]) == (
        "deny",
        "default",
    )
    (decision,) = named(events, "policy.decision")
    assert (decision["decision"], decision["rule"], decision["args_hash"]) == (
        "deny",
        "default",
        args_hash({"name": "all"}),
    )
    assert [event["status"] for event in named(events, "tool.call")] == ["denied"]


def test_a_denial_can_be_told_to_the_model_instead(sink: OtlpSink) -> None:
    rule = Rule(
        name="small", tool="pay", arguments={"amount": Condition(at_most=10)}, decision=Decision.ALLOW, why="limit"
    )
    policy = Policy(rules=(rule,), on_deny="tell_model")
    result, model = run([calls("pay", amount=50), calls("pay", amount=9), says("paid 9")], pay, policy=policy)
    assert (str(result.stop_reason), result.tools["pay"].denied, result.tools["pay"].ok) == ("finish", 1, 1)
    assert json.loads(answers(model)[0])["error"]["type"] == "policy_deny"
    decisions = named(recorded(sink, result.run_id)[1], "policy.decision")
    assert [event["decision"] for event in decisions] == ["deny", "allow"]


def test_policy_judges_the_arguments_the_function_gets_not_the_text_the_model_wrote() -> None:
    rule = Rule(name="small", tool="pay", arguments={"amount": Condition(at_most=10)}, decision=Decision.ALLOW)
    result, _ = run([calls("pay", amount="5e3")], pay, policy=Policy(rules=(rule,)))
    assert str(result.stop_reason) == "policy_deny:pay"


def test_a_rule_that_asks_denies_where_nobody_can_approve(sink: OtlpSink) -> None:
    policy = Policy(rules=(Rule(name="sign", tool="pay", decision=Decision.ASK),))
    result, _ = run([calls("pay", amount=50)], pay, policy=policy)
    assert str(result.stop_reason) == "approval_denied:pay"
    _, events = recorded(sink, result.run_id)
    assert (len(named(events, "approval.denied")), named(events, "policy.decision")[0]["decision"]) == (1, "ask")


def test_a_denied_call_repeated_against_advice_is_a_loop() -> None:
    policy = Policy(on_deny="tell_model")
    result, _ = run([calls("pay", amount=50)] * 9, pay, policy=policy)
    assert (str(result.stop_reason), result.tools["pay"].denied) == ("loop_detected:pay", 4)


def test_a_loop_is_warned_of_at_the_third_equal_call_and_stopped_at_the_fourth(sink: OtlpSink) -> None:
    result, model = run([calls("pay", amount=5)] * 9, pay)
    assert (str(result.stop_reason), result.tools["pay"].ok) == ("loop_detected:pay", 3)
    third = json.loads(answers(model)[2])
    assert json.loads(third["result"])["paid"] == 5
    assert "the next such call ends the run" in third["note"]
    loops = named(recorded(sink, result.run_id)[1], "loop")
    assert [(event["warned"], event["action"], event["repeats"]) for event in loops] == [
        (True, "warn", 3),
        (False, "stop", 4),
    ]


def test_a_model_that_heeds_the_warning_goes_on() -> None:
    result, _ = run([*[calls("pay", amount=5)] * 3, calls("pay", amount=6), says("done")], pay)
    assert str(result.stop_reason) == "finish"


def test_a_circle_of_calls_is_warned_of_and_stopped(sink: OtlpSink) -> None:
    turns = [calls("pay", amount=amount) for amount in (1, 2) * 9]
    result, _ = run(turns, pay)
    assert (str(result.stop_reason), result.tools["pay"].ok) == ("loop_detected:pay", 6)
    loops = named(recorded(sink, result.run_id)[1], "loop")
    assert [(event["cycle_length"], event["action"]) for event in loops] == [(2, "warn"), (2, "stop")]


def test_a_polling_tool_may_be_called_again_and_again(sink: OtlpSink) -> None:
    result, _ = run([*[calls("pay", amount=5)] * 8, says("done")], tool(pay, polling=True))
    assert (str(result.stop_reason), result.tools["pay"].ok) == ("finish", 8)
    spans, _ = recorded(sink, result.run_id)
    assert {span.attributes.get("spanhouse.tool.polling") for span in spans if "execute_tool" in span.name} == {True}


def hang(release: threading.Event) -> Function:
    def slow(order: str = "A") -> str:
        release.wait(60)
        return f"late {order}"

    return slow


def test_a_tool_that_does_not_answer_ends_the_run(sink: OtlpSink) -> None:
    release = threading.Event()
    result, _ = run([calls("slow")], tool(hang(release), timeout_seconds=0.1))
    release.set()
    assert (str(result.stop_reason), result.tools["slow"].failed) == ("tool_timeout:slow", 1)
    _, events = recorded(sink, result.run_id)
    assert [(event["status"], event["error_type"]) for event in named(events, "tool.call")] == [("timeout", "timeout")]


def test_a_timeout_can_be_told_to_the_model_instead() -> None:
    release = threading.Event()
    limits = Limits(tool_timeout_seconds=0.1)
    result, model = run([calls("slow"), says("gave up")], hang(release), limits=limits, on_timeout="tell_model")
    release.set()
    assert str(result.stop_reason) == "finish"
    assert json.loads(answers(model)[0])["error"]["type"] == "timeout"


def test_an_async_tool_is_cancelled_when_its_time_is_up() -> None:
    cancelled = threading.Event()

    async def slow() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    result, _ = run([calls("slow")], tool(slow, timeout_seconds=0.2))
    assert str(result.stop_reason) == "tool_timeout:slow"
    assert cancelled.wait(60)


def test_a_tool_cut_off_by_the_runs_end_is_the_runs_time_not_the_tools() -> None:
    release = threading.Event()
    result, _ = run([calls("slow")], hang(release), limits=Limits(max_seconds=0.3))
    release.set()
    assert (str(result.stop_reason), result.tools["slow"].interrupted) == ("max_seconds", 1)


def charge(store: list[float]) -> Function:
    def charged(order: str, amount: float) -> str:
        store.append(amount)
        return f"{order}: {amount}"

    return charged


def test_a_once_call_repeated_is_answered_from_the_record_and_not_made_again(sink: OtlpSink) -> None:
    taken: list[float] = []
    turns = [calls("charged", order="A", amount=5), calls("charged", amount=5.0, order="A"), says("ok")]
    result, model = run(turns, tool(charge(taken), once=True))
    assert (taken, result.tools["charged"].ok, result.tools["charged"].replayed) == ([5.0], 1, 1)
    assert len(set(answers(model))) == 1
    spans, events = recorded(sink, result.run_id)
    charges = [span.attributes for span in spans if span.name == "execute_tool charged"]
    assert [span.get("spanhouse.tool.replayed") for span in charges] == [None, True]
    assert len({span["spanhouse.idempotency_key"] for span in charges}) == 1
    assert [event["status"] for event in named(events, "tool.call")] == ["ok", "replayed"]


def test_a_once_call_counts_in_the_scope_it_was_given_across_runs_and_agents() -> None:
    taken: list[float] = []
    store = MemoryIdempotencyStore()
    replayed = []
    for _ in range(2):
        model = ScriptedModel([calls("charged", order="A", amount=5), says("ok")])
        made = Agent("clerk", model, [tool(charge(taken), once=True)], idempotency=store)
        replayed.append(made.run("Pay", idempotency_scope="order:A").tools["charged"].replayed)
    assert (taken, replayed) == ([5.0], [0, 1])


def test_without_a_scope_every_run_makes_its_own_calls() -> None:
    taken: list[float] = []
    model = ScriptedModel([calls("charged", order="A", amount=5), says("ok")] * 2)
    made = Agent("clerk", model, [tool(charge(taken), once=True)])
    made.run("Pay")
    made.run("Pay")
    assert taken == [5.0, 5.0]


def test_one_explicit_key_with_other_arguments_does_nothing() -> None:
    taken: list[float] = []
    turns = [calls("charged", order="A", amount=5), calls("charged", order="A", amount=6), says("ok")]
    _, model = run(turns, tool(charge(taken), once=True, key=lambda arguments: str(arguments["order"])))
    assert taken == [5.0]
    assert "used with other arguments" in answers(model)[1]


def test_a_once_call_whose_outcome_is_unknown_is_never_repeated() -> None:
    tries: list[str] = []

    def wire(order: str) -> None:
        tries.append(order)
        msg = "connection reset after the request was sent"
        raise ConnectionResetError(msg)

    _, model = run([calls("wire", order="A"), calls("wire", order="A"), says("help")], tool(wire, once=True))
    assert tries == ["A"]
    assert "no recorded outcome: it may have taken effect" in answers(model)[1]


def test_a_once_call_that_timed_out_is_unknown_too() -> None:
    release, tries = threading.Event(), []

    def wire(order: str) -> None:
        tries.append(order)
        release.wait(60)

    turns = [calls("wire", order="A"), calls("wire", order="A"), says("help")]
    _, model = run(turns, tool(wire, once=True, timeout_seconds=0.1), on_timeout="tell_model")
    release.set()
    assert tries == ["A"]
    assert "no recorded outcome" in answers(model)[1]


def test_a_once_call_that_says_nothing_was_done_may_be_tried_again() -> None:
    tries: list[str] = []

    def wire(order: str) -> str:
        tries.append(order)
        if len(tries) == 1:
            msg = "card declined"
            raise ToolFailure(msg)
        return "sent"

    result, _ = run([calls("wire", order="A"), calls("wire", order="A"), says("ok")], tool(wire, once=True))
    assert (tries, result.tools["wire"].ok, result.tools["wire"].failed) == (["A", "A"], 1, 1)


def test_a_handover_ends_the_run_as_escalated(sink: OtlpSink) -> None:
    def transfer_to_human(reason: str) -> str:
        return f"queued: {reason}"

    result, _ = run([calls("transfer_to_human", reason="over my limit")], transfer_to_human)
    assert str(result.stop_reason) == "escalated"
    assert result.output.startswith("Handed over to a person: over my limit.")
    spans, events = recorded(sink, result.run_id)
    assert (spans[0].attributes["spanhouse.escalated"], spans[0].attributes["spanhouse.state"]) == (True, "completed")
    assert [event["reason"] for event in named(events, "escalation")] == ["over my limit"]


def test_a_handover_that_fails_is_no_handover() -> None:
    def transfer_to_human(reason: str) -> str:
        raise ConnectionError(reason)

    result, _ = run([calls("transfer_to_human", reason="x"), says("nobody there")], transfer_to_human)
    assert str(result.stop_reason) == "finish"


def test_a_large_result_is_cut_and_says_so() -> None:
    result, model = run([calls("pay", amount=1, to="ä" * 4_000), says("ok")], pay, limits=Limits(tool_result_bytes=500))
    assert str(result.stop_reason) == "finish"
    assert len(answers(model)[0].encode()) <= 500
    whole = len(json.dumps({"paid": 1.0, "to": "ä" * 4_000}, ensure_ascii=False).encode())
    assert answers(model)[0].endswith(f"[cut: the first 500 of {whole} bytes]")


def test_a_cut_never_splits_a_character() -> None:
    assert all(capped("ä" * 400, limit).encode().decode() for limit in range(256, 280))
    assert capped("short", 256) == "short"


def test_several_calls_of_one_turn_are_answered_each_under_its_id() -> None:
    turn = ModelResponse(tool_calls=(ToolCall("a", "pay", {"amount": 1}), ToolCall("b", "nope", {})))
    result, model = run([turn, says("ok")], pay)
    tools = [message for message in model.requests[-1].messages if message.role == "tool"]
    assert [message.tool_call_id for message in tools] == ["a", "b"]
    assert result.steps == 2
