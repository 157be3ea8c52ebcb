"""Run a function in a process of its own, that can be killed whatever the function is doing."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from spanhouse.errors import ConfigurationError, SpanhouseError

_CHILD: Final = str(Path(__file__).with_name("isolated_child.py"))


class IsolatedCrash(SpanhouseError):  # noqa: N818 - what happened
    """The process of an isolated call ended without an answer, or with one that cannot be read."""


def check_isolated(name: str, function: Callable[..., Any]) -> None:
    """Return if another process can find the function.

    Raises:
        ConfigurationError: it is no function of a module that can be imported.
    """
    place = getattr(function, "__qualname__", "<")
    if "<" in place or "." in place or getattr(function, "__module__", None) in {None, "__main__"}:
        msg = (
            f"tool {name!r}: isolate=True runs it in another process, which must find it by import; "
            f"move {place} to the top level of a module that is not the script itself"
        )
        raise ConfigurationError(msg)


class IsolatedCall:
    """One call in a process of its own; ``run`` blocks until it has ended, ``kill`` ends it from another thread.

    Spans the function makes are its own process's and are not recorded.

    Args:
        function: sync or async, at the top level of a module.
        values: its keyword arguments; they are pickled.
    """

    def __init__(self, function: Callable[..., Any], values: Mapping[str, Any]) -> None:
        place = (list(sys.path), function.__module__, function.__qualname__, pickle.dumps(dict(values)))
        self._request = pickle.dumps(place)
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False
        self._lock = threading.Lock()

    def run(self) -> Any:  # noqa: ANN401 - whatever the function returns
        """Return what the function returned; where that cannot be pickled, its ``repr``.

        Raises:
            BaseException: what the function raised.
            IsolatedCrash: its process ended without an answer.
        """
        with self._lock:
            if self._killed:
                msg = "the call was ended before its process was started"
                raise IsolatedCrash(msg)
            process = self._process = subprocess.Popen(  # noqa: S603 - this interpreter and a script of this package
                [sys.executable, _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
        assert process.stdin is not None
        assert process.stdout is not None
        with process:
            # A process that has died already shows so below, by having no answer.
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(struct.pack(">Q", len(self._request)) + self._request)
                process.stdin.flush()
            answer = process.stdout.read()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            code = process.wait()
        return _answer(answer, code)

    def kill(self) -> None:
        """End the process and what it started, at once. Again does nothing."""
        with self._lock:
            self._killed = True
            process = self._process
        if process is None or process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()


def _answer(answer: bytes, code: int) -> Any:  # noqa: ANN401 - whatever the function returned
    if not answer:
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        msg = f"the tool's process ended {how} and gave no answer"
        raise IsolatedCrash(msg)
    try:
        kind, value = pickle.loads(answer)  # noqa: S301 - from the process this one started
    except Exception as problem:
        msg = f"the tool's process gave an answer that cannot be read: {type(problem).__name__}: {problem}"
        raise IsolatedCrash(msg) from problem
    if kind == "ok":
        return value
    links = [link if isinstance(link, BaseException) else IsolatedCrash(f"{link[0]}: {link[1]}") for link in value]
    for link, cause in pairwise(links):
        link.__cause__ = cause
    raise links[0]
