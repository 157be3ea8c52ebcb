"""The loop: it finishes with the model's answer or stops for exactly one reason, and says which in plain words."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from tests.support.agents import calls, named, recorded, says
from tests.support.otlp_sink import OtlpSink

import spanhouse as sh
from spanhouse.stop_reasons import Outcome
from spanhouse_runtime.agent import Agent
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.model import ModelRequest, ModelResponse, ToolCall, Usage
from spanhouse_runtime.money import Price
from spanhouse_runtime.scripted import ScriptedModel


def look(page: int) -> str:
    """Look at a page."""
    return f"page {page}"


def agent(*turns: ModelResponse | Exception, **settings: Any) -> Agent:
    return Agent("reader", ScriptedModel(turns), [look], **settings)


def endless(usage: Usage | None = Usage(10, 5)) -> ScriptedModel:  # noqa: B008 - frozen
    def turn(_: ModelRequest, number: int) -> ModelResponse:
        return ModelResponse(tool_calls=(ToolCall(f"c{number}", "look", {"page": number}),), usage=usage)

    return ScriptedModel(turn)


def test_a_run_finishes_with_the_models_answer(sink: OtlpSink) -> None:
    result = agent(calls("look", page=1), says("It says hello.")).run("What does page 1 say?", request_id="r-1")
    assert (str(result.stop_reason), result.output, result.steps) == ("finish", "It says hello.", 2)
    assert (result.request_id, result.usage, result.outcome) == ("r-1", Usage(20, 10), Outcome.UNKNOWN)
    spans, _ = recorded(sink, result.run_id)
    assert [span.name for span in spans] == [
        "invoke_agent reader",
        "chat scripted-model",
        "execute_tool look",
        "chat scripted-model",
    ]
    assert [span.attributes.get("spanhouse.step") for span in spans[1:]] == [1, 1, 2]
    assert spans[0].attributes["spanhouse.spans_expected"] == 4
    assert spans[0].attributes["spanhouse.state"] == "completed"


@pytest.mark.parametrize(("right", "outcome"), [(True, Outcome.SUCCESS), (False, Outcome.FAILURE)])
def test_the_outcome_is_what_the_check_says(sink: OtlpSink, right: bool, outcome: Outcome) -> None:  # noqa: FBT001
    result = agent(says("done")).run("Do it", check=lambda answer: right and answer == "done")
    assert (str(result.stop_reason), result.outcome) == ("finish", outcome)
    assert recorded(sink, result.run_id)[0][0].attributes["spanhouse.outcome"] == outcome


def test_a_stopped_run_is_not_checked() -> None:
    def check(_: str) -> bool:
        pytest.fail("a stopped run has no answer to check")

    result = Agent("reader", endless(), [look], limits=Limits(max_steps=2)).run("Read", check=check)
    assert result.outcome is Outcome.UNKNOWN


def test_a_run_stops_before_the_step_that_passes_max_steps(sink: OtlpSink) -> None:
    model = endless()
    result = Agent("reader", model, [look], limits=Limits(max_steps=3)).run("Read on")
    assert (str(result.stop_reason), result.steps, len(model.requests)) == ("max_steps", 3, 3)
    assert result.output.splitlines() == [
        (
            "Stopped before the task was finished: it took more steps than allowed (max_steps; limit 3 steps, 3 used, "
            "the next call may need 1)."
        ),
        "Done and saved, in 3 steps: look (3 times).",
    ]
    spans, events = recorded(sink, result.run_id)
    assert spans[0].attributes["spanhouse.stop_reason"] == "max_steps"
    assert spans[0].attributes["spanhouse.state"] == "failed"
    assert [event["budget"] for event in named(events, "budget.stop")] == ["max_steps"]
    assert [event["name"] for event in named(events, "limit.near")] == ["max_steps"]


def test_a_run_stops_before_the_call_that_passes_max_tool_calls() -> None:
    result = Agent("reader", endless(), [look], limits=Limits(max_tool_calls=2)).run("Read on")
    assert (str(result.stop_reason), result.tools["look"].ok) == ("max_tool_calls", 2)


def test_a_run_stops_before_the_tokens_run_out(sink: OtlpSink) -> None:
    limits = Limits(max_tokens=1_000, max_output_tokens=100)
    result = Agent("reader", endless(Usage(300, 50)), [look], limits=limits).run("Read on")
    assert str(result.stop_reason) == "max_tokens"
    assert result.usage.total == 700
    assert result.budget["max_tokens"] == {"limit": 1_000, "used": 700}
    _, events = recorded(sink, result.run_id)
    reserved, settled = named(events, "budget.reserve"), named(events, "budget.settle")
    assert [event["reservation_id"] for event in reserved] == [event["reservation_id"] for event in settled]
    assert [event["amount"] for event in settled] == [350, 350]


def test_money_is_reserved_before_and_settled_after_each_call(sink: OtlpSink) -> None:
    price = Price(input=1.0, output=10.0)
    limits = Limits(max_usd=0.012, max_output_tokens=300)
    result = Agent("reader", endless(Usage(1_000, 300)), [look], limits=limits, price=price).run("Read on")
    assert str(result.stop_reason) == "max_usd"
    assert result.cost_usd == pytest.approx(0.012)
    spans, events = recorded(sink, result.run_id)
    costs = [span.attributes["spanhouse.cost_usd"] for span in spans if span.name.startswith("chat")]
    assert costs == [pytest.approx(0.004)] * 3
    assert [event["used"] for event in named(events, "budget.warn")] == [pytest.approx(0.012)]
    assert '"max_usd": {"limit": 0.012, "used": 0.012}' in spans[0].attributes["spanhouse.budget"]


def test_a_call_dearer_than_reserved_ends_the_run_before_its_tools_are_called() -> None:
    model = ScriptedModel([ModelResponse(tool_calls=(ToolCall("1", "look", {"page": 1}),), cost_usd=0.09)])
    result = Agent("reader", model, [look], limits=Limits(max_usd=0.05), price=Price(1, 1)).run("Read")
    assert (str(result.stop_reason), dict(result.tools)) == ("max_usd", {})


def test_an_answer_that_cost_too_much_is_still_an_answer() -> None:
    result = agent(says("done", cost_usd=0.09), limits=Limits(max_usd=0.05), price=Price(1, 1)).run("Read")
    assert (str(result.stop_reason), result.cost_usd) == ("finish", 0.09)


def test_a_model_without_a_price_is_refused_where_money_is_limited(sink: OtlpSink) -> None:
    model = endless()
    result = Agent("reader", model, [look], limits=Limits(max_usd=1)).run("Read on")
    assert (str(result.stop_reason), model.requests) == ("max_usd:unknown_price", [])
    assert "the price of scripted-model is not known: give the agent a price" in result.output
    _, events = recorded(sink, result.run_id)
    assert named(events, "budget.stop")[0]["scope"] == "unknown_price"


def test_usage_a_provider_does_not_say_is_booked_at_what_was_reserved() -> None:
    limits = Limits(max_tokens=5_000, max_output_tokens=2_000)
    result = Agent("reader", endless(None), [look], limits=limits).run("Read on")
    assert (str(result.stop_reason), result.steps) == ("max_tokens", 2)
    assert result.budget["max_tokens"]["used"] > 4_000


def test_a_cost_that_is_not_known_is_not_zero() -> None:
    assert agent(says("done")).run("Read").cost_usd is None


def test_a_run_stops_when_its_time_is_up() -> None:
    clock = iter([0.0, 0.0, *[2.0] * 100])
    result = Agent("reader", endless(), [look], limits=Limits(max_seconds=1), clock=lambda: next(clock)).run("Read on")
    assert str(result.stop_reason) == "max_seconds"


def test_a_hanging_model_ends_with_the_runs_time() -> None:
    release = threading.Event()

    def hang(_: ModelRequest, __: int) -> ModelResponse:
        release.wait(60)
        return says("late")

    result = Agent("reader", ScriptedModel(hang), limits=Limits(max_seconds=0.1)).run("Read")
    release.set()
    assert str(result.stop_reason) == "max_seconds"


class ServiceUnavailable(Exception):  # noqa: N818 - as clients call it
    """What a client raises."""


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (TimeoutError("slow"), "model_error:timeout"),
        (ServiceUnavailable("503"), "model_error:unavailable"),
        (RuntimeError("odd"), "model_error:other"),
    ],
)
def test_a_failing_model_ends_the_run_with_the_type_of_its_failure(
    sink: OtlpSink, problem: Exception, reason: str
) -> None:
    result = agent(calls("look", page=1), problem).run("Read")
    assert str(result.stop_reason) == reason
    assert f"{type(problem).__name__}: {problem}" in result.output
    spans, _ = recorded(sink, result.run_id)
    assert spans[-1].attributes["spanhouse.error.class"] == reason.partition(":")[2]


def test_a_script_that_is_used_up_is_a_failure_and_no_answer() -> None:
    result = agent(calls("look", page=1)).run("Read")
    assert str(result.stop_reason) == "model_error:other"
    assert "has 1 turns and was asked for turn 2" in result.output


@pytest.mark.parametrize(
    ("finish_reason", "reason"), [("length", "max_tokens:output"), ("content_filter", "model_error:content_filter")]
)
def test_an_answer_cut_off_or_withheld_is_no_finish(finish_reason: str, reason: str) -> None:
    result = agent(says("It says", finish_reason=finish_reason)).run("Read")
    assert str(result.stop_reason) == reason
    assert result.output.endswith("Last said: It says")


def test_the_model_sees_instructions_task_answers_and_tools() -> None:
    model = ScriptedModel([calls("look", page=1), says("done")])
    Agent("reader", model, [look], instructions="Be brief.").run("Read page 1")
    assert [(message.role, message.content) for message in model.requests[1].messages] == [
        ("system", "Be brief."),
        ("user", "Read page 1"),
        ("assistant", ""),
        ("tool", "page 1"),
    ]
    assert [tool.name for tool in model.requests[1].tools] == ["look"]
    assert model.requests[0].max_output_tokens == 4_000


def test_states_are_told_in_order(sink: OtlpSink) -> None:
    result = agent(calls("look", page=1), says("done")).run("Read")
    changes = [(event["before"], event["after"]) for event in named(recorded(sink, result.run_id)[1], "state")]
    assert changes == [
        ("idle", "thinking"),
        ("thinking", "executing"),
        ("executing", "thinking"),
        ("thinking", "completed"),
    ]


def test_an_error_of_the_callers_check_goes_on_and_leaves_the_outcome_open(sink: OtlpSink) -> None:
    def check(_: str) -> bool:
        msg = "the oracle is away"
        raise LookupError(msg)

    with pytest.raises(LookupError, match="oracle"):
        agent(says("done")).run("Read", check=check)
    sh.flush()
    root = sink.span("invoke_agent reader")
    assert root.attributes["spanhouse.stop_reason"] == "finish"
    assert "spanhouse.outcome" not in root.attributes
    assert [event["stop_reason"] for event in named(sink.audit, "run.end")] == ["finish"]


def test_an_interrupt_cancels_the_run_and_leaves_its_books(sink: OtlpSink) -> None:
    def interrupted(page: int) -> str:
        raise KeyboardInterrupt(page)

    with pytest.raises(KeyboardInterrupt):
        Agent("reader", ScriptedModel([calls("interrupted", page=1)]), [interrupted]).run("Read")
    sh.flush()
    root = sink.span("invoke_agent reader").attributes
    assert (root["spanhouse.stop_reason"], root["spanhouse.state"]) == ("cancelled", "failed")
    assert '"max_tool_calls": {"limit": 100, "used": 1}' in root["spanhouse.budget"]
