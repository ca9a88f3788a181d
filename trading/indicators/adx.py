"""Average directional index: how strongly the price goes one way, with the strength of either way.

Source: J. W. Wilder, New Concepts in Technical Trading Systems, 1978.
"""

import numpy as np
from numpy.typing import NDArray

from trading.indicators.atr import true_range
from trading.indicators.lengths import checked_length
from trading.jit import inlined

_LENGTH, _SEEN, _HIGH, _LOW, _CLOSE, _PLUS, _MINUS, _RANGE, _ADX = range(9)


def adx_begin(length: int) -> NDArray[np.float64]:
    """State of an average directional index: float64[9].

    Raises:
        ValueError: The length is not 2 to 1,000,000.
    """
    state = np.zeros(9)
    state[_LENGTH] = checked_length(length, "ADX", 2)
    return state


@inlined
def adx_next(state: NDArray[np.float64], high: float, low: float, close: float) -> tuple[float, float, float]:
    """The index, and the rising and the falling strength (+DI, -DI), each 0 to 100; NaN while they warm up.

    The strengths come with bar `length + 1`, the index with bar `2 x length`.
    """
    length = state[_LENGTH]
    seen = state[_SEEN]
    rise = high - state[_HIGH]
    fall = state[_LOW] - low
    move = true_range(high, low, state[_CLOSE])
    state[_HIGH] = high
    state[_LOW] = low
    state[_CLOSE] = close
    if seen < 2.0 * length:
        state[_SEEN] = seen + 1.0
    if seen == 0.0:
        return np.nan, np.nan, np.nan
    # Only the larger of the two counts, and neither where they are equal.
    up = rise if rise > fall and rise > 0.0 else 0.0
    down = fall if fall > rise and fall > 0.0 else 0.0
    if seen < length:
        state[_PLUS] += up
        state[_MINUS] += down
        state[_RANGE] += move
        return np.nan, np.nan, np.nan
    plus_sum = state[_PLUS] - state[_PLUS] / length + up
    minus_sum = state[_MINUS] - state[_MINUS] / length + down
    range_sum = state[_RANGE] - state[_RANGE] / length + move
    state[_PLUS] = plus_sum
    state[_MINUS] = minus_sum
    state[_RANGE] = range_sum
    plus = 0.0
    minus = 0.0
    if range_sum > 0.0:
        plus = 100.0 * (plus_sum / range_sum)
        minus = 100.0 * (minus_sum / range_sum)
    directed = plus + minus
    strength = 100.0 * (abs(minus - plus) / directed) if directed > 0.0 else np.nan
    index = state[_ADX]
    if seen >= 2.0 * length:
        if directed > 0.0:
            index = (index * (length - 1.0) + strength) / length
    else:
        if directed > 0.0:
            index += strength
        if seen < 2.0 * length - 1.0:
            state[_ADX] = index
            return np.nan, plus, minus
        index /= length
    state[_ADX] = index
    return index, plus, minus
