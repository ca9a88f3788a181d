"""Stochastic oscillator: where in the range of the last bars the close lies, smoothed twice."""

import numpy as np
from numpy.typing import NDArray

from trading.indicators.extremes import highest_at, highest_begin
from trading.indicators.sma import sma_at, sma_begin
from trading.jit import inlined

_LOWEST, _K, _D, _HIGHEST = range(4)


def stochastic_begin(length: int = 14, smooth: int = 3, signal: int = 3) -> NDArray[np.float64]:
    """State of a stochastic oscillator: float64[26 + 4 x length + smooth + signal].

    Raises:
        ValueError: A length is not 1 to 1,000,000.
    """
    range_part = highest_begin(length)
    k, d = sma_begin(smooth), sma_begin(signal)
    places = np.cumsum([_HIGHEST + len(range_part), len(range_part), len(k)])
    return np.concatenate([places, range_part, range_part, k, d])


@inlined
def stochastic_next(state: NDArray[np.float64], high: float, low: float, close: float) -> tuple[float, float]:
    """%K and its average %D, 0 to 100; NaN while they warm up. A range of nothing counts as its middle, 50."""
    upper = highest_at(state, _HIGHEST, high)
    lower = -highest_at(state, int(state[_LOWEST]), -low)
    if upper != upper:  # noqa: PLR0124  # NaN is what does not equal itself.
        return np.nan, np.nan
    raw = 100.0 * ((close - lower) / (upper - lower)) if upper > lower else 50.0
    k = sma_at(state, int(state[_K]), raw)
    if k != k:  # noqa: PLR0124
        return np.nan, np.nan
    return k, sma_at(state, int(state[_D]), k)
