"""What one call recorded has left before it returns."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.otlp_sink import Answer, OtlpSink

import spanhouse as sh


def test_the_end_of_a_call_sends_everything(telemetry: OtlpSink) -> None:
    """When the function returns, the server has the run."""
    with sh.invocation() as call, sh.run("refund"):
        assert call.flushed is None
    assert call.flushed is True
    assert len(telemetry.spans) == 1
    assert len(telemetry.audit) == 2


def test_a_function_is_flushed_whatever_becomes_of_it(telemetry: OtlpSink) -> None:
    """As a decorator, for plain and async functions; an error goes on, and is on the server already."""

    @sh.invocation(deadline=5)
    def handler(event: str) -> str:
        with sh.run(event):
            if event == "bad":
                raise ValueError(event)
        return event.upper()

    @sh.invocation(deadline=5)
    async def awaited(event: str) -> str:
        with sh.run(event):
            await asyncio.sleep(0)
        return event.upper()

    assert handler("good") == "GOOD"
    with pytest.raises(ValueError, match="bad"):
        handler("bad")
    assert asyncio.run(awaited("async")) == "ASYNC"
    assert [span.name for span in telemetry.spans] == [f"invoke_agent {what}" for what in ("good", "bad", "async")]


def test_a_server_that_is_away_costs_the_deadline_and_no_record(telemetry: OtlpSink) -> None:
    """What the deadline leaves is sent by the next call."""
    telemetry.always(Answer(503))
    with sh.invocation(deadline=0.05) as call, sh.run("refund"):
        pass
    assert call.flushed is False
    telemetry.always(None)
    with sh.invocation() as call:
        pass
    assert call.flushed is True
    assert len(telemetry.spans) == 1


def test_a_deadline_before_the_start_is_refused() -> None:
    """A negative deadline is a mistake."""
    with pytest.raises(sh.ConfigurationError, match="0 or more"):
        sh.invocation(deadline=-1)
