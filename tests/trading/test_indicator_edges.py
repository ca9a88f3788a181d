"""Indicators at their edges, by hand and by slow, obvious rules: windows, deviations, VWAP, ties and quiet markets."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trading.indicators.adx import adx_begin, adx_next
from trading.indicators.crossing import side_of
from trading.indicators.deviation import deviation_begin, deviation_next
from trading.indicators.extremes import highest_begin, highest_next, lowest_begin, lowest_next
from trading.indicators.macd import macd_begin, macd_next
from trading.indicators.rsi import rsi_begin, rsi_next
from trading.indicators.stochastic import stochastic_begin, stochastic_next
from trading.indicators.vwap import vwap_begin, vwap_next

VALUES = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=60)


@given(st.integers(1, 9), VALUES)
def test_extremes_are_those_of_the_window(length, values):
    high, low = highest_begin(length), lowest_begin(length)
    for last, value in enumerate(values):
        highest, lowest = highest_next(high, value), lowest_next(low, value)
        window = values[last + 1 - length : last + 1] if last + 1 >= length else [math.nan]
        np.testing.assert_equal((highest, lowest), (max(window), min(window)))


@given(
    st.integers(2, 9),
    st.lists(st.one_of(st.integers(1, 10**6).map(lambda cents: cents / 100), st.just(7.25)), min_size=1, max_size=60),
)
def test_deviations_are_those_of_the_window(length, values):
    """Against exact fractions, also where a window stands a hundred thousand deviations from where it stood before."""
    state = deviation_begin(length)
    for last, value in enumerate(values):
        found = deviation_next(state, value)
        if last + 1 < length:
            assert math.isnan(found)
            continue
        window = [Fraction(value) for value in values[last + 1 - length : last + 1]]
        mean = sum(window) / length
        wanted = math.sqrt(sum((value - mean) ** 2 for value in window) / length)
        assert math.isclose(found, wanted, rel_tol=1e-12, abs_tol=1e-11)
        assert (found == 0) == (wanted == 0)


def test_a_deviation_forgets_a_price_that_was_a_million_times_as_high():
    """One bad print has left nothing behind two lengths later; its squares were 1e20 times all others'."""
    state = deviation_begin(4)
    quiet = [10.0, 10.01, 10.02, 10.01] * 3
    found = [deviation_next(state, value) for value in [*quiet, 1e7, *quiet]]
    assert math.isclose(found[-1], math.sqrt(0.0002 / 4), rel_tol=1e-9)


def test_vwap_is_what_was_paid_by_what_was_traded_since_the_anchor():
    """(3 x 10 + 1 x 14) / 4 = 11; then a new day begins with 20."""
    state = vwap_begin()
    assert math.isnan(vwap_next(state, 0.0, 0.0, 1.0))
    assert vwap_next(state, 30.0, 3.0, 1.0) == 10.0
    assert vwap_next(state, 14.0, 1.0, 1.0) == 11.0
    assert vwap_next(state, 0.0, 0.0, 1.0) == 11.0
    assert vwap_next(state, 40.0, 2.0, 2.0) == 20.0


def test_vwap_of_a_hundred_thousand_bars_has_not_drifted():
    state = vwap_begin()
    found = [vwap_next(state, 0.1, 0.1 if bar else 1e12, 0.0) for bar in range(100_000)]
    wanted = (100_000 * Fraction(0.1)) / (99_999 * Fraction(0.1) + 10**12)
    assert math.isclose(found[-1], wanted, rel_tol=1e-15)


def test_a_tie_keeps_the_side():
    """A cross is a change of the sign of the difference; neither a tie nor an unknown difference is one."""
    side, sides = 0.0, []
    for difference in (math.nan, 0.0, 2.0, 0.0, -0.0, 1.0, -1.0, 0.0, math.nan, 3.0):
        side = side_of(side, difference)
        sides.append(side)
    assert sides == [0, 0, 1, 1, 1, 1, -1, -1, -1, 1]


def test_a_market_that_stands_still_is_in_the_middle():
    """Nothing rose and nothing fell, and a range of nothing has no bottom: neither oversold nor overbought."""
    rsi, stochastic, adx = rsi_begin(3), stochastic_begin(3, 1, 1), adx_begin(3)
    assert [rsi_next(rsi, 5.0) for _ in range(5)][3:] == [50.0, 50.0]
    assert [stochastic_next(stochastic, 5.0, 5.0, 5.0) for _ in range(4)][2:] == [(50.0, 50.0)] * 2
    assert [adx_next(adx, 5.0, 5.0, 5.0) for _ in range(7)][5:] == [(0.0, 0.0, 0.0)] * 2


def test_macd_of_a_straight_line_is_the_lag_of_its_averages():
    """An average of length n lags a line by (n - 1) / 2 bars, seeded with a mean from the first one on."""
    state = macd_begin(3, 7, 2)
    found = [macd_next(state, 10.0 + 2.0 * bar) for bar in range(12)]
    assert [value[0] for value in found[6:]] == [4.0] * 6
    assert found[7] == (4.0, 4.0, 0.0)
    assert math.isnan(found[6][1])
