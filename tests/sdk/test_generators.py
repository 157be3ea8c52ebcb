"""A run that a generator holds open ends once, with the right reason, wherever the generator ends."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.support.otlp_sink import OtlpSink

import spanhouse as sh


def pieces() -> Iterator[int]:
    """Yield inside a run."""
    with sh.run("sync"):
        yield from range(3)


async def later() -> AsyncIterator[int]:
    """Yield inside a run, asynchronously."""
    with sh.run("async"):
        for number in range(3):
            await asyncio.sleep(0)
            yield number


def reason(sink: OtlpSink, name: str) -> str:
    """Return how the one run of this name ended; its record is complete."""
    assert sh.flush()
    span = sink.span(f"invoke_agent {name}")
    ends = [log for log in sink.logs_named("run.end") if log.attributes["spanhouse.run_id"] == _run_id(span.attributes)]
    assert len(ends) == 1
    return str(span.attributes["spanhouse.stop_reason"])


def _run_id(attributes: dict[str, str]) -> str:
    return attributes["spanhouse.run_id"]


def test_one_read_to_the_end_finishes(telemetry: OtlpSink) -> None:
    """The plain case, sync and async."""

    async def read() -> list[int]:
        return [number async for number in later()]

    assert list(pieces()) == asyncio.run(read()) == [0, 1, 2]
    assert reason(telemetry, "sync") == reason(telemetry, "async") == "finish"
    assert sh.current_run() is None


def test_one_that_is_closed_early_is_cancelled(telemetry: OtlpSink) -> None:
    """A reader that has enough."""
    generator = pieces()
    assert next(generator) == 0
    generator.close()  # type: ignore[attr-defined]
    assert reason(telemetry, "sync") == "cancelled"
    assert sh.current_run() is None


def test_one_that_is_abandoned_is_cancelled(telemetry: OtlpSink) -> None:
    """A reader that forgets it."""
    generator = pieces()
    assert next(generator) == 0
    del generator
    gc.collect()
    assert reason(telemetry, "sync") == "cancelled"
    assert sh.current_run() is None


def test_one_that_another_task_closes_ends_without_noise(telemetry: OtlpSink, caplog: pytest.LogCaptureFixture) -> None:
    """A web server reads in one task and cleans up in another: the run ends, and nobody's context is disturbed."""

    async def main() -> None:
        generator = later()
        assert await asyncio.create_task(_first(generator)) == 0
        with sh.run("elsewhere") as run:
            await asyncio.create_task(generator.aclose())  # type: ignore[attr-defined]
            assert sh.current_run() is run
        assert sh.current_run() is None

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    assert reason(telemetry, "async") == "cancelled"
    assert reason(telemetry, "elsewhere") == "finish"
    assert caplog.messages == []


def test_an_abandoned_async_one_is_cancelled_when_the_loop_ends(telemetry: OtlpSink) -> None:
    """The event loop closes what is left open."""

    async def main() -> None:
        async for number in later():
            if number == 1:
                break

    asyncio.run(main())
    gc.collect()
    assert reason(telemetry, "async") == "cancelled"


def test_a_run_handed_to_another_thread_ends_there(telemetry: OtlpSink, caplog: pytest.LogCaptureFixture) -> None:
    """A framework that reads a sync generator in worker threads, a piece in each."""

    async def main() -> list[int]:
        generator = pieces()
        return [await asyncio.to_thread(next, generator) for _ in range(3)] + [
            await asyncio.to_thread(next, generator, -1)
        ]

    with caplog.at_level(logging.ERROR):
        assert asyncio.run(main()) == [0, 1, 2, -1]
    assert reason(telemetry, "sync") == "finish"
    assert caplog.messages == []


async def _first(generator: AsyncIterator[int]) -> int:
    return await anext(generator)
