"""95 % intervals and quantiles, exact on small windows and the same everywhere.

Weights say how many runs a value stands for. With weights of 1 every figure here is the plain one; with others a
quantile is that of the values repeated as often as they weigh, and intervals are those of the effective sample size.
"""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Z: Final = 1.959963984540054
"""Two-sided 95 % point of the normal distribution."""

Interval: TypeAlias = tuple[float | None, float | None]
Values: TypeAlias = npt.NDArray[np.float64]


def effective(weight: float, squares: float) -> float:
    """Return how many equal observations tell as much as these: the sum of weights squared over that of squares."""
    return weight * weight / squares if squares > 0 else 0.0


def wilson(successes: float, trials: float, size: float | None = None) -> Interval:
    """Return the Wilson score interval of a share; unknown where nothing was tried.

    Args:
        successes: how many, weighted.
        trials: out of how many, weighted.
        size: the effective number of trials; as many as `trials` where not given.
    """
    if trials <= 0:
        return None, None
    size = trials if size is None else size
    share, square = min(successes / trials, 1.0), Z * Z
    centre = (share + square / (2 * size)) / (1 + square / size)
    half = Z * math.sqrt(share * (1 - share) / size + square / (4 * size * size)) / (1 + square / size)
    # At the ends the bound is the end itself; rounding would put it a hair beside.
    low = 0.0 if successes <= 0 else max(0.0, centre - half)
    return low, 1.0 if successes >= trials else min(1.0, centre + half)


def quantile(ordered: Values, q: float, weights: Values | None = None) -> float | None:
    """Return the quantile of ascending values by linear interpolation between ranks; None of no values."""
    if not ordered.size:
        return None
    if weights is None:
        return float(np.quantile(ordered, q))
    upto: Values = np.cumsum(weights)
    rank = q * max(upto[-1] - 1, 0.0)
    below, share = math.floor(rank), rank - math.floor(rank)
    low, high = _at(ordered, upto, below), _at(ordered, upto, below + 1)
    return float(low + (high - low) * share)


def quantile_interval(ordered: Values, q: float, weights: Values | None = None, size: float | None = None) -> Interval:
    """Return the order statistics that hold the quantile with 95 %; None on a side the sample is too small for.

    Args:
        ordered: ascending values.
        q: which quantile.
        weights: what each value stands for; 1 where not given.
        size: the effective number of values; as many as there are where not given.
    """
    count = float(ordered.size) if size is None else size
    spread = Z * math.sqrt(count * q * (1 - q))
    low, high = math.floor(count * q - spread), math.ceil(count * q + spread) + 1
    upto = np.cumsum(np.ones(ordered.size) if weights is None else weights)
    # Ranks among the effective values, spread over what the values stand for.
    scale = upto[-1] / count if count else 0.0
    return (
        _at(ordered, upto, (low - 1) * scale) if 1 <= low <= count else None,
        _at(ordered, upto, (high - 1) * scale) if 1 <= high <= count else None,
    )


def sum_interval(total: float, count: int, deviation: float | None) -> Interval:
    """Return the normal approximation for a sum of `count` values of this sample deviation; None below two values."""
    if count < 2 or deviation is None:  # noqa: PLR2004 - a deviation needs two values
        return None, None
    half = Z * deviation * math.sqrt(count)
    return total - half, total + half


def count_interval(count: float, squares: float) -> Interval:
    """Return the interval of a count estimated from a sample; None of a count that is no estimate.

    Each run was in the sample or not, by itself, with a chance of one over its weight.
    """
    variance = squares - count
    if variance <= 0:
        return None, None
    half = Z * math.sqrt(variance)
    return max(0.0, count - half), count + half


def deviation(total: float, count: int, squares: float) -> float | None:
    """Return the sample deviation of values from their number, sum and sum of squares; None below two values."""
    if count < 2:  # noqa: PLR2004 - a deviation needs two values
        return None
    return math.sqrt(max(0.0, (squares - total * total / count) / (count - 1)))


def _at(ordered: Values, upto: Values, rank: float) -> float:
    """Return the value at a rank from 0, each value standing for as many ranks as it weighs."""
    # Sums of weights such as 1/0.3 end a hair below the whole number they mean.
    place = int(np.searchsorted(upto, rank + 1e-9, side="right"))
    return float(ordered[min(place, ordered.size - 1)])
