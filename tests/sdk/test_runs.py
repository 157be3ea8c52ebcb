"""A run's identity, its one stop reason, and what everything inside it carries."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest
from opentelemetry import trace
from tests.support.otlp_sink import OtlpSink

import spanhouse as sh
from spanhouse.identity import run_id_of

NO_STOCK = "no stock"


class Trouble(Exception):  # noqa: N818 - an agent's own exception
    """Something the agent raises."""


def _stop_twice_and_raise(run: sh.Run) -> None:
    run.stop("max_steps")
    run.stop(sh.StopReason(sh.StopCode.ESCALATED))
    raise Trouble


def test_run_span_says_what_the_run_was(telemetry: OtlpSink) -> None:
    """The run span holds identity, task, budget, outcome and the counts a completeness check needs."""
    with sh.run(
        "refund",
        agent="support",
        agent_version="7",
        request_id="r-1",
        session_id="s-1",
        user_id="u-1",
        task="order 17",
        variant="b",
        input="I want my money back",
    ) as run:
        run.step(1, "model")
        run.step(2, "tool")
        run.budget({"max_usd": {"limit": 1.0, "used": 0.25}})
        run.output("Done")
        run.outcome("success")
    assert sh.flush()
    span = telemetry.span("invoke_agent support")
    assert (span.trace_id, span.span_id) == (run.trace_id, run.span_id)
    assert span.resource["service.name"] == "shop"
    assert span.attributes == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "support",
        "gen_ai.agent.version": "7",
        "spanhouse.run_id": run.run_id,
        "spanhouse.request_id": "r-1",
        "session.id": "s-1",
        "user.id": "u-1",
        "tenant.id": "acme",
        "deployment.environment.name": "test",
        "spanhouse.task": "order 17",
        "spanhouse.task_type": "refund",
        "spanhouse.variant": "b",
        "spanhouse.input": "I want my money back",
        "spanhouse.output": "Done",
        "spanhouse.outcome": "success",
        "spanhouse.stop_reason": "finish",
        "spanhouse.budget": '{"max_usd": {"limit": 1.0, "used": 0.25}}',
        "spanhouse.steps": 2,
        "spanhouse.spans_expected": 1,
        "spanhouse.audit_expected": 2,
    }


def test_run_id_is_the_hash_the_analysis_computes(telemetry: OtlpSink) -> None:
    """The id known at the start is the one derived from trace and root span afterwards."""
    with sh.run("refund") as run:
        assert run.run_id == run_id_of(run.trace_id, run.span_id)


def test_pending_record_goes_out_while_the_run_goes_on(telemetry: OtlpSink) -> None:
    """A run that crashes later has left a record with its ids, its end equal to its start."""
    with sh.run("refund", request_id="r-1") as run:
        assert sh.flush()
        assert telemetry.spans == []
        (pending,) = telemetry.pending
        assert (pending.span_id, pending.end) == (run.span_id, pending.start)
        assert pending.attributes["spanhouse.run_id"] == run.run_id
        assert pending.attributes["spanhouse.request_id"] == "r-1"
    assert sh.flush()
    assert "spanhouse.pending" not in telemetry.span("invoke_agent refund").attributes
    assert len(telemetry.pending) == 1


def test_said_stop_reason_wins_and_the_first_one_stands(telemetry: OtlpSink) -> None:
    """run.stop is the cause; what follows from it, exceptions included, does not change it."""
    run = sh.run("refund")
    with pytest.raises(Trouble), run:
        _stop_twice_and_raise(run)
    assert sh.flush()
    assert telemetry.span("invoke_agent refund").attributes["spanhouse.stop_reason"] == "max_steps"


def test_run_stopped_ends_at_the_block_with_its_reason(telemetry: OtlpSink) -> None:
    """The control layer's signal becomes the stop reason and goes no further."""
    with sh.run("refund") as run:
        raise sh.RunStopped(sh.StopReason(sh.StopCode.POLICY_DENY, "send_email"))
    assert str(run.stop_reason) == "policy_deny:send_email"
    assert sh.flush()
    assert telemetry.span("invoke_agent refund").attributes["spanhouse.stop_reason"] == "policy_deny:send_email"


def test_other_exceptions_go_on_and_name_their_type(telemetry: OtlpSink) -> None:
    """An agent's own exception is the stop reason error:<Type>, recorded with message and class."""
    with pytest.raises(Trouble, match="no stock"), sh.run("refund"):
        raise Trouble(NO_STOCK)
    assert sh.flush()
    span = telemetry.span("invoke_agent refund")
    assert span.attributes["spanhouse.stop_reason"] == "error:Trouble"
    assert span.attributes["error.type"] == "Trouble"
    assert span.attributes["spanhouse.error.class"] == "other"
    assert (span.status, span.status_message) == (2, "no stock")
    assert [name for name, _ in span.events] == ["exception"]


@pytest.mark.parametrize("signal", [KeyboardInterrupt, asyncio.CancelledError, SystemExit, GeneratorExit])
def test_interruptions_are_cancelled(telemetry: OtlpSink, signal: type[BaseException]) -> None:
    """What ends a run from outside is no error of the run."""
    with pytest.raises(signal), sh.run("refund") as run:
        raise signal
    assert str(run.stop_reason) == "cancelled"


def test_unknown_stop_reason_and_outcome_are_refused() -> None:
    """The closed lists stay closed: a wrong word fails in the first test of an agent, not in a report."""
    with sh.run("refund") as run:
        with pytest.raises(ValueError, match="must be one of finish"):
            run.stop("done")
        with pytest.raises(ValueError, match="'great' is not a valid Outcome"):
            run.outcome("great")


def test_every_span_of_the_run_carries_its_identity(telemetry: OtlpSink) -> None:
    """Also a foreign instrumentation's span, which may name its own agent but not another run or tenant."""
    tracer = trace.get_tracer("other.library")
    with sh.run("refund", request_id="r-1", session_id="s-1", user_id="u-1") as run:
        run.step(3, "tool")
        said = {"gen_ai.agent.name": "helper", "tenant.id": "evil"}
        with tracer.start_as_current_span("foreign", attributes=said), sh.tool_call("look", {}):
            pass
    assert sh.flush()
    foreign = telemetry.span("foreign").attributes
    assert foreign == {
        "gen_ai.agent.name": "helper",
        "spanhouse.run_id": run.run_id,
        "spanhouse.request_id": "r-1",
        "tenant.id": "acme",
        "deployment.environment.name": "test",
        "session.id": "s-1",
        "user.id": "u-1",
        "spanhouse.step": 3,
        "spanhouse.step.kind": "tool",
    }
    assert telemetry.span("invoke_agent refund").attributes["spanhouse.spans_expected"] == 3


def test_spans_outside_a_run_carry_no_run(telemetry: OtlpSink) -> None:
    """A run's identity ends with its block."""
    with sh.run("refund"):
        pass
    with sh.tool_call("look", {}):
        assert sh.current_run() is None
    assert sh.flush()
    span = telemetry.span("execute_tool look")
    assert "spanhouse.run_id" not in span.attributes
    assert (span.resource["tenant.id"], span.resource["deployment.environment.name"]) == ("acme", "test")


def test_a_run_inside_a_run_is_a_sub_agent(telemetry: OtlpSink) -> None:
    """It has a span and stop reason of its own, and shares run id, identity and audit trail with the outer run."""
    with sh.run("boss", request_id="r-1", user_id="u-1") as outer:
        with sh.run("worker") as inner:
            inner.event("decision", option="a")
            inner.stop("max_steps")
        assert sh.current_run() is outer
    assert inner.run_id == outer.run_id
    assert (inner.request_id, inner.user_id) == ("r-1", "u-1")
    assert sh.flush()
    assert telemetry.span("invoke_agent worker").parent_span_id == outer.span_id
    assert telemetry.span("invoke_agent worker").attributes["spanhouse.stop_reason"] == "max_steps"
    assert telemetry.span("invoke_agent worker").attributes["gen_ai.agent.name"] == "worker"
    assert telemetry.span("invoke_agent boss").attributes["spanhouse.stop_reason"] == "finish"
    assert telemetry.span("invoke_agent boss").attributes["spanhouse.spans_expected"] == 2
    assert [event.event_name for event in telemetry.audit] == ["run.start", "decision", "run.end"]
    assert len(telemetry.pending) == 1


def test_concurrent_tasks_keep_their_runs_apart(telemetry: OtlpSink) -> None:
    """Each asyncio task has its own current run, and its spans hang on it."""

    @sh.tool
    async def look(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def one(number: int) -> str:
        with sh.run(f"agent-{number}") as run:
            await look(number)
            await asyncio.sleep(0)
            await look(number)
        return run.run_id

    async def both() -> list[str]:
        return list(await asyncio.gather(one(1), one(2)))

    ids = asyncio.run(both())
    assert len(set(ids)) == 2
    assert sh.flush()
    for number, run_id in enumerate(ids, start=1):
        own = [span for span in telemetry.spans if span.attributes["spanhouse.run_id"] == run_id]
        assert sorted(span.name for span in own) == ["execute_tool look"] * 2 + [f"invoke_agent agent-{number}"]
        root = telemetry.span(f"invoke_agent agent-{number}")
        assert root.attributes["spanhouse.spans_expected"] == 3


def test_a_thread_with_a_copied_context_works_for_the_run(telemetry: OtlpSink) -> None:
    """Threads start without a run; contextvars.copy_context hands it over."""
    seen: list[sh.Run | None] = []

    def work() -> None:
        seen.append(sh.current_run())

    with sh.run("refund") as run:
        bare = threading.Thread(target=work)
        bare.start()
        bare.join()
        copied = threading.Thread(target=contextvars.copy_context().run, args=(work,))
        copied.start()
        copied.join()
    assert seen == [None, run]


def test_without_init_a_run_works_and_gives_ids() -> None:
    """Telemetry that was never set up does no harm: ids are there, spans are not."""
    with sh.run("refund", request_id="r-1") as run:
        run.step(1)
        run.escalate("too hard")
        assert len(run.run_id) == len(run.trace_id) == 32
        assert sh.current_run() is run
        with sh.tool_call("look", {"a": 1}) as call:
            call.result(2)
    assert str(run.stop_reason) == "finish"
    assert not sh.flush(0)


def test_what_is_known_only_later_can_be_added(telemetry: OtlpSink) -> None:
    """The question may come after the start, and an agent may have attributes of its own."""
    with sh.run("refund") as run:
        run.input({"question": "why?"})
        run.set_attribute("shop.region", "eu")
    assert sh.flush()
    attributes = telemetry.span("invoke_agent refund").attributes
    assert (attributes["spanhouse.input"], attributes["shop.region"]) == ('{"question": "why?"}', "eu")


def test_a_run_is_entered_once() -> None:
    """One object, one run: a second entry would give two runs one id."""
    run = sh.run("refund")
    run.outcome("success")
    with run:
        pass
    with pytest.raises(sh.ConfigurationError, match=r"call spanhouse.run\(\) for each run"), run:
        pass


def test_escalation_is_a_flag_and_an_event_and_ends_nothing(telemetry: OtlpSink) -> None:
    """A run may be handed over and go on to another stop reason."""
    with sh.run("refund") as run:
        run.escalate("too hard")
        run.stop("max_steps")
    assert sh.flush()
    assert telemetry.span("invoke_agent refund").attributes["spanhouse.escalated"] is True
    (event,) = [event for event in telemetry.audit if event.event_name == "escalation"]
    assert event.data == {"reason": "too hard"}
    assert telemetry.audit[-1].data["escalated"] is True
