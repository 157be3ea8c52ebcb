"""The same error again and again, and one tool tried too often in too short a time."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Final

from spanhouse_runtime.loops.settings import LoopSettings
from spanhouse_runtime.loops.verdict import NONE, LoopPattern, LoopVerdict, Warned

_VARYING: Final = re.compile(r"\b(?:0x[0-9a-f]+|[0-9a-f]{8,}(?:-[0-9a-f]{4,})*|\d+(?:[.:,]\d+)*)\b", re.IGNORECASE)


def same_error(message: str) -> str:
    """Return a message with its numbers and ids left out, so that the same error reads the same."""
    return " ".join(_VARYING.sub("#", message[:2_000]).lower().split())


class EqualErrors:
    """Watches the results of all tools: the same error so many times in a row is a loop, whatever was called."""

    def __init__(self, settings: LoopSettings) -> None:
        self._settings = settings
        self._last = ""
        self._count = 0
        self._warned = Warned()

    def failed(self, kind: str, message: str) -> LoopVerdict:
        """Return the verdict after a failure."""
        error = f"{kind}: {same_error(message)}"
        self._count = self._count + 1 if error == self._last else 1
        self._last = error
        if self._count < self._settings.equal_errors:
            return self._warned.broken()
        return self._warned.about(LoopPattern.EQUAL_ERROR, self._count)

    def worked(self) -> None:
        """Note a call that worked: whatever it was, the errors are no row any more."""
        self._count = 0
        self._last = ""
        self._warned.broken()


class RetryStorm:
    """Watches the failed attempts of each tool since it last worked, within a sliding time."""

    def __init__(self, settings: LoopSettings, clock: Callable[[], float]) -> None:
        self._settings, self._clock = settings, clock
        self._failures: dict[str, deque[float]] = {}
        self._warned: dict[str, Warned] = {}

    def failed(self, tool: str) -> LoopVerdict:
        """Return the verdict after a failed attempt of a tool."""
        now = self._clock()
        failures = self._failures.setdefault(tool, deque())
        warned = self._warned.setdefault(tool, Warned())
        failures.append(now)
        while now - failures[0] > self._settings.storm_seconds:
            failures.popleft()
        if len(failures) < self._settings.storm_failures:
            return warned.broken() if failures else NONE
        return warned.about(LoopPattern.RETRY_STORM, len(failures))

    def worked(self, tool: str) -> None:
        """Note a call of the tool that worked: it is not being stormed."""
        self._failures.pop(tool, None)
        self._warned.pop(tool, None)
