"""Relative strength index: the share of rises in all moves, smoothed by Wilder's rule.

Source: J. W. Wilder, New Concepts in Technical Trading Systems, 1978.
"""

import numpy as np
from numpy.typing import NDArray

from trading.indicators.lengths import checked_length
from trading.jit import inlined

_LENGTH, _SEEN, _BEFORE, _UP, _DOWN = range(5)


def rsi_begin(length: int) -> NDArray[np.float64]:
    """State of a relative strength index: float64[5].

    Raises:
        ValueError: The length is not 1 to 1,000,000.
    """
    return np.array([checked_length(length, "RSI", 1), 0.0, 0.0, 0.0, 0.0])


@inlined
def rsi_next(state: NDArray[np.float64], value: float) -> float:
    """0 to 100, NaN before there are `length` changes; 50 where nothing moved at all."""
    length = state[_LENGTH]
    seen = state[_SEEN]
    change = value - state[_BEFORE]
    state[_BEFORE] = value
    if seen == 0.0:
        state[_SEEN] = 1.0
        return np.nan
    rise = max(change, 0.0)
    fall = max(-change, 0.0)
    if seen > length:
        up = (state[_UP] * (length - 1.0) + rise) / length
        down = (state[_DOWN] * (length - 1.0) + fall) / length
    else:
        seen += 1.0
        state[_SEEN] = seen
        up = state[_UP] + rise
        down = state[_DOWN] + fall
        if seen <= length:
            state[_UP] = up
            state[_DOWN] = down
            return np.nan
        up /= length
        down /= length
    state[_UP] = up
    state[_DOWN] = down
    moved = up + down
    if moved == 0.0:
        return 50.0
    strength: float = 100.0 * (up / moved)
    return strength
