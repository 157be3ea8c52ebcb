from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanhouse_analysis.metrics.intervals import quantile, quantile_interval, sum_interval, wilson

samples = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=50)


@settings(deadline=None)
@given(values=samples, q=st.floats(0, 1))
def test_quantiles_are_numpys(values: list[float], q: float) -> None:
    found = quantile(np.sort(values), q)
    assert found == pytest.approx(np.percentile(values, q * 100), rel=1e-9, abs=1e-6)


def test_wilson_is_the_published_interval() -> None:
    low, high = wilson(84, 200)
    # centre (0.42 + 3.8415/400) / (1 + 3.8415/200) = 0.42151; half 1.96 sqrt(0.42 0.58/200 + 3.8415/160000) / 1.01921
    assert low == pytest.approx(0.35373, abs=1e-5)
    assert high == pytest.approx(0.48928, abs=1e-5)
    assert wilson(0, 0) == (None, None)


@settings(deadline=None)
@given(trials=st.integers(1, 1000), data=st.data())
def test_a_wilson_interval_holds_the_share_and_stays_within_0_and_1(trials: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, trials))
    low, high = wilson(hits, trials)
    assert low is not None
    assert high is not None
    assert 0 <= low <= hits / trials + 1e-12
    assert hits / trials - 1e-12 <= high <= 1


def test_a_quantile_interval_is_made_of_order_statistics_and_open_where_the_sample_is_small() -> None:
    # n q = 50, spread 1.96 * 5 = 9.8: ranks floor(40.2) and ceil(59.8) + 1
    assert quantile_interval(np.arange(1.0, 101.0), 0.5) == (40.0, 61.0)
    assert quantile_interval(np.arange(1.0, 101.0), 0.95) == (90.0, None)
    assert quantile_interval(np.array([1.0, 2.0]), 0.5) == (None, None)
    assert quantile_interval(np.array([]), 0.5) == (None, None)


def test_a_sum_of_fewer_than_two_values_has_no_interval() -> None:
    assert sum_interval(5.0, 1, None) == (None, None)
    low, high = sum_interval(6.0, 3, 1.0)
    assert low == pytest.approx(6 - 1.959964 * math.sqrt(3), abs=1e-5)
    assert high == pytest.approx(6 + 1.959964 * math.sqrt(3), abs=1e-5)
