"""Donchian channel: the highest high and the lowest low of the last bars, this one included."""

import numpy as np
from numpy.typing import NDArray

from trading.indicators.extremes import highest_at, highest_begin
from trading.jit import inlined


def donchian_begin(length: int = 20) -> NDArray[np.float64]:
    """State of a Donchian channel: float64[9 + 4 x length].

    Raises:
        ValueError: The length is not 1 to 1,000,000.
    """
    part = highest_begin(length)
    return np.concatenate([[1 + len(part)], part, part])


@inlined
def donchian_next(state: NDArray[np.float64], high: float, low: float) -> tuple[float, float, float]:
    """The lowest low, the middle and the highest high of `length` bars; NaN before there are so many.

    A breakout is a price beyond the channel as it was one bar ago: beyond its own bar's no price can be.
    """
    upper = highest_at(state, int(state[0]), high)
    lower = -highest_at(state, 1, -low)
    return lower, lower + 0.5 * (upper - lower), upper
