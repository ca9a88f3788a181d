"""The simple moving average against exact fractions: no drift, at any length, after anything."""

import math
from fractions import Fraction

import numba
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trading.indicators import sma
from trading.indicators.exact import remainder
from trading.indicators.sma import sma_begin, sma_next

NUMBERS = st.floats(min_value=-1e290, max_value=1e290, allow_nan=False)
PRICES = st.integers(1, 10**7).map(lambda cents: cents / 100)
LENGTHS = st.integers(1, 12)
NEAR = st.floats(60.0, 130.0)
"""All digits in use, and across a power of two."""


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


@given(LENGTHS, st.lists(NEAR, min_size=1, max_size=80))
@example(3, [100.0, 120.0, 110.0] * 9 + [64.0, 63.99, 127.3, 65.0])
def test_values_near_to_each_other_average_within_one_ulp(length, values):
    """The sum in two parts, whose additions lose nothing."""
    assert_averages_are_exact(length, values)


@given(LENGTHS, st.lists(st.one_of(*[NEAR] * 12, NUMBERS, st.just(0.0)), min_size=20, max_size=120))
def test_an_average_goes_off_the_grid_and_comes_back(length, values):
    """Among near values one that is not: another way of summing takes over until it has left the window."""
    assert_averages_are_exact(length, values)


def test_prices_are_summed_on_a_grid_and_on_a_new_one_after_they_halved():
    state = sma_begin(5)
    for price in [100.0, 101.3, 99.7, 100.2, 100.9] * 3:
        sma_next(state, price)
    assert state[sma._LEAST] == 32.0
    for price in [49.9, 50.3, 31.0, 29.0, 31.7] * 3:
        sma_next(state, price)
    assert state[sma._LEAST] == 16.0


def test_a_low_part_that_has_grown_is_made_small_again():
    """It would take a hundred million bars: what it holds is moved over from the high part by hand."""
    rng = np.random.default_rng(1)
    prices = rng.uniform(90.0, 110.0, 60).tolist()
    state = sma_begin(7)
    found = [sma_next(state, price) for price in prices[:30]]
    moved = 2.0 * state[sma._LOW_MOST]
    state[sma._LOW] += moved
    state[sma._HIGH] -= moved
    found += [sma_next(state, price) for price in prices[30:]]

    assert abs(state[sma._LOW]) < moved / 4
    assert all(within_one_ulp(mean, exact(7, prices, last)) for last, mean in enumerate(found) if last >= 6)


@numba.njit
def compiled_remainder(total, guess, length):
    return remainder(total, guess, length)


@given(st.floats(1e-200, 1e200), st.integers(1, 1_000_000))
def test_a_remainder_is_exact_in_one_instruction_as_in_five(total, length):
    guess = total * (1.0 / length)
    wanted = Fraction(total) - Fraction(guess) * length

    assert Fraction(remainder(total, guess, float(length))) == wanted
    assert Fraction(compiled_remainder(total, guess, float(length))) == wanted


@given(st.lists(st.floats(64.0, 127.0), min_size=1, max_size=60))
def test_a_remainder_of_the_high_part_alone_is_exact_as_well(values):
    """The guess is of both parts: what is left is as large as the low one."""
    state = sma_begin(len(values))
    for value in values * 3:
        sma_next(state, value)
    high, low, length = state[sma._HIGH], state[sma._LOW], float(len(values))
    guess = (high + low) * (1.0 / length)
    wanted = Fraction(high) - Fraction(guess) * len(values)

    assert Fraction(high) + Fraction(low) == sum(Fraction(value) for value in values)
    assert Fraction(remainder(high, guess, length)) == wanted
    assert Fraction(compiled_remainder(high, guess, length)) == wanted


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
