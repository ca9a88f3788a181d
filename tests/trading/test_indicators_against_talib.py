"""Every indicator that TA-Lib has too, on real daily bars and on random ones: equal from the first value to the last.

Where the definitions differ, the page of indicators says so and the tests here say how.
"""

import csv

import numpy as np
import pytest
import talib

from trading.indicators.adx import adx_begin, adx_next
from trading.indicators.atr import atr_begin, atr_next
from trading.indicators.bollinger import bollinger_begin, bollinger_next
from trading.indicators.deviation import deviation_begin, deviation_next
from trading.indicators.donchian import donchian_begin, donchian_next
from trading.indicators.ema import ema_begin, ema_next
from trading.indicators.extremes import highest_begin, highest_next, lowest_begin, lowest_next
from trading.indicators.macd import macd_begin, macd_next
from trading.indicators.rsi import rsi_begin, rsi_next
from trading.indicators.sma import sma_begin, sma_next
from trading.indicators.stochastic import stochastic_begin, stochastic_next

HIGH, LOW, CLOSE, VOLUME = range(4)


def walk(seed):
    """2,000 bars (high, low, close, volume) of a random walk in cents, with flat spells."""
    rng = np.random.default_rng(seed)
    steps = rng.standard_normal(2000) * (rng.random(2000) < 0.8)
    close = np.round(50 * np.exp(0.01 * steps.cumsum()), 2)
    before = np.concatenate([[close[0]], close[:-1]])
    high = np.round(np.maximum(close, before) + rng.random(2000), 2)
    low = np.round(np.minimum(close, before) - rng.random(2000), 2)
    return np.array([high, low, close, rng.integers(0, 1000, 2000).astype(float)])


@pytest.fixture(params=["walk-1", "walk-2", "GOOG", "AAPL", "IBM", "MSFT", "FB"])
def bars(request):
    """High, low, close and volume, a row each."""
    if request.param.startswith("walk"):
        return walk(int(request.param[-1]))
    path = request.getfixturevalue("recorded") / "daily" / f"{request.param}.csv"
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return np.array([[float(row[name]) for row in rows] for name in ("High", "Low", "Close", "Volume")])


def series(step, state, *columns):
    """All values of an indicator, a row for each of its lines."""
    found = [step(state, *values) for values in zip(*(column.tolist() for column in columns), strict=True)]
    return np.atleast_2d(np.array(found).T)


def assert_equal_throughout(found, *wanted):
    """Known on the same bars, and equal to 1e-9."""
    wanted = np.array(wanted)
    assert found.shape == wanted.shape
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("length", [2, 10, 30, 200])
def test_moving_averages(bars, length):
    close = bars[CLOSE]
    assert_equal_throughout(series(sma_next, sma_begin(length), close), talib.SMA(close, length))
    assert_equal_throughout(series(ema_next, ema_begin(length), close), talib.EMA(close, length))


@pytest.mark.parametrize("length", [2, 14, 50])
def test_relative_strength(bars, length):
    close = bars[CLOSE]
    found, wanted = series(rsi_next, rsi_begin(length), close), talib.RSI(close, length)
    # Nothing has moved at all: 0 there, which reads as oversold, and 50 here.
    still = (wanted == 0) & (found[0] == 50)
    assert_equal_throughout(np.where(still, 0, found), wanted)


@pytest.mark.parametrize("lengths", [(12, 26, 9), (3, 10, 16)])
def test_macd(bars, lengths):
    """The difference is known here as soon as it can be; there, not before its signal is."""
    close = bars[CLOSE]
    found = series(macd_next, macd_begin(*lengths), close)
    wanted = talib.MACD(close, *lengths)
    early = np.isnan(wanted[1])
    slow = lengths[1]
    assert np.isnan(found[0, : slow - 1]).all()
    assert not np.isnan(found[0, slow - 1 :]).any()
    assert_equal_throughout(np.where(early, np.nan, found), *wanted)


@pytest.mark.parametrize(("length", "width"), [(20, 2.0), (5, 1.5)])
def test_bollinger_bands(bars, length, width):
    close = bars[CLOSE]
    upper, middle, lower = talib.BBANDS(close, length, width, width)
    found = series(bollinger_next, bollinger_begin(length, width), close)
    np.testing.assert_array_equal(np.isnan(found[0]), np.isnan(lower))
    np.testing.assert_allclose(found, [lower, middle, upper], rtol=1e-7)


@pytest.mark.parametrize("length", [5, 20])
def test_standard_deviation(bars, length):
    """It subtracts the square of the mean there, which costs half the digits: compared with NumPy's two passes too."""
    close = bars[CLOSE]
    found = series(deviation_next, deviation_begin(length), close)
    windows = np.lib.stride_tricks.sliding_window_view(close, length)
    assert_equal_throughout(found, np.concatenate([np.full(length - 1, np.nan), windows.std(axis=1)]))
    np.testing.assert_allclose(found[0], talib.STDDEV(close, length), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [1, 14])
def test_true_range(bars, length):
    high, low, close, _ = bars
    found = series(atr_next, atr_begin(length), high, low, close)
    assert_equal_throughout(found, talib.ATR(high, low, close, length))


@pytest.mark.parametrize("length", [2, 14])
def test_directional_index(bars, length):
    high, low, close, _ = bars
    found = series(adx_next, adx_begin(length), high, low, close)
    wanted = [function(high, low, close, length) for function in (talib.ADX, talib.PLUS_DI, talib.MINUS_DI)]
    assert_equal_throughout(found, *wanted)


@pytest.mark.parametrize("length", [2, 20, 55])
def test_channels(bars, length):
    high, low, _, _ = bars
    highest, lowest = talib.MAX(high, length), talib.MIN(low, length)
    np.testing.assert_array_equal(series(highest_next, highest_begin(length), high)[0], highest)
    np.testing.assert_array_equal(series(lowest_next, lowest_begin(length), low)[0], lowest)
    found = series(donchian_next, donchian_begin(length), high, low)
    assert_equal_throughout(found, lowest, talib.MIDPRICE(high, low, length), highest)


@pytest.mark.parametrize("lengths", [(14, 3, 3), (5, 1, 4)])
def test_stochastic(bars, lengths):
    """%K is known here as soon as it can be; there, not before %D is."""
    high, low, close, _ = bars
    length, smooth, signal = lengths
    found = series(stochastic_next, stochastic_begin(*lengths), high, low, close)
    wanted = talib.STOCH(high, low, close, length, smooth, 0, signal, 0)
    known = ~np.isnan(wanted[0])
    assert not np.isnan(found[0, length + smooth - 2 :]).any()
    assert np.isnan(found[0, : length + smooth - 2]).all()
    assert_equal_throughout(np.where(known, found, np.nan), *wanted)
