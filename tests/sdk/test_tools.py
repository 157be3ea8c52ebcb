"""What a tool call leaves behind: span, audit event, argument hash, status."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, cast

import pytest
from tests.support.otlp_sink import OtlpSink

import spanhouse as sh
from spanhouse.canonical import args_hash


def test_a_call_is_a_span_and_an_audit_event(telemetry: OtlpSink) -> None:
    """Both know the tool, the argument hash and the status; arguments and result are on the span alone."""

    @sh.tool
    def lookup(order_id: str, *, verbose: bool = False) -> dict[str, Any]:
        return {"order": order_id, "verbose": verbose}

    with sh.run("refund"):
        assert lookup("o-1") == {"order": "o-1", "verbose": False}
    assert sh.flush()
    span = telemetry.span("execute_tool lookup").attributes
    expected_hash = args_hash({"order_id": "o-1", "verbose": False})
    assert span["gen_ai.operation.name"] == "execute_tool"
    assert span["gen_ai.tool.name"] == "lookup"
    assert span["spanhouse.tool.args_hash"] == expected_hash
    assert span["gen_ai.tool.call.arguments"] == '{"order_id": "o-1", "verbose": false}'
    assert span["gen_ai.tool.call.result"] == '{"order": "o-1", "verbose": false}'
    (event,) = [event for event in telemetry.audit if event.event_name == "tool.call"]
    assert event.data.pop("duration_ms") >= 0
    assert {**event.data, "duration_ms": 0} == {
        "tool": "lookup",
        "args_hash": expected_hash,
        "status": "ok",
        "duration_ms": 0,
    }


def test_equal_calls_hash_alike_however_they_are_written(telemetry: OtlpSink) -> None:
    """Position, keyword and default say the same; the loop guard must see it."""

    @sh.tool
    def lookup(order_id: str, limit: int = 10, **more: object) -> None:
        """Do nothing."""

    with sh.run("refund"):
        lookup("o-1")
        lookup(order_id="o-1", limit=10)
        lookup("o-1", 11)
        lookup("o-1", colour="red")
    assert sh.flush()
    calls = [span for span in telemetry.spans if span.name == "execute_tool lookup"]
    hashes = [span.attributes["spanhouse.tool.args_hash"] for span in calls]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3
    assert hashes[3] == args_hash({"order_id": "o-1", "limit": 10, "colour": "red"})


def test_decorated_names_and_polling(telemetry: OtlpSink) -> None:
    """A tool may have another name than its function, and may be meant to be called again."""

    @sh.tool(name="job.status", polling=True)
    def status() -> str:
        """Return the state of the job."""
        return "running"

    assert (status.__name__, status.__doc__) == ("status", "Return the state of the job.")
    with sh.run("refund"):
        status()
    assert sh.flush()
    assert telemetry.span("execute_tool job.status").attributes["spanhouse.tool.polling"] is True


def test_methods_leave_the_instance_out(telemetry: OtlpSink) -> None:
    """The instance is no argument: its address would make every call a different one."""

    class Shop:
        @sh.tool
        def price(self, item: str) -> int:
            return len(item)

        @classmethod
        @sh.tool
        def stock(cls, item: str) -> int:
            return len(item)

        @staticmethod
        @sh.tool
        def rate(code: str) -> int:
            return len(code)

    with sh.run("refund"):
        assert (Shop().price("tea"), Shop.stock("tea"), Shop.rate("EUR")) == (3, 3, 3)
    assert sh.flush()
    for name, arguments in (("price", '{"item": "tea"}'), ("stock", '{"item": "tea"}'), ("rate", '{"code": "EUR"}')):
        assert telemetry.span(f"execute_tool {name}").attributes["gen_ai.tool.call.arguments"] == arguments


def test_coroutine_functions_are_recorded_to_their_end(telemetry: OtlpSink) -> None:
    """The span covers the awaiting, and spans made inside hang on it."""

    @sh.tool
    async def outer() -> str:
        await asyncio.sleep(0)
        return await inner()

    @sh.tool
    async def inner() -> str:
        await asyncio.sleep(0)
        return "done"

    async def main() -> None:
        with sh.run("refund"):
            assert await outer() == "done"

    asyncio.run(main())
    assert sh.flush()
    parent = telemetry.span("execute_tool outer")
    child = telemetry.span("execute_tool inner")
    assert child.parent_span_id == parent.span_id
    assert parent.start <= child.start <= child.end <= parent.end


def test_a_generator_is_handed_on_whole(telemetry: OtlpSink) -> None:
    """Recording must not use up what the tool yields."""

    @sh.tool
    def numbers() -> Iterator[int]:
        yield from (1, 2)

    with sh.run("refund"):
        assert list(numbers()) == [1, 2]
    assert sh.flush()
    assert telemetry.span("execute_tool numbers").attributes["gen_ai.tool.call.result"] == "[1, 2]"


def test_a_failing_tool_is_recorded_and_still_fails(telemetry: OtlpSink) -> None:
    """Type, closed error class and status are told apart: a timeout is its own status."""

    @sh.tool
    def slow() -> None:
        raise TimeoutError("30 s passed")  # noqa: EM101, TRY003 - the message is what is looked for

    with sh.run("refund"), pytest.raises(TimeoutError):
        slow()
    assert sh.flush()
    span = telemetry.span("execute_tool slow")
    assert span.attributes["error.type"] == "TimeoutError"
    assert span.attributes["spanhouse.error.class"] == "timeout"
    assert (span.status, span.status_message) == (2, "30 s passed")
    (event,) = [event for event in telemetry.audit if event.event_name == "tool.call"]
    assert (event.data["status"], event.data["error_type"]) == ("timeout", "timeout")


def test_wrong_arguments_fail_as_ever_and_are_recorded(telemetry: OtlpSink) -> None:
    """The caller sees Python's own TypeError; the record shows what was passed."""

    @sh.tool
    def lookup(order_id: str) -> None:
        """Do nothing."""

    with sh.run("refund"), pytest.raises(TypeError, match="unexpected keyword argument 'wrong'"):
        lookup(wrong="o-1")  # type: ignore[call-arg]
    assert sh.flush()
    span = telemetry.span("execute_tool lookup").attributes
    assert span["gen_ai.tool.call.arguments"] == '{"args": [], "wrong": "o-1"}'
    assert span["spanhouse.error.class"] == "invalid_input"


def test_denied_calls_say_so_and_are_no_failure(telemetry: OtlpSink) -> None:
    """A refused call was asked for and never made, also where RunStopped leaves the block."""
    with sh.run("refund"), sh.tool_call("send_email", '{"to": "a"}', call_id="c-1") as call:
        call.denied("no-mail")
        raise sh.RunStopped(sh.StopReason(sh.StopCode.POLICY_DENY, "send_email"))
    assert sh.flush()
    span = telemetry.span("execute_tool send_email")
    assert span.status == 0
    assert span.attributes["spanhouse.policy.decision"] == "deny"
    assert span.attributes["spanhouse.policy.rule"] == "no-mail"
    assert span.attributes["gen_ai.tool.call.id"] == "c-1"
    (event,) = [event for event in telemetry.audit if event.event_name == "tool.call"]
    assert (event.data["status"], event.data["decision"], event.data["call_id"]) == ("denied", "deny", "c-1")


def test_replays_retries_and_reported_failures(telemetry: OtlpSink) -> None:
    """A result from an earlier call, the number of the attempt, and a failure without exception are all on record."""
    with sh.run("refund"):
        with sh.tool_call("pay", {"amount": 5}, idempotency_key="k-1") as call:
            call.replayed()
            call.result("paid")
        with sh.tool_call("search", {}, attempt=2, decision="allow") as call:
            call.failed("503 from upstream", sh.ErrorType.UNAVAILABLE)
    assert sh.flush()
    paid = telemetry.span("execute_tool pay").attributes
    assert (paid["spanhouse.tool.replayed"], paid["spanhouse.idempotency_key"]) == (True, "k-1")
    searched = telemetry.span("execute_tool search")
    assert searched.attributes["spanhouse.tool.attempt"] == 2
    assert searched.attributes["spanhouse.error.class"] == "unavailable"
    assert searched.status_message == "503 from upstream"
    statuses = [event.data["status"] for event in telemetry.audit if event.event_name == "tool.call"]
    assert statuses == ["replayed", "error"]


def test_what_the_block_said_stands_over_how_it_was_left(telemetry: OtlpSink) -> None:
    """A failure told before the run is stopped keeps its own type; an unexplained stop is a call that gave nothing."""
    with sh.run("refund"), sh.tool_call("slow", {}) as call:
        call.failed("30 s passed", sh.ErrorType.TIMEOUT)
        raise sh.RunStopped(sh.StopReason(sh.StopCode.TOOL_TIMEOUT, "slow"))
    with sh.run("refund"), sh.tool_call("killed", {}):
        raise sh.RunStopped(sh.StopReason(sh.StopCode.OPERATOR_KILL))
    assert sh.flush()
    assert telemetry.span("execute_tool slow").attributes["error.type"] == "ToolError"
    assert telemetry.span("execute_tool killed").attributes["error.type"] == "RunStopped"
    statuses = {event.data["tool"]: event.data["status"] for event in telemetry.logs_named("tool.call")}
    assert statuses == {"slow": "timeout", "killed": "error"}


class Hostile:
    """Looks like a model and raises whatever it is asked."""

    def model_dump(self, **_: object) -> None:
        """Raise."""
        raise AttributeError

    def __repr__(self) -> str:
        raise RuntimeError


def test_values_that_cannot_be_shown_do_no_harm(telemetry: OtlpSink) -> None:
    """Recording never ends the agent, whatever its values do."""
    circle: list[object] = []
    circle.append(circle)
    with sh.run("refund", input=Hostile()) as run:
        run.budget({"max_usd": {"limit": Decimal("1.5"), "used": None}})
        with sh.tool_call("look", {"a": Hostile(), "b": circle}) as call:
            call.result(Hostile())
        run.event("decision", option=circle)
    assert sh.flush()
    span = telemetry.span("execute_tool look").attributes
    assert span["gen_ai.tool.call.result"] == "<Hostile without a repr>"
    root = telemetry.span("invoke_agent refund").attributes
    assert root["spanhouse.budget"] == '{"max_usd": {"limit": 1.5, "used": null}}'


def recorded_nowhere(cls: type) -> None:
    """Do nothing."""


def test_classes_and_class_methods_are_refused_with_the_fix() -> None:
    """A decorator in the wrong place says where it belongs."""
    with pytest.raises(sh.ConfigurationError, match="below @staticmethod"):
        sh.tool(cast("Any", classmethod(recorded_nowhere)))
    with pytest.raises(sh.ConfigurationError, match="directly on a function"):
        sh.tool(dict)


def test_capture_off_sends_no_content_and_says_so(sink: OtlpSink) -> None:
    """With content capture off no message, argument or result leaves the process, on any span."""
    sh.init("shop", url=sink.url, capture_content=False)
    with sh.run("refund", input="canary") as run:
        run.output("canary")
        with sh.tool_call("look", {"q": "canary"}) as tool:
            tool.result("canary")
        with sh.model_call("m", messages="canary", system="canary", tools=["canary"]) as call:
            call.response(output="canary", input_tokens=1)
    assert sh.flush()
    assert all(b"canary" not in request.body for request in sink.requests)
    assert {span.attributes["spanhouse.content_captured"] for span in sink.spans} == {False}
    assert sink.span("execute_tool look").attributes["spanhouse.tool.args_hash"] == args_hash({"q": "canary"})
