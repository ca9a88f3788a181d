"""Sums of numbers that come in parts and are not kept, equal to NumPy's own of all of them to the last bit."""

from functools import cache, lru_cache
from typing import Any, Final

import numpy as np

from backtest.curve import Numbers, Times
from operators.jit import njit

_LEAF: Final = 128
"""So many numbers NumPy adds up in eight rows; of more it adds the sums of two halves (`pairwise_sum`)."""
_DEEPEST: Final = 64


class PartSum:
    """A sum of so many numbers in all."""

    def __init__(self, count: int) -> None:
        """Begin with none."""
        self._leaves = _tree(count)
        self._at = np.zeros(3, np.int64)
        self._sums = np.zeros(_DEEPEST)
        self._tail = np.zeros(_LEAF)

    def add(self, part: Numbers) -> None:
        """The next numbers."""
        _compiled()(part, *self._leaves, self._at, self._sums, self._tail)

    def total(self) -> float:
        """Once all have come."""
        return float(self._sums[0])


@lru_cache(maxsize=8)
def _tree(count: int) -> tuple[Times, Times]:
    """How many numbers each leaf has, and with how many sums of before its own is added up when it is known."""
    sizes: list[int] = []
    merges: list[int] = []

    def split(size: int) -> None:
        if size <= _LEAF:
            sizes.append(size)
            merges.append(0)
            return
        half = size // 2 - size // 2 % 8
        split(half)
        split(size - half)
        merges[-1] += 1

    split(count)
    return np.array(sizes, np.int64), np.array(merges, np.int64)


@cache
def _compiled() -> Any:
    import numba

    # Not at import: Numba makes a folder where it keeps what it compiled.
    return numba.njit(cache=True, nogil=True)(_add)


@njit
def _leaf(values: Numbers, begin: int, size: int) -> float:
    total = 0.0
    if size < 8:
        for place in range(begin, begin + size):
            total += values[place]
        return total
    a, b, c, d = values[begin], values[begin + 1], values[begin + 2], values[begin + 3]
    e, f, g, h = values[begin + 4], values[begin + 5], values[begin + 6], values[begin + 7]
    even = begin + size - size % 8
    for place in range(begin + 8, even, 8):
        a += values[place]
        b += values[place + 1]
        c += values[place + 2]
        d += values[place + 3]
        e += values[place + 4]
        f += values[place + 5]
        g += values[place + 6]
        h += values[place + 7]
    total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for place in range(even, begin + size):
        total += values[place]
    return float(total)


def _add(values: Numbers, sizes: Times, merges: Times, at: Times, sums: Numbers, tail: Numbers) -> None:
    leaf, depth, kept = at[0], at[1], at[2]
    place = 0
    while place < len(values):
        size = sizes[leaf]
        left = len(values) - place
        if kept > 0 or left < size:
            more = min(size - kept, left)
            for n in range(more):
                tail[kept + n] = values[place + n]
            kept += more
            place += more
            if kept < size:
                break
            total = _leaf(tail, 0, size)
            kept = 0
        else:
            total = _leaf(values, place, size)
            place += size
        for _ in range(merges[leaf]):
            depth -= 1
            total = sums[depth] + total
        sums[depth] = total
        depth += 1
        leaf += 1
    at[0], at[1], at[2] = leaf, depth, kept
