"""The loop guard of one run: what it asks for, what comes back and what it says, seen together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from spanhouse_runtime.loops.calls import CallPatterns
from spanhouse_runtime.loops.errors import EqualErrors, RetryStorm
from spanhouse_runtime.loops.progress import NoProgress, RepeatedText, digest
from spanhouse_runtime.loops.settings import LoopSettings
from spanhouse_runtime.loops.verdict import LoopAction, LoopVerdict

_ORDER = (LoopAction.STOP, LoopAction.WARN, LoopAction.NONE)


class LoopGuard:
    """Notices a run that goes in circles: its model is warned first, and the run is stopped if it goes on.

    Safe for the threads of a run. Every method returns the strongest verdict on what it was told.

    Args:
        settings: the thresholds.
        clock: seconds that only grow.
    """

    def __init__(self, settings: LoopSettings | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings = settings or LoopSettings()
        self._calls = CallPatterns(settings)
        self._errors = EqualErrors(settings)
        self._storm = RetryStorm(settings, clock)
        self._progress = NoProgress(settings)
        self._text = RepeatedText(settings)
        self._lock = threading.Lock()

    def asked(self, tool: str, args_hash: str, *, polling: bool = False) -> LoopVerdict:
        """Return the verdict on a call that is asked for; see ``CallPatterns``."""
        with self._lock:
            return self._calls.asked(tool, args_hash, polling=polling)

    def answered(self, tool: str, args_hash: str, result: str, *, polling: bool = False) -> LoopVerdict:
        """Return the verdict after a result."""
        with self._lock:
            self._errors.worked()
            self._storm.worked(tool)
            self._calls.answered(tool, args_hash, digest(result))
            if polling or self._settings.calls_of(tool) == 0:
                return LoopVerdict(LoopAction.NONE)
            return self._progress.answered(result)

    def failed(self, tool: str, args_hash: str, kind: str, message: str) -> LoopVerdict:
        """Return the verdict after a failure."""
        with self._lock:
            self._calls.answered(tool, args_hash, digest(f"{kind}: {message}"))
            verdicts = (self._errors.failed(kind, message), self._storm.failed(tool))
            return min(verdicts, key=lambda verdict: _ORDER.index(verdict.action))

    def said(self, text: str) -> LoopVerdict:
        """Return the verdict on a text of the model."""
        with self._lock:
            return self._text.said(text)
