"""Distributions as counts in logarithmic buckets: additive, and within 1 % of every value.

A key is a whole number that orders as the values do: 0 for 0, and for others the place of the value's size on a
logarithmic scale, with its sign.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import polars as pl

from spanhouse_analysis.metrics.intervals import Values

GROWTH: Final = 1.02
"""A bucket ends where it begins times this; its middle is off by (GROWTH - 1) / (GROWTH + 1) at most: 0.99 %."""
_MIDDLE: Final = 2 / (GROWTH + 1)
_SMALLEST: Final = 100_000
"""Added to a place, so that sizes below 1 have positive ones too: 1.02 ** -100,000 is far below any number."""


def keys(values: pl.Expr) -> pl.Expr:
    """Return the key of each value; null of null."""
    value = values.cast(pl.Float64)
    place = (value.abs().log() / math.log(GROWTH)).ceil() + _SMALLEST
    return pl.when(value == 0).then(0).otherwise(value.sign() * place).cast(pl.Int64)


def values(found: Values) -> Values:
    """Return the value that stands for each key."""
    sizes = np.power(GROWTH, np.abs(found) - _SMALLEST) * _MIDDLE
    return np.where(found == 0, 0.0, np.sign(found) * sizes)
