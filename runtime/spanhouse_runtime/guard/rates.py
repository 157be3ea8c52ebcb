"""How many calls of a tool go at once and how many a minute, for all runs of this process and each tenant apart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from spanhouse.errors import ConfigurationError

_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Rate:
    """The pace of one tool.

    Attributes:
        per_minute: calls a minute, with as many at once at the start; None is no limit.
        at_once: calls under way at one time; None is no limit.
        queue_seconds: how long a call waits for its turn before the run ends with ``rate_limited:<tool>``.
    """

    per_minute: float | None = None
    at_once: int | None = None
    queue_seconds: float = 30.0

    def __post_init__(self) -> None:
        for name, value in (("per_minute", self.per_minute), ("at_once", self.at_once)):
            if value is not None and not value > 0:
                msg = f"{name} must be more than 0, not {value!r}; to forbid a tool, deny it by policy or disable it"
                raise ConfigurationError(msg)
        if not self.queue_seconds >= 0:
            msg = f"queue_seconds must be 0 or more, not {self.queue_seconds!r}"
            raise ConfigurationError(msg)

    def __str__(self) -> str:
        parts = [f"{self.per_minute:g} a minute"] if self.per_minute is not None else []
        parts += [f"{self.at_once} at once"] if self.at_once is not None else []
        return " and ".join(parts) or "no limit"

    @property
    def limit(self) -> float:
        """The pace as one number, calls a minute before calls at once; 0 where there is none."""
        return float(self.per_minute or self.at_once or 0)


@dataclass(slots=True)
class _Gate:
    rate: Rate
    tokens: float
    filled: float
    under_way: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Rates:
    """The paces of tools, by glob; the first that matches a tool's name holds for it. Safe for threads.

    Args:
        by_tool: glob over the tool's name -> its pace.
        clock: seconds that only grow.
    """

    def __init__(self, by_tool: Mapping[str, Rate] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._by_tool = dict(by_tool or {})
        self._clock = clock
        self._gates: dict[tuple[str, str], _Gate] = {}
        self._lock = threading.Lock()

    def of(self, tool: str) -> Rate | None:
        """Return the pace a tool has; None where it has none."""
        return next((rate for glob, rate in self._by_tool.items() if fnmatchcase(tool, glob)), None)

    def enter(self, tool: str, tenant: str) -> float:
        """Take a turn: 0 where it was had (then ``leave`` once), else the seconds after which to ask again."""
        gate = self._gate(tool, tenant)
        if gate is None:
            return 0.0
        rate = gate.rate
        with gate.lock:
            if rate.at_once is not None and gate.under_way >= rate.at_once:
                return 0.05
            if rate.per_minute is not None:
                now = self._clock()
                most = max(1.0, rate.per_minute)
                gate.tokens = min(most, gate.tokens + (now - gate.filled) * rate.per_minute / _MINUTE)
                gate.filled = now
                if gate.tokens < 1:
                    return (1 - gate.tokens) * _MINUTE / rate.per_minute
                gate.tokens -= 1
            gate.under_way += 1
            return 0.0

    def leave(self, tool: str, tenant: str) -> None:
        """Give a turn back."""
        gate = self._gate(tool, tenant)
        if gate is not None:
            with gate.lock:
                gate.under_way -= 1

    def _gate(self, tool: str, tenant: str) -> _Gate | None:
        rate = self.of(tool)
        if rate is None:
            return None
        with self._lock:
            fresh = _Gate(rate, max(1.0, rate.per_minute or 1.0), self._clock())
            return self._gates.setdefault((tool, tenant), fresh)
