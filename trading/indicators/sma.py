"""Simple moving average without drift: what left the window a million bars ago left nothing behind.

The running sum keeps what each addition rounds away, and a bound of what is lost nevertheless. Where the bound comes
near to a digit that counts (after tens of millions of bars, or a price of 1e12 that became 1e-6), the window is summed
anew, exactly.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from trading.indicators.exact import SPLIT, exact_sum
from trading.indicators.lengths import checked_length
from trading.jit import inlined, njit

_LENGTH, _PLACE, _FULL, _INVERSE, _SUM, _REST, _LOST = range(7)
_RING: Final = 7

_NEAR: Final = 2.0**-16
"""Largest sum of rests, as a fraction of the sum: what they lost is 2^-14 of the sum's last digit at most."""
_TINY: Final = 1e-250
_HUGE: Final = 1e290
"""Between these nothing below overflows or loses digits to underflow."""


def sma_size(length: int) -> int:
    """Numbers in a moving average's state."""
    return _RING + length


def sma_begin(length: int) -> NDArray[np.float64]:
    """State of a moving average: float64[7 + length].

    Raises:
        ValueError: The length is not 1 to 1,000,000.
    """
    length = checked_length(length, "SMA", 1)
    state = np.zeros(sma_size(length))
    state[_LENGTH] = length
    state[_INVERSE] = 1.0 / length
    # Sends all of the warm-up to `_anew`, so that nothing has to be asked about it afterwards.
    state[_LOST] = np.inf
    return state


@inlined
def sma_next(state: NDArray[np.float64], value: float) -> float:
    """The mean of the last `length` values, NaN before there are so many.

    Within 1 ulp of the exactly rounded mean after any number of values, for values below 1e290; the mean of equal
    values is that value. NaN while any value in the window is.
    """
    return sma_at(state, 0, value)


@inlined
def sma_at(state: NDArray[np.float64], base: int, value: float) -> float:
    """The same of a state that begins at `base` of a larger one."""
    length = state[base + _LENGTH]
    turn = state[base + _PLACE]
    place = base + _RING + int(turn)
    old = state[place]
    state[place] = value
    turn += 1.0
    if turn == length:
        turn = 0.0
        state[base + _FULL] = 1.0
    state[base + _PLACE] = turn

    change, lost = exact_sum(value, -old)
    total, more = exact_sum(state[base + _SUM], change)
    rest = state[base + _REST] + (lost + more)
    bound = state[base + _LOST] + abs(rest)
    state[base + _SUM] = total
    state[base + _REST] = rest
    state[base + _LOST] = bound

    size = abs(total)
    if bound <= size * _NEAR and size < _HUGE and (size > _TINY or size == 0.0):
        return _quotient(total, rest, length, state[base + _INVERSE])
    return _anew(state, base)


@inlined
def _quotient(total: float, rest: float, length: float, inverse: float) -> float:
    """(total + rest) / length, rounded once but for one case in ten thousand."""
    guess = total * inverse
    high = guess * SPLIT
    high -= high - guess
    low = guess - high
    # Exact: a half times a length below 2^26 is, and so is the difference of neighbours.
    missing = ((total - high * length) - low * length) + rest
    return guess + missing * inverse


@njit
def _anew(state: NDArray[np.float64], base: int) -> float:
    """Sum the window exactly, by Shewchuk's growing expansion; the running sum goes on from there."""
    if state[base + _FULL] == 0.0:
        return np.nan
    length = int(state[base + _LENGTH])
    parts = np.empty(64)
    count = 0
    for place in range(base + _RING, base + _RING + length):
        value = state[place]
        kept = 0
        for i in range(count):
            value, lost = exact_sum(value, parts[i])
            if lost != 0.0:
                parts[kept] = lost
                kept += 1
        parts[kept] = value
        count = kept + 1
    # From the largest down: each is below the last digit of the one above it.
    total = 0.0
    rest = 0.0
    for i in range(count - 1, -1, -1):
        total, rest = exact_sum(total, parts[i] + rest)
    state[base + _SUM] = total
    state[base + _REST] = rest
    state[base + _LOST] = abs(rest)
    scale, back = 1.0, 1.0
    if abs(total) < _TINY:
        scale, back = 2.0**600, 2.0**-600
    elif abs(total) > _HUGE:
        scale, back = 2.0**-600, 2.0**600
    return _quotient(total * scale, rest * scale, state[base + _LENGTH], state[base + _INVERSE]) * back
