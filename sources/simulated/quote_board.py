"""The last price, the best bid and ask and the day's figures of every symbol, as arrays."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sources.simulated.listing import Instrument
from sources.simulated.tape import Ticks

_DAY_NS: Final = 86_400_000_000_000


class QuoteBoard:
    """What each symbol's quote is now; every array has one entry a symbol, NaN where nothing traded yet.

    The day is UTC's and begins at midnight: volume, notional, open, high and low start over.
    """

    def __init__(self, instruments: Sequence[Instrument], now_ns: int) -> None:
        count = len(instruments)
        self.last = np.full(count, np.nan)
        self.bid = np.full(count, np.nan)
        self.ask = np.full(count, np.nan)
        self.bid_size = np.zeros(count)
        self.ask_size = np.zeros(count)
        self.day_open = np.full(count, np.nan)
        self.day_high = np.full(count, np.nan)
        self.day_low = np.full(count, np.nan)
        self.day_volume = np.zeros(count)
        self.day_notional = np.zeros(count)
        self.previous_close = np.full(count, np.nan)
        self.stamp = np.zeros(count, np.int64)
        """Stamp of the last trade, ns."""
        self.revision = np.zeros(count, np.int64)
        """Rises with every batch that traded the symbol."""
        self._day = now_ns // _DAY_NS
        self._batches = 0

    def update(self, ticks: Ticks) -> None:
        """Take in consecutive trades, at least one."""
        days = ticks.records["event_time"][[0, -1]] // _DAY_NS
        if int(days[1]) == self._day:
            self._update(ticks)
            return
        # Midnight lies within or before these: what was traded before it belongs to the old day.
        every = ticks.records["event_time"] // _DAY_NS
        for day in np.unique(every).tolist():
            if day > self._day:
                self._begin_day(day)
            part = every == day
            self._update(Ticks(ticks.records[part], ticks.bid[part], ticks.ask[part]))

    def _begin_day(self, day: int) -> None:
        self._day = day
        traded = ~np.isnan(self.last)
        self.previous_close[traded] = self.last[traded]
        self.day_open[:] = self.day_high[:] = self.day_low[:] = np.nan
        self.day_volume[:] = self.day_notional[:] = 0

    def _update(self, ticks: Ticks) -> None:
        records = ticks.records
        symbol = records["symbol"]
        price = records["price"]
        size = records["size"]
        # Of equal indices, the last assignment stays: the newest trade.
        self.last[symbol] = price
        self.bid[symbol] = ticks.bid
        self.ask[symbol] = ticks.ask
        self.stamp[symbol] = records["stamp"]
        np.add.at(self.day_volume, symbol, size)
        np.add.at(self.day_notional, symbol, price * size)
        fresh = np.isnan(self.day_open[symbol])
        if fresh.any():
            first = symbol[fresh][::-1]
            self.day_open[first] = self.day_high[first] = self.day_low[first] = price[fresh][::-1]
        np.maximum.at(self.day_high, symbol, price)
        np.minimum.at(self.day_low, symbol, price)
        buys = records["side"] > 0
        # What rests in the book is about what was just taken from it, on the other side a multiple.
        self.bid_size[symbol] = np.where(buys, 3 * size, size)
        self.ask_size[symbol] = np.where(buys, size, 3 * size)
        self._batches += 1
        self.revision[symbol] = self._batches


class Sweep:
    """Visits every symbol so many times a second, evenly, so that quotes never leave in one burst."""

    def __init__(self, count: int, per_second: float, now_ns: int) -> None:
        self._count = count
        self._per_second = per_second
        self._start_ns = now_ns
        self._visited = 0

    def due(self, now_ns: int) -> NDArray[np.int64]:
        """Symbols whose turn has come, each at most once."""
        target = int((now_ns - self._start_ns) * 1e-9 * self._per_second * self._count)
        begin = max(self._visited, target - self._count)
        self._visited = max(target, self._visited)
        return np.arange(begin, self._visited, dtype=np.int64) % self._count
