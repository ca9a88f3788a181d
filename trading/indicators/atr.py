"""Average true range: how far the price moves in a bar, gaps included, smoothed by Wilder's rule.

Source: J. W. Wilder, New Concepts in Technical Trading Systems, 1978.
"""

import numpy as np
from numpy.typing import NDArray

from trading.indicators.lengths import checked_length
from trading.jit import inlined

_LENGTH, _SEEN, _CLOSE, _VALUE = range(4)


def atr_begin(length: int) -> NDArray[np.float64]:
    """State of an average true range: float64[4].

    Raises:
        ValueError: The length is not 1 to 1,000,000.
    """
    return np.array([checked_length(length, "ATR", 1), 0.0, 0.0, 0.0])


@inlined
def true_range(high: float, low: float, close_before: float) -> float:
    """The largest of the bar's range and the distances of its high and low from the close before."""
    return max(high - low, abs(high - close_before), abs(low - close_before))


@inlined
def atr_next(state: NDArray[np.float64], high: float, low: float, close: float) -> float:
    """The average, in price; NaN before there are `length` true ranges, the first of which is the second bar's."""
    length = state[_LENGTH]
    seen = state[_SEEN]
    move = true_range(high, low, state[_CLOSE])
    state[_CLOSE] = close
    if seen > length:
        average: float = (state[_VALUE] * (length - 1.0) + move) / length
        state[_VALUE] = average
        return average
    state[_SEEN] = seen + 1.0
    if seen == 0.0:
        return np.nan
    total: float = state[_VALUE] + move
    if seen == length:
        total /= length
        state[_VALUE] = total
        return total
    state[_VALUE] = total
    return np.nan
