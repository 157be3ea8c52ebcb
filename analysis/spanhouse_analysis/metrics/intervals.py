"""95 % intervals and quantiles, exact on small windows and the same everywhere."""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Z: Final = 1.959963984540054
"""Two-sided 95 % point of the normal distribution."""

Interval: TypeAlias = tuple[float | None, float | None]
Values: TypeAlias = npt.NDArray[np.float64]


def wilson(successes: float, trials: float) -> Interval:
    """Return the Wilson score interval of a share; unknown where nothing was tried."""
    if trials <= 0:
        return None, None
    share, square = min(successes / trials, 1.0), Z * Z
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    half = Z * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials)) / (1 + square / trials)
    # At the ends the bound is the end itself; rounding would put it a hair beside.
    low = 0.0 if successes <= 0 else max(0.0, centre - half)
    return low, 1.0 if successes >= trials else min(1.0, centre + half)


def quantile(ordered: Values, q: float) -> float | None:
    """Return the quantile of ascending values by linear interpolation between ranks; None of no values."""
    return float(np.quantile(ordered, q)) if ordered.size else None


def quantile_interval(ordered: Values, q: float) -> Interval:
    """Return the order statistics that hold the quantile with 95 %; None on a side the sample is too small for."""
    count = ordered.size
    spread = Z * math.sqrt(count * q * (1 - q))
    low, high = math.floor(count * q - spread), math.ceil(count * q + spread) + 1
    return (
        float(ordered[low - 1]) if 1 <= low <= count else None,
        float(ordered[high - 1]) if 1 <= high <= count else None,
    )


def sum_interval(total: float, count: int, deviation: float | None) -> Interval:
    """Return the normal approximation for a sum of `count` values of this sample deviation; None below two values."""
    if count < 2 or deviation is None:  # noqa: PLR2004 - a deviation needs two values
        return None, None
    half = Z * deviation * math.sqrt(count)
    return total - half, total + half
