"""Goal drift in a guarded run: what it has done is kept in a few lines, and a judge looks at them now and then."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

from spanhouse.canonical import canonical_json
from spanhouse_runtime.guard.flow import Blocking, Flow
from spanhouse_runtime.guard.looping import mind
from spanhouse_runtime.loops.goal import GoalCheck, GoalVerdict, GoalView
from spanhouse_runtime.loops.verdict import LoopPattern, Warned

if TYPE_CHECKING:
    from spanhouse_runtime.guard.run import GuardedRun

_log = logging.getLogger(__name__)
_LINE = 300


class Drift:
    """The memory a judge needs of one run.

    Args:
        check: who looks, and how often; None looks never.
    """

    def __init__(self, check: GoalCheck | None) -> None:
        self._check = check
        self._actions: deque[str] = deque(maxlen=check.actions if check else 0)
        self._calls = 0
        self._strays = 0
        self._warned = Warned()

    def did(self, tool: str, arguments: object) -> None:
        """Keep a call."""
        if self._check is not None:
            self._actions.append(f"called {tool} {canonical_json(arguments)}"[:_LINE])

    def said(self, text: str) -> None:
        """Keep what the model said."""
        if self._check is not None and text.strip():
            self._actions.append(f"said {' '.join(text.split())}"[:_LINE])

    def look(self, guarded: GuardedRun) -> Flow[None]:
        """Ask the judge where it is time to, before a model call.

        Raises:
            RunStopped: the run has left its task, and its model had been warned; ``goal_drift``.
        """
        check = self._check
        if check is None:
            return
        self._calls += 1
        if self._calls % check.every or not self._actions:
            return
        view = GoalView(guarded.task, tuple(self._actions))
        try:
            verdict: GoalVerdict = yield Blocking(lambda: check.judge(view))
        except Exception:  # noqa: BLE001 - logged; a judge is advice, and without it all other limits still hold
            _log.exception("the goal judge failed; the run goes on without its verdict")
            return
        if verdict.on_track or verdict.confidence < check.confidence:
            self._strays = 0
            self._warned.broken()
            return
        self._strays += 1
        mind(guarded, self._warned.about(LoopPattern.GOAL_DRIFT, self._strays), why=verdict.why)
