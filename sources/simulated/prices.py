"""The stochastic process behind the prices: a diffusion with jumps and an hour-of-day pattern, a spread, sizes."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sources.simulated.listing import DAY_S, Instrument

YEAR_S: Final = 365 * DAY_S
JUMPS_PER_S: Final = 1 / 7_200
"""Mean rate of a symbol's jumps: one in two hours."""
JUMP_SIZE: Final = 0.003
"""Standard deviation of a jump's log return."""
REVERSION_S: Final = 30 * DAY_S
"""Time in which a price is drawn back to where it began, so that no run of weeks ends at a fraction of a step."""
SIZE_SPREAD: Final = 1.3
"""Standard deviation of the log of a trade's size."""
NOTIONAL_MEDIAN: Final = 300.0
"""Dollars in the median trade."""
LOTS_PER_UNIT: Final = 100_000_000
"""A size is a whole number of these parts of a unit: eight decimals, as Kraken prints them."""


class Walk(NamedTuple):
    """Trades and the quotes they left behind, one entry a trade, in the order of the times given."""

    trade_id: NDArray[np.int64]
    """Contiguous per symbol, from 1."""
    price: NDArray[np.float64]
    """Dollars, the float nearest to a whole number of price steps."""
    size: NDArray[np.float64]
    """Units, the float nearest to a whole number of 1e-8."""
    buy: NDArray[np.bool_]
    """Whether the buyer was the aggressor: the trade then printed at the ask."""
    bid: NDArray[np.float64]
    ask: NDArray[np.float64]


class PriceProcess:
    """The prices of all symbols; the same seed and the same calls give the same prices.

    A log price moves by a normal step of `volatility * pattern * sqrt(dt)`, by rare jumps, and by a weak pull to where
    it began. Best bid and ask lie around it on the price step's grid; a trade prints at the one that was taken.
    """

    def __init__(self, instruments: Sequence[Instrument], rng: np.random.Generator) -> None:
        self._rng = rng
        count = len(instruments)
        prices = np.array([instrument.price for instrument in instruments])
        self._sigma = np.array([instrument.volatility for instrument in instruments]) / math.sqrt(YEAR_S)
        self._steps_per_dollar = 10.0 ** np.array([instrument.decimals for instrument in instruments])
        # Half a spread of one basis point, but at least half a step.
        self._half_spread = np.maximum(0.5, prices * 0.00005 * self._steps_per_dollar)
        self._median_log_lots = np.log(NOTIONAL_MEDIAN / prices * LOTS_PER_UNIT)
        self._home = np.log(prices)
        self._log_price = self._home.copy()
        self._time_us = np.zeros(count, np.int64)
        self.last_id = np.zeros(count, np.int64)
        """Id of each symbol's last trade."""

    def resume(self, last_id: NDArray[np.int64], last_price: NDArray[np.float64]) -> None:
        """Go on from an earlier run's last trade of each symbol; id 0 where it had none, and price 0 to stay."""
        traded = last_price > 0
        self.last_id[:] = last_id
        self._log_price[traded] = np.log(last_price[traded])

    def walk(self, symbol: NDArray[np.uint16], time_us: NDArray[np.int64], utc_s: float) -> Walk:
        """Trade each of `symbol` at its time.

        Args:
            symbol: Index into the instruments, at least one.
            time_us: Microseconds since the start, rising, same length.
            utc_s: The time of day of all of them, for the pattern.
        """
        count = len(symbol)
        order = np.argsort(symbol, kind="stable")
        of = symbol[order]
        times = time_us[order]
        first = np.empty(count, np.bool_)
        first[0] = True
        np.not_equal(of[1:], of[:-1], out=first[1:])
        starts = np.flatnonzero(first)
        lengths = np.diff(starts, append=count)
        ends = starts + lengths - 1

        before = np.empty(count, np.int64)
        before[1:] = times[:-1]
        before[starts] = self._time_us[of[starts]]
        seconds = (times - before) * 1e-6
        log_price = self._log_price[of]
        steps = self._rng.standard_normal(count) * self._sigma[of] * np.sqrt(seconds) * pattern(utc_s)
        steps -= (log_price - self._home[of]) * (seconds / REVERSION_S)
        jumps = np.flatnonzero(self._rng.random(count) < np.minimum(seconds * JUMPS_PER_S, 0.5))
        steps[jumps] += self._rng.standard_normal(len(jumps)) * JUMP_SIZE
        paths = np.cumsum(steps)
        log_price += paths - np.repeat(paths[starts] - steps[starts], lengths)

        per_dollar = self._steps_per_dollar[of]
        middle = np.exp(log_price) * per_dollar
        half = self._half_spread[of]
        bid = np.maximum(1.0, np.floor(middle - half + 0.5))
        ask = np.maximum(bid + 1.0, np.ceil(middle + half - 0.5))
        buy = self._rng.random(count) < 0.5
        sizes = np.exp(self._median_log_lots[of] + SIZE_SPREAD * self._rng.standard_normal(count))
        lots = np.maximum(1.0, np.rint(sizes))
        ids = self.last_id[of] + 1 + np.arange(count) - np.repeat(starts, lengths)

        last = of[ends]
        self.last_id[last] = ids[ends]
        self._log_price[last] = log_price[ends]
        self._time_us[last] = times[ends]
        back = np.empty(count, np.intp)
        back[order] = np.arange(count)
        return Walk(
            trade_id=ids[back],
            # A division of two whole floats is the float nearest to the decimal, and so what a reader of its text gets.
            price=(np.where(buy, ask, bid) / per_dollar)[back],
            size=(lots / LOTS_PER_UNIT)[back],
            buy=buy[back],
            bid=(bid / per_dollar)[back],
            ask=(ask / per_dollar)[back],
        )


def pattern(utc_s: float) -> float:
    """The volatility of a time of day over its mean: highest at 14:30 UTC, when New York opens.

    >>> round(pattern(14.5 * 3600), 3), round(pattern(2.5 * 3600), 3)
    (1.5, 0.5)
    """
    return 1 + 0.5 * math.cos((utc_s % DAY_S / DAY_S - 14.5 / 24) * 2 * math.pi)
