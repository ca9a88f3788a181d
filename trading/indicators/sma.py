"""Simple moving average without drift: what left the window a million bars ago left nothing behind.

Prices that are near to each other have a last digit in common, of which each is a whole multiple. Their sum is kept in
two numbers of so few digits that every addition is exact: nothing is lost, so nothing is to be watched. Where values
leave this grid (a price that halves within the window, a number below 0) the sum keeps what each addition rounds away,
and a bound of what is lost nevertheless; where the bound comes near to a digit that counts, the window is summed anew,
exactly. Once in a turn of the ring it is seen whether the window is on a grid again.
"""

from math import frexp, ldexp
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trading.indicators.exact import exact_sum, remainder
from trading.indicators.lengths import checked_length
from trading.jit import inlined, njit

_LENGTH, _INVERSE, _COUNT, _PLACE, _FULL = range(5)
_SUM, _REST, _LOST = range(5, 8)
_LEAST, _FAR, _SPLITTER, _HIGH, _LOW, _HIGH_MOST, _LOW_MOST = range(8, 15)
_RING: Final = 15
"""Where the values begin. `_COUNT` (the length again) and `_PLACE` are int64 in the same bytes: an index needs no more
work than that."""

_NEAR: Final = 2.0**-16
"""Largest sum of rests, as a fraction of the sum: what they lost is 2^-14 of the sum's last digit at most."""
_TINY: Final = 1e-250
_HUGE: Final = 1e290
"""Between these nothing below overflows or loses digits to underflow."""
_POWERS: Final = 800
"""The same as a power of two, for the grid."""


def sma_size(length: int) -> int:
    """Numbers in a moving average's state."""
    return _RING + length


def sma_begin(length: int) -> NDArray[np.float64]:
    """State of a moving average: float64[15 + length].

    Raises:
        ValueError: The length is not 1 to 1,000,000.
    """
    length = checked_length(length, "SMA", 1)
    state = np.zeros(sma_size(length))
    state[_LENGTH] = length
    state.view(np.int64)[_COUNT] = length
    state[_INVERSE] = 1.0 / length
    # Sends all of the warm-up to `_anew`, so that nothing has to be asked about it afterwards.
    state[_LEAST] = np.inf
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
    whole = state.view(np.int64)
    turn = whole[base + _PLACE]
    place = base + _RING + turn
    old = state[place]
    state[place] = value
    turn += 1
    if turn == whole[base + _COUNT]:
        turn = 0
        if not (abs(state[base + _LOW]) <= state[base + _LOW_MOST] and state[base + _HIGH] <= state[base + _HIGH_MOST]):
            state[base + _LEAST] = np.inf
            state[base + _LOST] = np.inf
    whole[base + _PLACE] = turn

    change = value - old
    splitter = state[base + _SPLITTER]
    part = (change + splitter) - splitter
    high = state[base + _HIGH] + part
    low = state[base + _LOW] + (change - part)
    state[base + _HIGH] = high
    state[base + _LOW] = low
    if value >= state[base + _LEAST] and abs(change) <= state[base + _FAR]:
        inverse = state[base + _INVERSE]
        guess = (high + low) * inverse
        return float(guess + (remainder(high, guess, state[base + _LENGTH]) + low) * inverse)
    return _off_the_grid(state, base, value, old)


@inlined
def _quotient(total: float, rest: float, length: float, inverse: float) -> float:
    """(total + rest) / length, rounded once but for one case in ten thousand."""
    guess = total * inverse
    return guess + (remainder(total, guess, length) + rest) * inverse


@njit
def _off_the_grid(state: NDArray[np.float64], base: int, value: float, old: float) -> float:
    """The mean where the last digits of values differ; goes back to the grid at a turn of the ring, if it can."""
    if state[base + _LEAST] != np.inf:
        # The sum of before is not at hand: it is made anew.
        state[base + _LEAST] = np.inf
        state[base + _LOST] = np.inf
    if state.view(np.int64)[base + _PLACE] == 0:
        state[base + _FULL] = 1.0
        _to_the_grid(state, base)
    change, lost = exact_sum(value, -old)
    total, more = exact_sum(state[base + _SUM], change)
    rest = state[base + _REST] + (lost + more)
    bound = state[base + _LOST] + abs(rest)
    state[base + _SUM] = total
    state[base + _REST] = rest
    state[base + _LOST] = bound

    size = abs(total)
    if bound <= size * _NEAR and size < _HUGE and (size > _TINY or size == 0.0):
        return _quotient(total, rest, state[base + _LENGTH], state[base + _INVERSE])
    return _anew(state, base)


@njit
def _to_the_grid(state: NDArray[np.float64], base: int) -> None:
    """Lay a grid under the window, if all of it is above 0 and of one order of magnitude.

    With 2^(e-1) <= largest < 2^e: values from 2^(e-2) on are multiples of 2^(e-54), and so are their changes, which
    are exact up to 2^(e-1). Of a change a multiple of 2^(e-27) goes to the high sum, which is exact below 2^(e+26),
    and the rest of at most 2^(e-28) to the low one, exact below 2^(e-1). With a million changes in a turn of the ring
    it is enough to look once in a turn whether they are far below.
    """
    begin = base + _RING
    end = begin + state.view(np.int64)[base + _COUNT]
    largest = 0.0
    least = np.inf
    for place in range(begin, end):
        # What is not a number is neither.
        largest = max(largest, state[place]) if state[place] == state[place] else np.inf
        least = min(least, state[place])
    power = frexp(largest)[1] if largest < np.inf else _POWERS
    if not (least >= ldexp(1.0, power - 2) and -_POWERS < power < _POWERS):
        return
    splitter = ldexp(1.5, power + 25)
    high, low = 0.0, 0.0
    for place in range(begin, end):
        part = (state[place] + splitter) - splitter
        high += part
        low += state[place] - part
    state[base + _LEAST] = ldexp(1.0, power - 2)
    state[base + _FAR] = ldexp(1.0, power - 1)
    state[base + _SPLITTER] = splitter
    state[base + _HIGH] = high
    state[base + _LOW] = low
    state[base + _HIGH_MOST] = ldexp(1.0, power + 25)
    state[base + _LOW_MOST] = ldexp(1.0, power - 5)


@njit
def _anew(state: NDArray[np.float64], base: int) -> float:
    """Sum the window exactly, by Shewchuk's growing expansion; the running sum goes on from there."""
    if state[base + _FULL] == 0.0:
        return np.nan
    length = state.view(np.int64)[base + _COUNT]
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
