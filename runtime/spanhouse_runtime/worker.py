"""Run a call beside the run's own thread, so that a time limit or an operator's stop always gives control back."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

POLL_SECONDS: Final = 0.05
"""How often a waiting run looks whether it is to stop: far below the two seconds a stop may take."""


class CallTimeout(Exception):  # noqa: N818 - as TimeoutError, but never one that the called function raised itself
    """The call did not end in time; whatever it still returns is dropped.

    Attributes:
        left_running: it could not be stopped, and goes on in its thread.
    """

    def __init__(self, message: str, *, left_running: bool = False) -> None:
        super().__init__(message)
        self.left_running = left_running


class CallCrashed(Exception):  # noqa: N818 - as above
    """The called function tried to end its thread or its task (``SystemExit``, ``CancelledError``): it has failed."""


_LEFT: set[threading.Thread] = set()
_LEFT_LOCK = threading.Lock()


def left_running() -> int:
    """Return how many calls nobody waits for any more still run in this process: sync ones that were out of time."""
    with _LEFT_LOCK:
        _LEFT.difference_update([thread for thread in _LEFT if not thread.is_alive()])
        return len(_LEFT)


class _Job:
    """One call in its own daemon thread: a hanging call can neither hold the run nor the end of the process."""

    def __init__(self, function: Callable[..., Any], values: Mapping[str, Any]) -> None:
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None
        self._function = function
        self._values = values
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = False
        # Spans made inside the call belong below the caller's span.
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="spanhouse-call", daemon=True)
        self._thread.start()

    def cancel(self) -> bool:
        """Cancel an async call; a sync one goes on in its thread and its result is dropped. Return whether it does."""
        if not inspect.iscoroutinefunction(self._function):
            with _LEFT_LOCK:
                _LEFT.add(self._thread)
            return True
        with self._lock:
            self._cancelled = True
            if self._loop is not None and self._task is not None:
                # The loop may have closed a moment ago; then there is nothing left to cancel.
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._task.cancel)
        return False

    def _run(self) -> None:
        try:
            if inspect.iscoroutinefunction(self._function):
                self.result = asyncio.run(self._await())
            else:
                self.result = self._function(**self._values)
        except BaseException as problem:  # noqa: BLE001 - handed to the waiting thread, which raises it
            self.error = problem
        finally:
            self.done.set()

    async def _await(self) -> Any:  # noqa: ANN401 - whatever the function returns
        with self._lock:
            if self._cancelled:
                raise asyncio.CancelledError
            self._loop = asyncio.get_running_loop()
            self._task = asyncio.current_task()
        return await self._function(**self._values)


def call_with_deadline(
    function: Callable[..., Any],
    values: Mapping[str, Any],
    *,
    timeout: float,
    check: Callable[[], object],
    poll: float = POLL_SECONDS,
    kill: Callable[[], None] | None = None,
) -> Any:  # noqa: ANN401 - whatever the function returns
    """Return what the function returns, or raise what it raises.

    Args:
        function: sync or async.
        values: its keyword arguments.
        timeout: seconds to wait.
        check: called every ``poll`` seconds; what it raises ends the wait and is raised.
        poll: seconds between two checks.
        kill: ends a sync call whose time is up; without it, the call is left to its thread.

    Raises:
        CallTimeout: the time is up. An async function has been cancelled by then, a sync one killed or left running.
        CallCrashed: the function tried to end its thread or its task.
    """
    job = _Job(function, values)
    try:
        _wait(job, timeout, check, poll)
    except BaseException as problem:
        if kill is not None:
            kill()
        elif job.cancel() and isinstance(problem, CallTimeout):
            msg = f"{problem}; it cannot be stopped and goes on in its thread"
            raise CallTimeout(msg, left_running=True) from None
        raise
    if isinstance(job.error, Exception | KeyboardInterrupt):
        raise job.error
    if job.error is not None:
        msg = f"{type(job.error).__name__}: {job.error}".rstrip(": ")
        raise CallCrashed(msg) from job.error
    return job.result


def _wait(job: _Job, timeout: float, check: Callable[[], object], poll: float) -> None:
    deadline = time.monotonic() + timeout
    while not job.done.wait(max(0.0, min(poll, deadline - time.monotonic()))):
        check()
        if time.monotonic() >= deadline:
            msg = f"no result after {timeout:g} s"
            raise CallTimeout(msg)
