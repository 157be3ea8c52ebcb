"""Whatever a model answers, the run ends with one stop reason, a plain error and a complete record."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Any

import pytest
from tests.support.agents import calls, recorded, says
from tests.support.otlp_sink import OtlpSink
from tests.support.records import complete_record

from spanhouse_runtime import Agent
from spanhouse_runtime.guard import Guard
from spanhouse_runtime.limits import Limits
from spanhouse_runtime.model import ModelRequest, ModelResponse, ToolCall, Usage
from spanhouse_runtime.money import Price
from spanhouse_runtime.policy import Policy
from spanhouse_runtime.result import RunResult

SECRET = "sk-ant-" + "a1B2" * 8


@dataclass
class Answers:
    """A model that answers what it is told to, whatever that is."""

    turns: list[Any]
    name: str = "odd-model"
    provider: str = "test"

    def __post_init__(self) -> None:
        self.requests: list[ModelRequest] = []

    def complete(self, request: ModelRequest) -> Any:
        self.requests.append(request)
        turn = self.turns[len(self.requests) - 1]
        if isinstance(turn, BaseException):
            raise turn
        return turn


def look(page: int = 1) -> str:
    """Look at a page."""
    return f"page {page}"


def ran(sink: OtlpSink, *turns: Any, **settings: Any) -> tuple[RunResult, Answers]:
    model = Answers(list(turns))
    result = Agent("odd", model, [look], **settings).run("Look.")
    assert complete_record(sink, result.run_id) == str(result.stop_reason)
    return result, model


NO_ANSWERS = [
    (None, "the model answered None (NoneType)"),
    ("done", "the model answered 'done' (str)"),
    ({"text": "done"}, "ModelResponse"),
    (ModelResponse(text=7), "the answer's text is 7 (int)"),  # type: ignore[arg-type]
    (ModelResponse(text="x", tool_calls="look"), "tool_calls are 'look'"),  # type: ignore[arg-type]
    (ModelResponse(tool_calls=({"name": "look"},)), "it has to be a ToolCall"),  # type: ignore[arg-type]
    (ModelResponse(tool_calls=(ToolCall("1", None, {}),)), "id and name"),  # type: ignore[arg-type]
    (says("x", usage=Usage(-5, 1)), "input_tokens is -5"),
    (says("x", usage=Usage(1, math.nan)), "output_tokens is nan"),  # type: ignore[arg-type]
    (says("x", usage={"input_tokens": 3}), "it has to be a Usage"),
    (says("x", cost_usd=math.nan), "cost_usd is nan"),
    (says("x", cost_usd=-1.0), "cost_usd is -1.0"),
    (says("x", cost_usd="free"), "cost_usd is 'free'"),
    (says(""), "neither a text nor a tool call"),
    (says(" \n"), "neither a text"),
]


@pytest.mark.parametrize(("answer", "error"), NO_ANSWERS, ids=[error for _, error in NO_ANSWERS])
def test_what_is_no_answer_ends_the_run_and_says_what_it_was(sink: OtlpSink, answer: Any, error: str) -> None:
    result, _ = ran(sink, calls("look"), answer)
    assert str(result.stop_reason) == "model_error:malformed"
    stopped = [event for event in recorded(sink, result.run_id)[1] if event.event_name == "state"][-1]
    assert stopped.data["after"] == "failed"
    spans = [span for span in recorded(sink, result.run_id)[0] if span.name.startswith("chat")]
    assert error in spans[-1].status_message or not str(getattr(answer, "text", "x")).strip()


def test_an_answer_that_is_none_is_charged_what_was_reserved_for_it(sink: OtlpSink) -> None:
    price = Price(input=1.0, output=1_000.0)
    result, _ = ran(sink, says("x", usage=Usage(-5, -5)), price=price, limits=Limits(max_usd=10.0))
    assert result.budget["max_usd"]["used"] >= 4.0


def test_two_actions_of_one_answer_are_both_made_and_a_text_beside_them_is_no_last_answer(sink: OtlpSink) -> None:
    both = ModelResponse(text="I look.", tool_calls=(ToolCall("a", "look", {}), ToolCall("b", "look", {"page": 2})))
    result, model = ran(sink, both, says("done"))
    assert str(result.stop_reason) == "finish"
    assert [m.content for m in model.requests[1].messages if m.role == "tool"] == ["page 1", "page 2"]


@pytest.mark.parametrize("call_id", ["call_1", ""])
def test_calls_that_share_an_id_are_told_apart(sink: OtlpSink, call_id: str) -> None:
    both = ModelResponse(tool_calls=(ToolCall(call_id, "look", {}), ToolCall(call_id, "look", {"page": 2})))
    _, model = ran(sink, both, says("done"))
    asked = [call.id for m in model.requests[1].messages for call in m.tool_calls]
    answered = [m.tool_call_id for m in model.requests[1].messages if m.role == "tool"]
    assert asked == answered == [call_id, f"{call_id}~2"]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (ToolCall("1", "lok", {}), "there is no tool 'lok'"),
        (ToolCall("1", "look", "{page: 1"), "no valid JSON"),
        (ToolCall("1", "look", '{"page": NaN}'), "no valid JSON"),
        (ToolCall("1", "look", {"page": math.nan}), "page"),
        (ToolCall("1", "look", None), "no valid JSON"),  # type: ignore[arg-type]
        (ToolCall("1", "look", [1]), "look"),  # type: ignore[arg-type]
    ],
)
def test_a_call_that_cannot_be_made_is_told_to_the_model_which_may_do_better(
    sink: OtlpSink, call: ToolCall, told: str
) -> None:
    result, model = ran(sink, ModelResponse(tool_calls=(call,)), says("done"))
    answer = model.requests[1].messages[-1].content
    assert told in answer
    assert '"type": "invalid_input"' in answer
    assert str(result.stop_reason) == "finish"
    assert result.tools[call.name].failed == 1


def test_arguments_as_text_are_read_as_the_object_they_spell(sink: OtlpSink) -> None:
    _, model = ran(sink, ModelResponse(tool_calls=(ToolCall("1", "look", '{"page": 3}'),)), says("done"))
    assert model.requests[1].messages[-1].content == "page 3"


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), asyncio.CancelledError()])
def test_a_model_that_ends_its_thread_has_failed_and_the_process_goes_on(sink: OtlpSink, error: BaseException) -> None:
    result, _ = ran(sink, error)
    assert str(result.stop_reason) == "model_error:other"


def test_an_interrupt_inside_a_model_call_cancels_the_run_and_goes_on_to_the_caller(sink: OtlpSink) -> None:
    agent = Agent("odd", Answers([KeyboardInterrupt()]), [look])
    with pytest.raises(KeyboardInterrupt):
        agent.run("Look.")
    assert complete_record(sink) == "cancelled"


def test_a_models_error_carries_no_secret_into_the_record(sink: OtlpSink) -> None:
    result, _ = ran(sink, RuntimeError(f"401 for key {SECRET}"))
    spans, events = recorded(sink, result.run_id)
    assert SECRET not in repr(spans)
    assert SECRET not in repr(events)


@pytest.mark.parametrize(
    "said",
    [
        {"input_tokens": math.nan, "output_tokens": 3},
        {"input_tokens": -3, "output_tokens": 3},
        {"input_tokens": "3"},
        {"cost_usd": math.nan},
        {"cost_usd": -1.0},
        {"cost_usd": math.inf},
    ],
)
def test_figures_that_none_can_be_cost_a_foreign_run_what_was_reserved_at_most_and_never_less_than_nothing(
    sink: OtlpSink, said: dict[str, Any]
) -> None:
    guard = Guard("g", policy=Policy(), limits=Limits(max_usd=10.0), prices=Price(input=1.0, output=1_000.0))
    with guard.run("job") as guarded, guarded.model("m", max_output_tokens=1_000) as call:
        call.response(**said)
    assert complete_record(sink) == "finish"
    assert 0 <= guarded.books.ledger.report()["max_usd"]["used"] <= 1.0
    assert not any(value in {-1.0, -3} or value != value for value in sink.span("chat m").attributes.values())  # noqa: PLR0124 - NaN


def test_a_foreign_model_call_that_is_interrupted_gives_back_what_it_holds(sink: OtlpSink) -> None:
    guard = Guard("g", policy=Policy())
    with pytest.raises(KeyboardInterrupt), guard.run("job") as guarded, guarded.model("m"):
        raise KeyboardInterrupt
    assert complete_record(sink) == "cancelled"
