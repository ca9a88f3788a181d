"""The tape: when what is traded, made ahead in small blocks, a pure function of the seed and the start."""

import math
from collections.abc import Sequence
from enum import IntFlag
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sources.simulated.listing import Instrument, is_open
from sources.simulated.prices import PriceProcess

MADE: Final = np.dtype(
    [
        ("event_time", "<i8"),
        ("stamp", "<i8"),
        ("trade_id", "<i8"),
        ("price", "<f8"),
        ("size", "<f8"),
        ("sent", "<u8"),
        ("symbol", "<u2"),
        ("side", "i1"),
        ("flags", "u1"),
        ("pad", "<u4"),
    ]
)
"""One trade that the exchange made, 56 bytes.

event_time: when, ns since 1970 UTC, whole microseconds. stamp: the time that its frame shows: other than `event_time`
while the exchange's clock is off. trade_id: contiguous per symbol, from 1; 0 marks an unused record. price, size:
dollars, units. sent: bit n is set if connection n got it; bit 63 stands for all connections from 63 on. symbol: index
into the instruments. side: 1 the buyer was the aggressor, -1 the seller. flags: `Fate`.
"""

BURSTS_PER_S: Final = 2.0
"""How fast the excitement after a trade fades."""
BLOCK_TICKS: Final = 1_000
"""Trades in a block, on average: small enough that making one is no stall, large enough to be cheap per trade."""
BLOCK_S: Final = 0.25
"""Longest block: bursts are shorter than it can be told."""
_SECOND_US: Final = 1_000_000


class Fate(IntFlag):
    """What a fault did to a trade on its way out."""

    NONE = 0
    HELD = 1
    """Sent later than it was made, or not yet."""
    SPOILED = 2
    """Sent in a frame that was cut off: nobody could read it."""
    DUPLICATED = 4
    """Sent twice."""


class Ticks(NamedTuple):
    """Consecutive trades, in order of time."""

    records: NDArray[np.void]
    """`MADE` records; `sent` and `flags` still 0."""
    bid: NDArray[np.float64]
    """Best bid after each."""
    ask: NDArray[np.float64]


class Tape:
    """All trades from the start on.

    Arrivals are a Hawkes process in steps of one block: a trade raises the rate of those that follow it, so that they
    come in bursts, and the mean stays `rate`. Each falls to a symbol by its weight; none is made outside its session.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        *,
        seed: Sequence[int],
        start_ns: int,
        burst: float = 0.6,
    ) -> None:
        """Begin a tape.

        Args:
            instruments: Their weights, in sum, are the rate.
            seed: Any number of integers.
            start_ns: Time of its beginning, ns since 1970 UTC.
            burst: Share of trades that are echoes of earlier ones, 0 to 0.9; 0 is a Poisson process.
        """
        self.start_ns = start_ns
        self._instruments = tuple(instruments)
        self._rng = np.random.default_rng(seed)
        self._prices = PriceProcess(instruments, self._rng)
        weights = np.array([instrument.weight for instrument in instruments])
        self._shares = np.cumsum(weights) / weights.sum()
        self._rate = float(weights.sum())
        self._burst = burst
        self._excited = burst * self._rate
        self._timed = np.array([instrument.session is not None for instrument in instruments])
        self._span_us = int(min(BLOCK_S, max(0.005, BLOCK_TICKS / self._rate)) * _SECOND_US)
        self._fade = math.exp(-BURSTS_PER_S * self._span_us / _SECOND_US)
        self._end_us = 0
        self._block = Ticks(np.empty(0, MADE), np.empty(0), np.empty(0))
        self._times = np.empty(0, np.int64)
        self._next = 0

    def resume(self, last_id: NDArray[np.int64], last_price: NDArray[np.float64]) -> None:
        """Go on from an earlier run's last trade of each symbol (one entry a symbol, id 0 where it had none)."""
        self._prices.resume(last_id, last_price)

    @property
    def next_ns(self) -> int:
        """Time before which no further trade is made, ns."""
        if self._next < len(self._times):
            return int(self._times[self._next])
        return self.start_ns + self._end_us * 1000

    def take(self, until_ns: int, limit: int) -> Ticks:
        """The next trades up to and including `until_ns`, at most `limit` and at most to a block's end; empty: none."""
        while self._next >= len(self._times):
            if self.start_ns + self._end_us * 1000 > until_ns:
                return Ticks(self._block.records[:0], self._block.bid[:0], self._block.ask[:0])
            self._make_block()
        begin = self._next
        end = min(int(np.searchsorted(self._times, until_ns, side="right")), begin + limit)
        end = max(begin, end)
        self._next = end
        records, bid, ask = self._block
        return Ticks(records[begin:end], bid[begin:end], ask[begin:end])

    def _make_block(self) -> None:
        """Draw the trades of the next block."""
        rng = self._rng
        span_us = self._span_us
        begin_us = self._end_us
        self._end_us += span_us
        rate = min((1 - self._burst) * self._rate + self._excited, 5 * self._rate)
        count = int(rng.poisson(rate * span_us / _SECOND_US))
        # In the mean over time, what was excited is the burst's share of the rate, whatever the length of a block.
        echoes = self._burst * count * _SECOND_US / span_us
        self._excited = self._fade * self._excited + (1 - self._fade) * echoes
        times_us = np.sort(rng.integers(begin_us, self._end_us, count))
        symbols = np.searchsorted(self._shares, rng.random(count), side="right").astype(np.uint16)
        np.minimum(symbols, len(self._shares) - 1, out=symbols)
        if self._timed.any():
            trades = self._in_session(symbols, times_us)
            times_us, symbols = times_us[trades], symbols[trades]
        self._next = 0
        self._times = self.start_ns + times_us * 1000
        records = np.zeros(len(times_us), MADE)
        if not len(times_us):
            self._block = Ticks(records, np.empty(0), np.empty(0))
            return
        walk = self._prices.walk(symbols, times_us, self.start_ns / 1e9 + begin_us / _SECOND_US)
        records["event_time"] = records["stamp"] = self._times
        records["trade_id"] = walk.trade_id
        records["price"] = walk.price
        records["size"] = walk.size
        records["symbol"] = symbols
        records["side"] = np.where(walk.buy, 1, -1)
        self._block = Ticks(records, walk.bid, walk.ask)

    def _in_session(self, symbols: NDArray[np.uint16], times_us: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these trades fall into the hours of their symbol."""
        trades = np.ones(len(symbols), np.bool_)
        for place in np.flatnonzero(self._timed[symbols]):
            session = self._instruments[int(symbols[place])].session
            trades[place] = is_open(session, self.start_ns / 1e9 + int(times_us[place]) / _SECOND_US)
        return trades
