"""Bars as the simulated exchange sums them up: columns of equal length, and the one fold that makes bars of bars."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from market.intervals import MINUTE_NS, Interval
from sources.simulated.official_bars import bucket

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

KLINE: Final = np.dtype(
    [
        ("start", "<i8"),
        ("end", "<i8"),
        ("open", "<f8"),
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),
        ("volume", "<f8"),
        ("notional", "<f8"),
        ("trades", "<i8"),
    ]
)
"""One bar, 72 bytes: start and end in ns since 1970 UTC, volume in units, notional in dollars."""


class Klines(NamedTuple):
    """Bars of one symbol in order of start, one entry of each column a bar. A trade is a bar of one price."""

    start: Ints
    """ns since 1970 UTC; of a trade, its time."""
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    notional: Floats
    trades: Ints

    @classmethod
    def none(cls) -> Self:
        """No bar at all."""
        whole, number = np.empty(0, np.int64), np.empty(0)
        return cls(whole, number, number, number, number, number, number, whole)

    @classmethod
    def of_trades(cls, time: Ints, price: Floats, size: Floats) -> Self:
        """Trades as bars."""
        return cls(time, price, price, price, price, size, price * size, np.ones(len(time), np.int64))

    def take(self, rows: slice | NDArray[np.intp] | NDArray[np.bool_]) -> "Klines":
        """Some of them."""
        return Klines._make([column[rows] for column in self])

    def between(self, start: int, end: int) -> "Klines":
        """Those that start in `[start, end)`."""
        first, last = np.searchsorted(self.start, [start, end])
        return self.take(slice(int(first), int(last)))


def joined(parts: Sequence[Klines]) -> Klines:
    """Parts in the order of time as one."""
    parts = [part for part in parts if len(part.start)]
    if not parts:
        return Klines.none()
    return (
        parts[0] if len(parts) == 1 else Klines._make(np.concatenate(columns) for columns in zip(*parts, strict=True))
    )


def fold(rows: Klines, starts: Ints) -> Klines:
    """Bars of shorter bars (or of trades) in order.

    Volume and notional are left folds in the order of the rows, so that they agree to the last bit with what a consumer
    sums up that reads the rows one by one.

    Args:
        rows: At least one.
        starts: For each row the start of the bar that it belongs to, never falling.
    """
    first = np.flatnonzero(np.concatenate([[True], starts[1:] != starts[:-1]]))
    last = np.append(first[1:], len(starts)) - 1
    place = np.repeat(np.arange(len(first)), last - first + 1)
    return Klines(
        start=starts[first],
        open=rows.open[first],
        high=np.maximum.reduceat(rows.high, first),
        low=np.minimum.reduceat(rows.low, first),
        close=rows.close[last],
        volume=added(place, rows.volume, len(first)),
        notional=added(place, rows.notional, len(first)),
        trades=np.add.reduceat(rows.trades, first),
    )


def added(place: NDArray[np.intp], numbers: Floats, count: int) -> Floats:
    """Sums by place, each the left fold of its numbers in order, which `add.reduceat` does not promise."""
    return np.asarray(np.bincount(place, numbers, count), np.float64)


def longer(minutes: Klines, interval: Interval) -> Klines:
    """Bars of an interval from those of a minute, or of any interval that fits into it."""
    if interval is Interval.M1 or not len(minutes.start):
        return minutes
    return fold(minutes, starts_of(minutes.start, interval))


def starts_of(times: Ints, interval: Interval) -> Ints:
    """Start of the bar that each time falls into; the exchange never closes, and days are UTC's."""
    if interval.intraday:
        length = interval.minutes * MINUTE_NS
        return times // length * length
    days = times // (1440 * MINUTE_NS)
    found, place = np.unique(days, return_inverse=True)
    starts = [bucket(int(day) * 1440 * MINUTE_NS, interval)[0] for day in found]
    return np.array(starts, np.int64)[place]


def ends_of(starts: Ints, interval: Interval) -> Ints:
    """End of each bar."""
    if interval.intraday or interval is Interval.D1:
        return starts + (interval.minutes or 1440) * MINUTE_NS
    return np.array([bucket(int(start), interval)[1] for start in starts], np.int64)


def records(bars: Klines, interval: Interval) -> NDArray[np.void]:
    """The bars as `KLINE` records."""
    found = np.empty(len(bars.start), KLINE)
    found["end"] = ends_of(bars.start, interval)
    for name, column in zip(Klines._fields, bars, strict=True):
        found[name] = column
    return found
