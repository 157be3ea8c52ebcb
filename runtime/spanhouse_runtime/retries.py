"""How often and after what waits a failed call is made again."""

from __future__ import annotations

import math
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from spanhouse.errors import ConfigurationError, ErrorType

PASSING: Final = frozenset({ErrorType.RATE_LIMIT, ErrorType.TIMEOUT, ErrorType.UNAVAILABLE})
"""Failures that may be gone a moment later."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How a tool's failed calls are made again: with waits that double, drawn anew so that callers do not keep step.

    Attributes:
        attempts: calls in all, the first one included.
        seconds: time in all, from the first attempt's begin to the last one's; a wait that would end later is not
            begun.
        first_wait: the longest first wait.
        longest_wait: the longest of all.
        on: the error types that are worth another attempt.

    >>> Retries(first_wait=1.0).wait(1, spent=0.0, asked=None, draw=0.5)
    0.5
    >>> Retries().wait(1, spent=0.0, asked=7.0, draw=0.5)
    7.0

    Raises:
        ConfigurationError: a number that makes no sense.
    """

    attempts: int = 3
    seconds: float = 60.0
    first_wait: float = 0.5
    longest_wait: float = 20.0
    on: AbstractSet[ErrorType] = PASSING

    def __post_init__(self) -> None:
        if self.attempts < 1:
            msg = f"attempts must be 1 or more, not {self.attempts!r}: the first call is one"
            raise ConfigurationError(msg)
        for name in ("seconds", "first_wait", "longest_wait"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                msg = f"{name} must be a number of seconds, 0 or more, not {value!r}"
                raise ConfigurationError(msg)

    def wait(self, attempt: int, *, spent: float, asked: float | None, draw: float) -> float | None:
        """Return the seconds to wait after a failed attempt, or None where there is to be no other.

        Args:
            attempt: the number of the attempt that failed, from 1.
            spent: seconds since the first attempt began.
            asked: what the other side asked to wait; it is waited in full, or not at all.
            draw: a random number from 0 to 1.
        """
        if attempt >= self.attempts:
            return None
        wait = min(self.longest_wait, self.first_wait * 2.0 ** min(attempt - 1, 60)) * draw if asked is None else asked
        return wait if spent + wait <= self.seconds else None
