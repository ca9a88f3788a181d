"""Bollinger bands: a moving average, and a number of standard deviations to either side of it."""

import numpy as np
from numpy.typing import NDArray

from trading.indicators.deviation import deviation_at, deviation_begin
from trading.indicators.sma import sma_at, sma_begin
from trading.jit import inlined

_WIDTH, _DEVIATION, _MEAN = range(3)


def bollinger_begin(length: int = 20, width: float = 2.0) -> NDArray[np.float64]:
    """State of Bollinger bands: float64[23 + 2 x length].

    Raises:
        ValueError: The length is not 1 to 1,000,000, or the width, in deviations, is not above 0.
    """
    if not 0.0 < width < np.inf:
        msg = f"Bollinger bands take a width above 0 standard deviations; it is {width}"
        raise ValueError(msg)
    mean = sma_begin(length)
    return np.concatenate([[width, _MEAN + len(mean)], mean, deviation_begin(length)])


@inlined
def bollinger_next(state: NDArray[np.float64], value: float) -> tuple[float, float, float]:
    """The lower band, the mean and the upper band; NaN before there are `length` values."""
    mean = sma_at(state, _MEAN, value)
    reach = state[_WIDTH] * deviation_at(state, int(state[_DEVIATION]), value)
    return mean - reach, mean, mean + reach
