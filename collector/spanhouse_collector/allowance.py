"""How much may be sent: a token bucket of records and one of bytes, in debt after a large request."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Final

BURST_SECONDS: Final = 10.0
"""Whoever was silent may send what this many seconds allow at once."""


class Allowance:
    """What one sender, or several that share it, may send. Calls are safe from any thread.

    A request is let in while nothing is owed and counted once its size is known, so that one request larger than a
    whole burst gets through and the next one waits for it.

    Args:
        records: spans, log records and data points a second; 0 for no limit.
        size: bytes a second, as decompressed; 0 for no limit.
        clock: seconds that only grow.
    """

    def __init__(self, records: float, size: float, clock: Callable[[], float]) -> None:
        self._records, self._size = _Bucket(records, clock()), _Bucket(size, clock())
        self._clock = clock
        self._lock = threading.Lock()

    def wait(self) -> int:
        """Return the whole seconds until something may be sent; 0 where it may be at once."""
        with self._lock:
            now = self._clock()
            return max(self._records.wait(now), self._size.wait(now))

    def spend(self, records: int, size: int) -> None:
        """Count what was sent."""
        with self._lock:
            now = self._clock()
            self._records.spend(records, now)
            self._size.spend(size, now)


class _Bucket:
    def __init__(self, rate: float, now: float) -> None:
        self._rate, self._level, self._filled = rate, rate * BURST_SECONDS, now

    def wait(self, now: float) -> int:
        self._fill(now)
        if not self._rate or self._level > 0:
            return 0
        return max(math.ceil(-self._level / self._rate), 1)

    def spend(self, amount: float, now: float) -> None:
        if self._rate:
            self._fill(now)
            self._level -= amount

    def _fill(self, now: float) -> None:
        self._level = min(self._level + (now - self._filled) * self._rate, self._rate * BURST_SECONDS)
        self._filled = now
