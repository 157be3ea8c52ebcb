"""Whatever a tool does, the run ends with one stop reason, a plain error and a complete record.

In the runtime's own loop, and through the decorators in somebody else's.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from tests.support.agents import Flags, calls, recorded, says
from tests.support.otlp_sink import OtlpSink
from tests.support.records import complete_record

import spanhouse as sh
from spanhouse import attributes as keys
from spanhouse.control import Flag
from spanhouse_runtime import Agent
from spanhouse_runtime.control import Control
from spanhouse_runtime.guard import Guard
from spanhouse_runtime.policy import Policy
from spanhouse_runtime.result import RunResult
from spanhouse_runtime.scripted import ScriptedModel
from spanhouse_runtime.worker import left_running

SECRET = "sk-ant-" + "a1B2" * 8
ENDS = [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError]

Decorated = tuple[Callable[[Callable[..., Any]], Callable[..., Any]], Callable[[], AbstractContextManager[Any]]]


def by_agent(tool: Callable[..., Any], **settings: Any) -> tuple[RunResult, str]:
    """Return what came of a run whose model calls the tool once, and what the model was told."""
    model = ScriptedModel([calls("work"), says("done")])
    result = Agent("careful", model, [tool], **settings).run("Work.")
    told = model.requests[1].messages[-1].content if len(model.requests) > 1 else ""
    return result, told


@pytest.fixture(params=["sh.tool", "guard.tool"])
def decorated(request: pytest.FixtureRequest) -> Decorated:
    """A decorator, and the run in which what it decorates is called."""
    if request.param == "sh.tool":
        return sh.tool(name="work"), lambda: sh.run("job")
    guard = Guard("careful", policy=Policy(allow=("*",)))
    return guard.tool(name="work"), lambda: guard.run("job")


class Stubborn:
    """A value that has no form: neither as JSON nor as text."""

    def __repr__(self) -> str:
        msg = "no"
        raise RuntimeError(msg)

    __str__ = __repr__


def holds_itself() -> list[Any]:
    itself: list[Any] = []
    itself.append(itself)
    return itself


class Slippery:
    """A model of pydantic's looks whose methods fail."""

    def model_dump(self, **_: object) -> object:
        raise ValueError


def unending() -> Iterator[int]:
    yield 1


VALUES = [
    (Stubborn(), "<Stubborn without a repr>"),
    ({"a": Stubborn()}, "<Stubborn without a repr>"),
    (holds_itself(), "[...]"),
    (Slippery(), "Slippery object"),
    (ValueError("wrong"), "wrong"),
    ({1, 2}, "{1, 2}"),
    (b"\xff\x00", "xff"),
    ({(1, 2): "x"}, "(1, 2)"),
    (float("nan"), "NaN"),
    ("\ud800", "\\ud800"),
    (threading.Lock(), "lock"),
    (10**5000, "int"),
]


@pytest.mark.parametrize(("value", "shown"), VALUES, ids=[f"{n}-{type(v).__name__}" for n, (v, _) in enumerate(VALUES)])
def test_what_json_has_no_form_for_reaches_the_model_as_its_text(sink: OtlpSink, value: object, shown: str) -> None:
    def work() -> object:
        return value

    result, told = by_agent(work)
    assert shown in told
    assert str(result.stop_reason) == complete_record(sink, result.run_id) == "finish"


@pytest.mark.parametrize(("value", "shown"), VALUES, ids=[f"{n}-{type(v).__name__}" for n, (v, _) in enumerate(VALUES)])
def test_what_json_has_no_form_for_is_recorded_as_its_text_and_returned_as_it_is(
    sink: OtlpSink, decorated: Decorated, value: object, shown: str
) -> None:
    decorate, run = decorated

    def work() -> object:
        return value

    with run():
        assert decorate(work)() is value
    assert complete_record(sink) == "finish"
    assert shown in sink.span("execute_tool work").attributes["gen_ai.tool.call.result"]


@pytest.mark.parametrize("end", ENDS[1:])
def test_a_tool_that_would_end_its_thread_has_failed_and_the_model_is_told(
    sink: OtlpSink, end: type[BaseException]
) -> None:
    def work() -> None:
        raise end

    result, told = by_agent(work)
    assert end.__name__ in told
    assert result.tools["work"].failed == 1
    assert complete_record(sink, result.run_id) == "finish"


def test_an_interrupt_inside_a_tool_cancels_the_run_and_goes_on_to_the_caller(sink: OtlpSink) -> None:
    def work() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        by_agent(work)
    assert complete_record(sink) == "cancelled"


@pytest.mark.parametrize("end", ENDS)
def test_an_end_of_the_process_inside_a_decorated_tool_cancels_the_run_and_goes_on(
    sink: OtlpSink, decorated: Decorated, end: type[BaseException]
) -> None:
    decorate, run = decorated

    @decorate
    def work() -> None:
        raise end

    with pytest.raises(end), run():
        work()
    assert complete_record(sink) == "cancelled"
    assert sink.span("execute_tool work").attributes["error.type"] == end.__name__


def test_a_tool_that_hangs_in_c_holds_no_stop_up_and_is_counted(sink: OtlpSink) -> None:
    flags = Flags()
    begun = threading.Event()

    def work() -> None:
        begun.set()
        time.sleep(30)

    def stop() -> None:
        begun.wait()
        flags.flags = [Flag(id="1", action="stop", scope="all", by="ada")]

    before = left_running()
    threading.Thread(target=stop).start()
    began = time.monotonic()
    result, _ = by_agent(work, control=Control(flags))
    assert time.monotonic() - began < 2.0  # what is promised of a stop
    assert str(result.stop_reason) == complete_record(sink, result.run_id)
    assert result.stop_reason.code.value == "operator_kill"
    assert result.tools["work"].interrupted == 1
    assert left_running() == before + 1


def test_a_tool_that_prints_secrets_shows_none_in_the_record(
    sink: OtlpSink, decorated: Decorated, capsys: pytest.CaptureFixture[str]
) -> None:
    decorate, run = decorated

    @decorate
    def work(how: str) -> dict[str, str]:
        print(SECRET)  # noqa: T201 - as tools do
        if how == "raise":
            raise RuntimeError(SECRET)
        return {"note": SECRET}

    with run():
        work("return")
        with pytest.raises(RuntimeError):
            work("raise")
    complete_record(sink)
    assert capsys.readouterr().out.count(SECRET) == 2  # what is printed is the process's own
    assert SECRET not in repr(sink.spans)
    assert SECRET not in repr(sink.logs)
    assert "REDACTED" in repr(sink.spans)


def test_a_result_of_a_hundred_megabytes_is_cut_in_the_prompt_and_in_the_record(sink: OtlpSink) -> None:
    def work() -> str:
        return "x" * 100_000_000

    result, told = by_agent(work)
    assert len(told) < 100_000
    assert "100000000 bytes" in told
    assert complete_record(sink, result.run_id) == "finish"


def test_a_result_of_a_hundred_megabytes_does_not_cost_a_decorated_run_its_record(
    sink: OtlpSink, decorated: Decorated
) -> None:
    decorate, run = decorated

    @decorate
    def work() -> str:
        return "x" * 100_000_000

    with run():
        assert len(work()) == 100_000_000
    assert complete_record(sink) == "finish"
    kept = sink.span("execute_tool work").attributes["gen_ai.tool.call.result"]
    assert len(kept) < 2_000_000
    assert "100000000" in kept[-100:]


def test_what_a_tool_makes_of_its_arguments_is_not_what_it_was_asked(sink: OtlpSink, decorated: Decorated) -> None:
    decorate, run = decorated

    @decorate
    def work(order: dict[str, Any]) -> str:
        order["amount"] = 1_000_000
        return "done"

    with run():
        work({"amount": 1})
    complete_record(sink)
    span = sink.span("execute_tool work")
    assert "1000000" not in span.attributes["gen_ai.tool.call.arguments"]
    digests = {event.data["args_hash"] for event in sink.audit if "args_hash" in event.data}
    assert digests == {span.attributes[keys.ARGS_HASH]}


def test_an_agents_tool_that_changes_its_arguments_changes_nobody_elses(sink: OtlpSink) -> None:
    asked = calls("work", order={"amount": 1})

    def work(order: dict[str, Any]) -> str:
        order["amount"] = 1_000_000
        return "done"

    model = ScriptedModel([asked, says("done")])
    result = Agent("careful", model, [work]).run("Work.")
    assert complete_record(sink, result.run_id) == "finish"
    assert asked.tool_calls[0].arguments == {"order": {"amount": 1}}
    digests = {event.data["args_hash"] for event in recorded(sink, result.run_id)[1] if "args_hash" in event.data}
    assert len(digests) == 1


class Nasty(Exception):  # noqa: N818 - what it is
    """An error that cannot be asked anything."""

    def __str__(self) -> str:
        raise RuntimeError

    @property
    def status_code(self) -> int:
        """Fail."""
        raise RuntimeError


def test_an_error_that_cannot_be_asked_anything_is_a_failure_like_any_other(
    sink: OtlpSink, decorated: Decorated
) -> None:
    decorate, run = decorated

    @decorate
    def work() -> None:
        raise Nasty

    with run():
        with pytest.raises(Nasty):
            work()
        with pytest.raises(Nasty):
            work()
    assert complete_record(sink) == "finish"
    assert {s.attributes["error.type"] for s in sink.spans if s.name == "execute_tool work"} == {"Nasty"}


def test_an_error_that_cannot_be_asked_anything_is_told_to_the_model(sink: OtlpSink) -> None:
    def work() -> None:
        raise Nasty

    result, told = by_agent(work)
    assert "Nasty" in told
    assert complete_record(sink, result.run_id) == "finish"


def test_a_run_that_such_an_error_leaves_ends_with_it(sink: OtlpSink, decorated: Decorated) -> None:
    _, run = decorated
    with pytest.raises(Nasty), run():
        raise Nasty
    assert complete_record(sink) == "error:Nasty"
