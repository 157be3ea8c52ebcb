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
    """The call did not end in time; whatever it still returns is dropped."""


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

    def cancel(self) -> None:
        """Cancel an async call; a sync one goes on in its thread and its result is dropped."""
        with self._lock:
            self._cancelled = True
            if self._loop is not None and self._task is not None:
                # The loop may have closed a moment ago; then there is nothing left to cancel.
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._task.cancel)

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
) -> Any:  # noqa: ANN401 - whatever the function returns
    """Return what the function returns, or raise what it raises.

    Args:
        function: sync or async.
        values: its keyword arguments.
        timeout: seconds to wait.
        check: called every ``poll`` seconds; what it raises ends the wait and is raised.
        poll: seconds between two checks.

    Raises:
        CallTimeout: the time is up. An async function has been cancelled by then, a sync one goes on unheard.
    """
    job = _Job(function, values)
    try:
        _wait(job, timeout, check, poll)
    except BaseException:
        job.cancel()
        raise
    if job.error is not None:
        raise job.error
    return job.result


def _wait(job: _Job, timeout: float, check: Callable[[], object], poll: float) -> None:
    deadline = time.monotonic() + timeout
    while not job.done.wait(max(0.0, min(poll, deadline - time.monotonic()))):
        check()
        if time.monotonic() >= deadline:
            msg = f"no result after {timeout:g} s"
            raise CallTimeout(msg)
