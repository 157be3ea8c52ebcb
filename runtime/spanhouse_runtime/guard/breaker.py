"""Circuit breakers: a tool that keeps failing is left alone for a while, for all runs of this process at once."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase


class BreakerState(StrEnum):
    """Where a breaker stands."""

    CLOSED = "closed"
    """Calls go through."""
    OPEN = "open"
    """Calls are refused."""
    HALF_OPEN = "half_open"
    """A few calls go through to see whether the tool is well again."""


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a breaker opens and closes.

    Attributes:
        in_a_row: failures in a row that open it.
        share: share of failures that opens it, once there are enough calls to tell.
        calls: calls within the window from which a share is taken.
        window_seconds: how far back the share looks.
        open_seconds: how long it stays open before calls are tried again.
        successes: tried calls that must work in a row to close it.
    """

    in_a_row: int = 5
    share: float = 0.5
    calls: int = 10
    window_seconds: float = 30.0
    open_seconds: float = 60.0
    successes: int = 2


@dataclass(frozen=True, slots=True)
class BreakerChange:
    """A change of state and what brought it about."""

    before: BreakerState
    after: BreakerState
    reason: str


class Breaker:
    """One breaker; safe for threads. ``admit`` before a call, then exactly one of ``worked``, ``failed``, ``dropped``.

    Args:
        settings: when it opens and closes.
        clock: seconds that only grow.
    """

    def __init__(
        self, settings: BreakerSettings = BreakerSettings(), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings, self._clock = settings, clock
        self._state = BreakerState.CLOSED
        self._recent: deque[tuple[float, bool]] = deque()
        self._in_a_row = 0
        self._opened = 0.0
        self._trying = 0
        self._tried_well = 0
        self._lock = threading.Lock()

    @property
    def state(self) -> BreakerState:
        """Where it stands, as the last call left it."""
        return self._state

    def admit(self) -> tuple[bool, BreakerChange | None]:
        """Return whether a call may be made now, and the change of state that asking brought about."""
        with self._lock:
            change = None
            if self._state is BreakerState.OPEN:
                if self._clock() - self._opened < self._settings.open_seconds:
                    return False, None
                change = self._to(BreakerState.HALF_OPEN, f"{self._settings.open_seconds:g} s have passed")
                self._trying = self._tried_well = 0
            if self._state is BreakerState.HALF_OPEN:
                # As many calls at once as must work: a crowd would hit a tool that is hardly back.
                if self._trying >= self._settings.successes:
                    return False, change
                self._trying += 1
            return True, change

    def worked(self) -> BreakerChange | None:
        """Note a call that worked."""
        with self._lock:
            self._note(failed=False)
            self._in_a_row = 0
            if self._state is not BreakerState.HALF_OPEN:
                return None
            self._trying = max(0, self._trying - 1)
            self._tried_well += 1
            if self._tried_well < self._settings.successes:
                return None
            self._recent.clear()
            return self._to(BreakerState.CLOSED, f"{self._tried_well} calls worked")

    def failed(self) -> BreakerChange | None:
        """Note a call that failed."""
        with self._lock:
            self._note(failed=True)
            self._in_a_row += 1
            if self._state is BreakerState.HALF_OPEN:
                return self._open("a call that tried it failed")
            if self._state is BreakerState.OPEN:
                return None
            if self._in_a_row >= self._settings.in_a_row:
                return self._open(f"{self._in_a_row} failures in a row")
            failures = sum(failed for _, failed in self._recent)
            calls = len(self._recent)
            if calls >= self._settings.calls and failures >= self._settings.share * calls:
                return self._open(f"{failures} of {calls} calls failed within {self._settings.window_seconds:g} s")
            return None

    def dropped(self) -> None:
        """Note a call that was admitted and never made."""
        with self._lock:
            self._trying = max(0, self._trying - 1)

    def _note(self, *, failed: bool) -> None:
        now = self._clock()
        self._recent.append((now, failed))
        while self._recent and now - self._recent[0][0] > self._settings.window_seconds:
            self._recent.popleft()

    def _open(self, reason: str) -> BreakerChange:
        self._opened = self._clock()
        self._in_a_row = 0
        return self._to(BreakerState.OPEN, reason)

    def _to(self, state: BreakerState, reason: str) -> BreakerChange:
        change = BreakerChange(self._state, state, reason)
        self._state = state
        return change


class Breakers:
    """The breakers of a process, one for each tool (or model) and tenant: one tenant's bad key is not another's.

    Args:
        settings: of those not named in ``by_tool``.
        clock: seconds that only grow.
        by_tool: settings of their own, by glob over the tool's name; the first that matches holds.
    """

    def __init__(
        self,
        settings: BreakerSettings = BreakerSettings(),
        clock: Callable[[], float] = time.monotonic,
        by_tool: Mapping[str, BreakerSettings] | None = None,
    ) -> None:
        self._settings, self._clock, self._by_tool = settings, clock, dict(by_tool or {})
        self._breakers: dict[tuple[str, str], Breaker] = {}
        self._lock = threading.Lock()

    def of(self, tool: str, tenant: str) -> Breaker:
        """Return the breaker of a tool for a tenant."""
        with self._lock:
            known = self._breakers.get((tool, tenant))
            if known is None:
                own = (settings for glob, settings in self._by_tool.items() if fnmatchcase(tool, glob))
                known = self._breakers[tool, tenant] = Breaker(next(own, self._settings), self._clock)
            return known
