"""A generator's permit lasts as long as the generator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator

import pytest
from tests.support.otlp_sink import OtlpSink
from tests.support.records import complete_record

from spanhouse.errors import RunStopped
from spanhouse_runtime.guard import Guard, Rate
from spanhouse_runtime.policy import Policy


def one_at_a_time() -> Guard:
    return Guard("g", policy=Policy(allow=("pieces",)), rates={"pieces": Rate(at_once=1, queue_seconds=0.1)})


def test_a_generator_holds_its_turn_until_it_is_closed(sink: OtlpSink) -> None:
    guard = one_at_a_time()

    @guard.tool
    def pieces(name: str) -> Iterator[str]:
        yield name
        yield name

    with guard.run("job"):
        first = pieces("a")
        assert next(first) == "a"
        first.close()  # type: ignore[attr-defined]
        assert list(pieces("b")) == ["b", "b"]
        held = pieces("c")
        next(held)
        with pytest.raises(RunStopped):
            next(pieces("d"))
        held.close()  # type: ignore[attr-defined]
    assert complete_record(sink) == "rate_limited:pieces"


def test_an_async_generator_holds_its_turn_until_it_is_exhausted(sink: OtlpSink) -> None:
    guard = one_at_a_time()

    @guard.tool
    async def pieces(name: str) -> AsyncGenerator[str, None]:
        yield name
        await asyncio.sleep(0)
        yield name

    async def job() -> None:
        with guard.run("job"):
            assert [piece async for piece in pieces("a")] == ["a", "a"]
            assert [piece async for piece in pieces("b")] == ["b", "b"]

    asyncio.run(job())
    assert complete_record(sink) == "finish"
    results = [s.attributes["gen_ai.tool.call.result"] for s in sink.spans if s.name == "execute_tool pieces"]
    assert results == ["aa", "bb"]
