"""Standard deviation of the last values, without the drift and the cancellation of running squares.

Values are taken as distances from one of them, their sums keep what rounding takes away, and both are begun anew at
each turn of the ring: nothing older than two lengths is left in the result.
"""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from trading.indicators.exact import exact_product, exact_sum
from trading.indicators.lengths import checked_length
from trading.jit import inlined

_LENGTH, _PLACE, _FULL, _EQUAL = range(4)
_ORIGIN, _SUM, _SUM_REST, _SQUARES, _SQUARES_REST = range(4, 9)
_NEW_ORIGIN, _NEW_SUM, _NEW_SUM_REST, _NEW_SQUARES, _NEW_SQUARES_REST = range(9, 14)
_RING = 14


def deviation_size(length: int) -> int:
    """Numbers in a deviation's state."""
    return _RING + length


def deviation_begin(length: int) -> NDArray[np.float64]:
    """State of a standard deviation: float64[14 + length].

    Raises:
        ValueError: The length is not 1 to 1,000,000.
    """
    length = checked_length(length, "standard deviation", 1)
    state = np.zeros(deviation_size(length))
    state[_LENGTH] = length
    return state


@inlined
def deviation_next(state: NDArray[np.float64], value: float) -> float:
    """The deviation of the last `length` values from their mean (divisor `length`); NaN before there are so many.

    Exactly 0 where all are equal.
    """
    return deviation_at(state, 0, value)


@inlined
def deviation_at(state: NDArray[np.float64], base: int, value: float) -> float:
    """The same of a state that begins at `base` of a larger one."""
    length = state[base + _LENGTH]
    turn = state[base + _PLACE]
    place = base + _RING + int(turn)
    before = state[place - 1] if turn > 0.0 else state[base + _RING + int(length) - 1]
    old = state[place]
    state[place] = value
    state[base + _EQUAL] = state[base + _EQUAL] + 1.0 if value == before else 1.0

    if turn == 0.0:
        state[base + _NEW_ORIGIN] = value
    distance = value - state[base + _NEW_ORIGIN]
    square, below = exact_product(distance, distance)
    state[base + _NEW_SUM], lost = exact_sum(state[base + _NEW_SUM], distance)
    state[base + _NEW_SUM_REST] += lost
    state[base + _NEW_SQUARES], lost = exact_sum(state[base + _NEW_SQUARES], square)
    state[base + _NEW_SQUARES_REST] += lost + below
    turn += 1.0
    if turn == length:
        state[base + _PLACE] = 0.0
        state[base + _FULL] = 1.0
        for i in range(5):
            state[base + _ORIGIN + i] = state[base + _NEW_ORIGIN + i]
            state[base + _NEW_ORIGIN + i] = 0.0
    else:
        state[base + _PLACE] = turn
        if state[base + _FULL] == 0.0:
            return np.nan
        distance = value - state[base + _ORIGIN]
        gone = old - state[base + _ORIGIN]
        square, below = exact_product(distance, distance)
        square_gone, below_gone = exact_product(gone, gone)
        total, lost = exact_sum(state[base + _SUM], distance)
        state[base + _SUM], more = exact_sum(total, -gone)
        state[base + _SUM_REST] += lost + more
        total, lost = exact_sum(state[base + _SQUARES], square)
        state[base + _SQUARES], more = exact_sum(total, -square_gone)
        state[base + _SQUARES_REST] += (lost + more) + (below - below_gone)

    if state[base + _EQUAL] >= length:
        return 0.0
    # length x squares - sum x sum, both with twice the digits, for their difference may be small.
    total = state[base + _SUM]
    first, first_below = exact_product(state[base + _SQUARES], length)
    second, second_below = exact_product(total, total)
    first_below += state[base + _SQUARES_REST] * length
    second_below += 2.0 * total * state[base + _SUM_REST]
    deviation: float = sqrt(max((first - second) + (first_below - second_below), 0.0)) / length
    return deviation
