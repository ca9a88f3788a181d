"""The simple moving average against exact fractions: no drift, at any length, after anything."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.indicators.sma import sma_begin, sma_next

NUMBERS = st.floats(min_value=-1e290, max_value=1e290, allow_nan=False)
PRICES = st.integers(1, 10**7).map(lambda cents: cents / 100)
LENGTHS = st.integers(1, 12)


def averages(length, values):
    state = sma_begin(length)
    return [sma_next(state, value) for value in values]


def exact(length, values, last):
    """The mean of the window that ends at `last`, rounded once."""
    window = [Fraction(value) for value in values[last + 1 - length : last + 1]]
    return float(sum(window) / length)


def within_one_ulp(found, wanted):
    """The same number, or its neighbour."""
    return found == wanted or math.nextafter(found, wanted) == wanted


def assert_averages_are_exact(length, values):
    for last, found in enumerate(averages(length, values)):
        if last < length - 1:
            assert math.isnan(found)
        else:
            assert within_one_ulp(found, exact(length, values, last)), (last, values)


@given(LENGTHS, st.lists(NUMBERS, min_size=1, max_size=60))
def test_any_numbers_average_within_one_ulp_of_the_exactly_rounded_mean(length, values):
    """Subnormals beside 1e290, and sums that cancel: where a running sum has lost everything it is made anew."""
    assert_averages_are_exact(length, values)


@given(LENGTHS, st.lists(PRICES, min_size=1, max_size=60))
def test_prices_average_within_one_ulp_of_the_exactly_rounded_mean(length, values):
    assert_averages_are_exact(length, values)


@given(st.integers(1, 40), st.one_of(PRICES, NUMBERS.filter(lambda value: abs(value) > 1e-290)), PRICES)
def test_the_mean_of_equal_values_is_that_value(length, value, before):
    """Two averages of a flat market must tie, or every quiet hour would be full of crosses."""
    found = averages(length, [before] * length + [value] * (2 * length))
    assert found[-1] == value


@pytest.mark.parametrize("length", [1, 2, 10, 200, 5000])
def test_half_a_million_bars_leave_no_drift(length):
    """The last mean of a long series is the exact one, although a thousandfold price once passed through."""
    rng = np.random.default_rng(length)
    prices = np.round(100 * np.exp(0.001 * rng.standard_normal(500_000).cumsum()), 2)
    prices[1000] *= 1e9
    state = sma_begin(length)
    found = [sma_next(state, price) for price in prices.tolist()]
    for last in (length, 200_000, len(prices) - 1):
        assert within_one_ulp(found[last], exact(length, prices.tolist(), last))


def test_what_is_not_a_number_is_gone_when_the_window_has_passed_it():
    found = averages(3, [1.0, 2.0, math.nan, 4.0, 5.0, 6.0, math.inf, 8.0, 9.0, 10.0])
    assert [math.isfinite(value) for value in found] == [False] * 5 + [True] + [False] * 3 + [True]
    assert (found[5], found[9]) == (5.0, 9.0)


@pytest.mark.parametrize("length", [0, -1, 1_000_001, 2.5, math.nan])
def test_a_length_that_is_none_is_named(length):
    with pytest.raises(ValueError, match="SMA takes a length of 1 to 1000000 bars; it is"):
        sma_begin(length)
