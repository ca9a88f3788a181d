"""Fewer points that look the same: a picture of a million bars is wide a few thousand."""

import numpy as np
from numpy.typing import NDArray

from backtest.curve import Numbers
from trading.records import Records

CANDLES_MAX = 3_000
POINTS_MAX = 4_000


def candles(bars: Records, most: int = CANDLES_MAX) -> tuple[Records, int]:
    """Bars put together in groups of equal number, and that number; the bars themselves if they are few enough.

    The last group may be smaller. Extremes stay.
    """
    every = -(-len(bars) // most)
    if every <= 1:
        return bars, 1
    first = np.arange(0, len(bars), every)
    last = np.minimum(first + every, len(bars)) - 1
    grouped = bars[first].copy()
    grouped["high"] = np.maximum.reduceat(bars["high"], first)
    grouped["low"] = np.minimum.reduceat(bars["low"], first)
    grouped["close"] = bars["close"][last]
    grouped["volume"] = np.add.reduceat(bars["volume"], first)
    return grouped, every


def places(lines: list[Numbers], most: int = POINTS_MAX) -> NDArray[np.int64]:
    """Places, rising, that keep the first and last point and each line's highest and lowest of every stretch.

    >>> places([np.array([1.0, 5.0, 2.0, 0.0, 3.0, 3.0])], 2).tolist()
    [0, 1, 3, 5]
    """
    count = len(lines[0])
    if count <= most:
        return np.arange(count)
    every = -(-count * 2 * len(lines) // most)
    first = np.arange(0, count, every)
    kept = [np.array([0, count - 1])]
    for line in lines:
        padded = np.append(line, np.full(-count % every, line[-1])).reshape(len(first), every)
        kept += [first + padded.argmax(axis=1), first + padded.argmin(axis=1)]
    return np.unique(np.minimum(np.concatenate(kept), count - 1))
