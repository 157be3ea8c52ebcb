"""The call of a generator lasts as long as the generator, and nobody outside is inside of it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Generator

import pytest
from opentelemetry import trace
from tests.support.otlp_sink import OtlpSink, SinkSpan

import spanhouse as sh

closed: list[str] = []


@sh.tool
def pieces(count: int, fails: bool = False) -> Generator[str, None, str]:  # noqa: FBT001, FBT002
    try:
        for number in range(count):
            with sh.tool_call("inner", {"n": number}):
                pass
            yield f"piece {number} "
        if fails:
            raise TimeoutError
    finally:
        closed.append("pieces")
    return "all"


@sh.tool
async def pieces_async(count: int, fails: bool = False) -> AsyncGenerator[str, None]:  # noqa: FBT001, FBT002
    try:
        for number in range(count):
            await asyncio.sleep(0.001)
            with sh.tool_call("inner", {"n": number}):
                pass
            yield f"piece {number} "
        if fails:
            raise TimeoutError
    finally:
        closed.append("pieces_async")


def the_span(sink: OtlpSink, name: str) -> SinkSpan:
    assert sh.flush()
    found = sink.span(f"execute_tool {name}")
    inside = [span for span in sink.spans if span.name == "execute_tool inner"]
    assert {span.parent_span_id for span in inside} == {found.span_id}
    assert max(span.end for span in inside) <= found.end
    (event,) = [event for event in sink.audit if event.data.get("tool") == name]
    assert event.data["status"] == ("error" if found.status == 2 else "ok") or event.data["status"] == "timeout"
    return found


async def collected(steps: AsyncGenerator[str, None], most: int = 99) -> list[str]:
    found: list[str] = []
    outside = trace.get_current_span()
    async for piece in steps:
        assert trace.get_current_span() is outside
        found.append(piece)
        if len(found) == most:
            await steps.aclose()
    return found


def test_a_generators_call_lasts_until_it_is_exhausted(telemetry: OtlpSink) -> None:
    with sh.run("job"):
        outside = trace.get_current_span()
        steps = pieces(3)
        found = []
        for _ in range(3):
            found.append(next(steps))
            assert trace.get_current_span() is outside
        with pytest.raises(StopIteration) as end:
            next(steps)
    assert end.value.value == "all"
    assert the_span(telemetry, "pieces").attributes["gen_ai.tool.call.result"] == "".join(found)


def test_an_async_generators_call_lasts_until_it_is_exhausted(telemetry: OtlpSink) -> None:
    found: list[str] = []

    async def job() -> None:
        with sh.run("job"):
            found.extend(await collected(pieces_async(3)))

    asyncio.run(job())
    assert the_span(telemetry, "pieces_async").attributes["gen_ai.tool.call.result"] == "".join(found)


def test_a_failure_inside_is_the_calls(telemetry: OtlpSink) -> None:
    with sh.run("job"), pytest.raises(TimeoutError):
        list(pieces(1, fails=True))
    assert the_span(telemetry, "pieces").attributes["error.type"] == "TimeoutError"


def test_a_failure_inside_an_async_one_is_the_calls(telemetry: OtlpSink) -> None:
    async def job() -> None:
        with sh.run("job"), pytest.raises(TimeoutError):
            await collected(pieces_async(1, fails=True))

    asyncio.run(job())
    assert the_span(telemetry, "pieces_async").attributes["error.type"] == "TimeoutError"


@pytest.mark.parametrize("how", ["closed", "forgotten"])
def test_an_abandoned_generator_is_closed_and_its_call_ends(telemetry: OtlpSink, how: str) -> None:
    closed.clear()
    with sh.run("job"):
        steps = pieces(9)
        next(steps)
        if how == "closed":
            steps.close()
        del steps
        gc.collect()
        assert closed == ["pieces"]
    assert the_span(telemetry, "pieces").attributes["gen_ai.tool.call.result"] == "piece 0 "


def test_an_async_generator_that_is_closed_ends_its_call(telemetry: OtlpSink) -> None:
    closed.clear()

    async def job() -> None:
        with sh.run("job"):
            assert len(await collected(pieces_async(9), most=2)) == 2

    asyncio.run(job())
    assert closed == ["pieces_async"]
    assert the_span(telemetry, "pieces_async").attributes["gen_ai.tool.call.result"] == "piece 0 piece 1 "


def test_a_cancelled_async_generator_ends_its_call(telemetry: OtlpSink) -> None:
    async def job() -> None:
        with sh.run("job"), pytest.raises(TimeoutError):
            await asyncio.wait_for(collected(pieces_async(100_000), most=0), 0.2)

    asyncio.run(job())
    assert sh.flush()
    assert telemetry.span("execute_tool pieces_async").attributes["error.type"] == "CancelledError"
