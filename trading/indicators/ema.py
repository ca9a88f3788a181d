"""Exponential moving average: each value weighs 2 / (length + 1), all that came before the rest."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from trading.indicators.lengths import checked_length
from trading.jit import inlined

_LENGTH, _FACTOR, _SEEN, _VALUE = range(4)
EMA_SIZE: Final = 4
"""Numbers in an exponential average's state."""


def ema_begin(length: int) -> NDArray[np.float64]:
    """State of an exponential average: float64[4].

    Raises:
        ValueError: The length is not 1 to 1,000,000.
    """
    length = checked_length(length, "EMA", 1)
    return np.array([length, 2.0 / (length + 1.0), 0.0, 0.0])


@inlined
def ema_next(state: NDArray[np.float64], value: float) -> float:
    """The average, NaN before there are `length` values; the first one is their mean."""
    return ema_at(state, 0, value)


@inlined
def ema_at(state: NDArray[np.float64], base: int, value: float) -> float:
    """The same of a state that begins at `base` of a larger one."""
    length = state[base + _LENGTH]
    seen = state[base + _SEEN]
    average: float = state[base + _VALUE]
    if seen == length:
        average += state[base + _FACTOR] * (value - average)
        state[base + _VALUE] = average
        return average
    seen += 1.0
    average += value
    state[base + _SEEN] = seen
    if seen == length:
        average /= length
        state[base + _VALUE] = average
        return average
    state[base + _VALUE] = average
    return np.nan
