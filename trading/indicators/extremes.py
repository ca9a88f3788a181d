"""The highest and the lowest of the last values.

Only those are kept that may still become the highest: a value that a later one has reached never will. So each enters
and leaves once, and a bar costs the same whatever the length.
"""

import numpy as np
from numpy.typing import NDArray

from trading.indicators.lengths import checked_length
from trading.jit import inlined, njit

_LENGTH, _SEEN, _HEAD, _KEPT = range(4)
_RING = 4


def extremes_size(length: int) -> int:
    """Numbers in the state of one extreme."""
    return _RING + 2 * length


def highest_begin(length: int) -> NDArray[np.float64]:
    """State of a highest value: float64[4 + 2 x length].

    Raises:
        ValueError: The length is not 1 to 1,000,000.
    """
    length = checked_length(length, "highest value", 1)
    state = np.zeros(extremes_size(length))
    state[_LENGTH] = length
    return state


def lowest_begin(length: int) -> NDArray[np.float64]:
    """State of a lowest value: as that of a highest."""
    return highest_begin(length)


@inlined
def highest_next(state: NDArray[np.float64], value: float) -> float:
    """The highest of the last `length` values, NaN before there are so many."""
    return highest_at(state, 0, value)


@inlined
def lowest_next(state: NDArray[np.float64], value: float) -> float:
    """The lowest of the last `length` values, NaN before there are so many."""
    return -highest_at(state, 0, -value)


@njit
def highest_at(state: NDArray[np.float64], base: int, value: float) -> float:
    """The highest, of a state that begins at `base` of a larger one."""
    length = int(state[base + _LENGTH])
    seen = state[base + _SEEN] + 1.0
    head = int(state[base + _HEAD])
    kept = int(state[base + _KEPT])
    values = base + _RING
    numbers = values + length
    if kept > 0 and state[numbers + head] <= seen - length:
        head = head + 1 if head + 1 < length else 0
        kept -= 1
    while kept > 0:
        last = head + kept - 1
        if last >= length:
            last -= length
        if state[values + last] > value:
            break
        kept -= 1
    place = head + kept
    if place >= length:
        place -= length
    state[values + place] = value
    state[numbers + place] = seen
    state[base + _SEEN] = seen
    state[base + _HEAD] = head
    state[base + _KEPT] = kept + 1
    return state[values + head] if seen >= length else np.nan
