"""What every indicator keeps to: resumable anywhere, the same compiled and plain, its state an array of fixed size."""

import os
import subprocess
import sys
from hashlib import blake2b

import numpy as np
import pytest

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
from trading.indicators.vwap import vwap_begin, vwap_next

# Places in a bar of high, low, close, volume and hour.
INDICATORS = {
    "sma": (lambda: sma_begin(7), sma_next, (2,)),
    "ema": (lambda: ema_begin(7), ema_next, (2,)),
    "rsi": (lambda: rsi_begin(7), rsi_next, (2,)),
    "macd": (lambda: macd_begin(3, 7, 4), macd_next, (2,)),
    "bollinger": (lambda: bollinger_begin(7, 2.0), bollinger_next, (2,)),
    "deviation": (lambda: deviation_begin(7), deviation_next, (2,)),
    "atr": (lambda: atr_begin(7), atr_next, (0, 1, 2)),
    "adx": (lambda: adx_begin(7), adx_next, (0, 1, 2)),
    "donchian": (lambda: donchian_begin(7), donchian_next, (0, 1)),
    "highest": (lambda: highest_begin(7), highest_next, (0,)),
    "lowest": (lambda: lowest_begin(7), lowest_next, (1,)),
    "stochastic": (lambda: stochastic_begin(5, 3, 2), stochastic_next, (0, 1, 2)),
    "vwap": (vwap_begin, vwap_next, (2, 3, 4)),
}


def bars():
    """Two hundred bars that trend, jump, stand still and cross zero."""
    rng = np.random.default_rng(7)
    close = np.round(np.cumsum(rng.standard_normal(200) * (np.arange(200) % 40 < 30)), 3)
    close[100:120] *= 1e6
    spread = np.abs(rng.standard_normal((2, 200))) * (np.arange(200) % 50 < 45)
    hours = np.arange(200) // 24
    columns = [close + spread[0], close - spread[1], close, rng.integers(0, 9, 200), hours]
    return np.array(columns, float).T.tolist()


def answers(name, states=None):
    """What an indicator says of all bars; its state after each goes to `states`."""
    begin, step, places = INDICATORS[name]
    state = begin()
    said = []
    for bar in bars():
        said.append(step(state, *[bar[place] for place in places]))
        if states is not None:
            states.append(state.tobytes())
    return np.array(said)


def digest():
    """A hash of all that all indicators say; a NaN is a NaN, whatever its sign bit."""
    said = (np.asarray(answers(name)) for name in INDICATORS)
    return blake2b(b"".join(np.where(np.isnan(one), np.nan, one).tobytes() for one in said)).hexdigest()


@pytest.mark.parametrize("name", INDICATORS)
def test_resuming_from_the_bytes_of_the_state_changes_nothing(name):
    """Recovery may cut the stream after any bar."""
    states = []
    whole = answers(name, states)
    _, step, places = INDICATORS[name]
    for cut in (0, 3, 7, 13, 14, 50, 104, 121):
        state = np.frombuffer(states[cut]).copy()
        rest = [step(state, *[bar[place] for place in places]) for bar in bars()[cut + 1 :]]
        np.testing.assert_array_equal(np.array(rest), whole[cut + 1 :])
        assert state.tobytes() == states[-1]


@pytest.mark.parametrize("name", INDICATORS)
def test_a_state_is_one_array_of_floats(name):
    state = INDICATORS[name][0]()
    assert (state.dtype, state.ndim) == (np.float64, 1)


def test_plain_python_says_the_same_to_the_last_bit():
    """The same file is run without its compiler."""
    found = subprocess.run(
        [sys.executable, __file__],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert found.stdout.strip() == digest()


@pytest.mark.parametrize(
    ("begin", "message"),
    [
        (lambda: ema_begin(0), "EMA takes a length of 1 to 1000000 bars; it is 0"),
        (lambda: rsi_begin(-3), "RSI takes a length of 1 to 1000000 bars; it is -3"),
        (lambda: atr_begin(1.5), "ATR takes a length of 1 to 1000000 bars; it is 1.5"),
        (lambda: adx_begin(1), "ADX takes a length of 2 to 1000000 bars; it is 1"),
        (lambda: macd_begin(26, 12), "MACD takes a fast length shorter than the slow one; they are 26 and 12"),
        (lambda: bollinger_begin(20, 0.0), "Bollinger bands take a width above 0 standard deviations; it is 0.0"),
        (lambda: highest_begin(0), "highest value takes a length of 1 to 1000000 bars; it is 0"),
    ],
)
def test_a_parameter_out_of_range_is_named(begin, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011  # The text below is the whole of it.
        begin()
    assert str(error.value) == message


if __name__ == "__main__":
    print(digest())
