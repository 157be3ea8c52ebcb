# ruff: noqa: D101 - names state the rule
"""A call beside the run's thread: its result, its error, and control back when it hangs."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from spanhouse_runtime.worker import CallTimeout, _Job, call_with_deadline


class Stop(Exception):  # noqa: N818 - what a check raises
    pass


def never() -> None:
    """Nothing to stop."""


def test_the_result_and_the_error_of_a_call_come_back() -> None:
    def divide(a: int, b: int) -> float:
        return a / b

    assert call_with_deadline(divide, {"a": 6, "b": 3}, timeout=10, check=never) == 2
    with pytest.raises(ZeroDivisionError):
        call_with_deadline(divide, {"a": 6, "b": 0}, timeout=10, check=never)


def test_an_async_function_is_awaited() -> None:
    async def answer(value: int) -> int:
        await asyncio.sleep(0)
        return value

    assert call_with_deadline(answer, {"value": 42}, timeout=10, check=never) == 42


def test_a_hanging_sync_call_gives_control_back_and_its_late_result_is_dropped() -> None:
    release = threading.Event()
    ended = threading.Event()

    def hang() -> str:
        release.wait(60)
        ended.set()
        return "late"

    with pytest.raises(CallTimeout):
        call_with_deadline(hang, {}, timeout=0.05, check=never)
    assert not ended.is_set()
    release.set()
    assert ended.wait(60)


def test_a_hanging_async_call_is_cancelled() -> None:
    cancelled = threading.Event()

    async def hang() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(CallTimeout):
        call_with_deadline(hang, {}, timeout=0.1, check=never)
    assert cancelled.wait(60)


def test_an_async_call_that_is_given_up_before_it_begins_never_begins() -> None:
    began = threading.Event()

    async def begin() -> None:
        began.set()

    job = _Job.__new__(_Job)
    job._lock = threading.Lock()
    job._loop = job._task = None
    job._function, job._values = begin, {}
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(job._await())
    assert not began.is_set()


def test_a_check_that_raises_ends_the_wait() -> None:
    release = threading.Event()

    def stop() -> None:
        raise Stop

    with pytest.raises(Stop):
        call_with_deadline(lambda: release.wait(60), {}, timeout=60, check=stop, poll=0.01)
    release.set()


def test_a_timeout_error_of_the_function_is_its_own_error() -> None:
    def fail() -> None:
        msg = "the far end took too long"
        raise TimeoutError(msg)

    with pytest.raises(TimeoutError, match="far end"):
        call_with_deadline(fail, {}, timeout=10, check=never)


def test_the_callers_context_is_seen_inside_the_call() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("span")
    assert call_with_deadline(variable.get, {}, timeout=10, check=never) == "span"
