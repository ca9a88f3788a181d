"""The exchange's past: what was made up for the time before it began, and its own trades since then."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from market.errors import DeskError
from market.intervals import MINUTE_NS, Interval
from sources.simulated.klines import Klines, ends_of, fold, joined, longer, starts_of
from sources.simulated.listing import Instrument
from sources.simulated.official_bars import bucket
from sources.simulated.synthetic import LISTED_NS, SyntheticHistory
from sources.simulated.truth import TruthLog

INTERVALS: Final = (Interval.M1, Interval.M5, Interval.H1, Interval.D1)
"""What the exchange has bars of; whoever wants others builds them."""
NO_ID: Final = -1
_PRICED_MAX: Final = 100
"""Symbols whose last price of the past is worked out, a millisecond each, before the exchange opens."""
_LOOKS: Final = 30
"""Stretches of a page's length that are looked through for one page: where hardly anything was traded, it is short."""

TRADE: Final = np.dtype([("trade_id", "<i8"), ("time", "<i8"), ("price", "<f8"), ("size", "<f8"), ("side", "i1")])
"""A trade of the past: id (-1 before the exchange began), ns since 1970 UTC, dollars, units, 1 if the buyer was the
aggressor, else -1."""


class BarPage(NamedTuple):
    """Bars of one answer."""

    bars: Klines
    """In order of start."""
    start: int
    """ns; the page has all bars that start in `[start, end)`."""
    end: int
    more: bool
    """Whether the request goes on beyond it."""


class TradePage(NamedTuple):
    """Trades of one answer."""

    trades: NDArray[np.void]
    """`TRADE` records in order of time."""
    next: tuple[int, int] | None
    """(time, trades of that time that were given): where the next page begins; None after the last."""


class Forgotten(DeskError):  # noqa: N818  # A fact, not a defect.
    """The exchange no longer knows these trades."""


class History:
    """Bars and trades of any time. What it reads is only ever added to, so it is safe for threads.

    Bars go by the time that the trades' frames showed, and their sums are left folds of the trades, minute by minute:
    whoever builds bars from all the trades in order gets the same to the last bit.
    """

    def __init__(self, instruments: Sequence[Instrument], truth: TruthLog, seed: int, began_ns: int) -> None:
        """The past of an exchange.

        Args:
            instruments: What it lists.
            truth: Its trades.
            seed: Of what was before.
            began_ns: When it began to trade.
        """
        self._instruments = {str(instrument.symbol): instrument for instrument in instruments}
        self._truth = truth
        self._synthetic = SyntheticHistory(seed)
        self.began_ns = began_ns // MINUTE_NS * MINUTE_NS
        """The first minute of its own trades."""

    def instrument(self, name: str) -> Instrument | None:
        """What it lists under a name such as `SIM:BTCUSD`."""
        return self._instruments.get(name)

    def opening_prices(self) -> list[float]:
        """What each symbol cost when the exchange began; of many symbols, what it is listed at."""
        listed = self._instruments.values()
        if len(listed) > _PRICED_MAX:
            return [instrument.price for instrument in listed]
        return [self._synthetic.price(instrument, self.began_ns) for instrument in listed]

    def bars(self, instrument: Instrument, interval: Interval, start: int, end: int) -> Klines:
        """Bars of any interval that start in `[start, end)`; the last is as far as it has been traded.

        Args:
            instrument: Whose.
            interval: Any of the thirteen.
            start: ns.
            end: ns.
        """
        if end <= start:
            return Klines.none()
        by_minutes = not interval.intraday and interval is not Interval.D1
        # The bar in which the exchange began has both in it.
        seam = LISTED_NS if by_minutes else bucket(self.began_ns, interval)[0]
        parts = []
        if start < seam:
            parts.append(self._synthetic.bars(instrument, interval, start, min(end, seam)))
        if end > seam:
            first = bucket(max(start, seam), interval)[0]
            minutes = self._minutes(instrument, first, bucket(end - 1, interval)[1])
            parts.append(longer(minutes, interval).between(start, end))
        return joined(parts)

    def page(self, instrument: Instrument, interval: Interval, start: int, end: int, limit: int) -> BarPage:
        """The oldest `limit` bars that start in `[start, end)`."""
        found: list[Klines] = []
        count, at = 0, start
        for _ in range(_LOOKS):
            if at >= end or count >= limit:
                break
            upto = min(end, _after(at, interval, limit))
            found.append(self.bars(instrument, interval, at, upto))
            count, at = count + len(found[-1].start), upto
        bars = joined(found)
        if count > limit:
            at = int(bars.start[limit])
            bars = bars.take(slice(limit))
        return BarPage(bars, start, at, at < end)

    def page_back(self, instrument: Instrument, interval: Interval, start: int, end: int, limit: int) -> BarPage:
        """The newest `limit` bars that start in `[start, end)`."""
        found: list[Klines] = []
        count, at = 0, end
        for _ in range(_LOOKS):
            if at <= start or count >= limit:
                break
            since = max(start, _before(at, interval, limit))
            found.insert(0, self.bars(instrument, interval, since, at))
            count, at = count + len(found[0].start), since
        bars = joined(found)
        if count > limit:
            bars = bars.take(slice(count - limit, None))
            at = int(bars.start[0])
        return BarPage(bars, at, end, at > start)

    def trades(self, instrument: Instrument, start: int, skip: int, end: int, limit: int) -> TradePage:
        """The oldest `limit` trades in `[start, end)`, without the first `skip` of those at `start`.

        Raises:
            Forgotten: It no longer knows them.
        """
        found: list[NDArray[np.void]] = []
        count, at = -skip, start
        for _ in range(_LOOKS):
            if at >= end or count > limit:
                break
            upto = min(end, (at // MINUTE_NS + max(2, limit // 100)) * MINUTE_NS)
            found.append(self.all_trades(instrument, at, upto))
            count, at = count + len(found[-1]), upto
        every = (np.concatenate(found) if found else np.empty(0, TRADE))[skip:]
        if len(every) <= limit:
            return TradePage(every, (at, 0) if at < end else None)
        time = int(every["time"][limit])
        given = int((every["time"][:limit] == time).sum())
        return TradePage(every[:limit], (time, given + skip if time == start else given))

    def trades_after(self, instrument: Instrument, after_id: int, limit: int) -> NDArray[np.void]:
        """The first `limit` trades with an id above `after_id`, in order of id: `TRADE` records.

        Raises:
            Forgotten: It no longer knows them.
        """
        made = self._truth.ticks(self._truth.index[str(instrument.symbol)], after_id, limit)
        oldest = self._truth.oldest_ns
        if oldest is not None and len(made) and int(made["trade_id"][0]) > after_id + 1:
            msg = f"{instrument.symbol}: trades before id {int(made['trade_id'][0])} are forgotten; ask for bars"
            raise Forgotten(msg)
        return _as_trades(made)

    def all_trades(self, instrument: Instrument, start: int, end: int) -> NDArray[np.void]:
        """Trades in `[start, end)` (ns) as `TRADE` records.

        Raises:
            Forgotten: It no longer knows some of them.
        """
        made = self._made(instrument, max(start, self.began_ns), end)
        # Asked last, since trades may be dropped while this reads.
        oldest = self._truth.oldest_ns
        if oldest is not None and start < oldest and end > self.began_ns:
            first, last = (np.datetime64(time, "ns").astype("M8[s]") for time in (self.began_ns, oldest))
            msg = f"{instrument.symbol}: trades from {first}Z to {last}Z are forgotten; ask for bars"
            raise Forgotten(msg)
        old = self._synthetic.trades(instrument, start, min(end, self.began_ns))
        found = np.empty(len(old), TRADE)
        found["trade_id"] = NO_ID
        for name in ("time", "price", "size", "side"):
            found[name] = old[name]
        return np.concatenate([found, _as_trades(made)])

    def _minutes(self, instrument: Instrument, start: int, end: int) -> Klines:
        """One-minute bars that start in `[start, end)`, both whole minutes."""
        parts = []
        if start < self.began_ns:
            parts.append(self._synthetic.bars(instrument, Interval.M1, start, min(end, self.began_ns)))
        if end > self.began_ns:
            parts.append(self._own_minutes(instrument, max(start, self.began_ns), end))
        return joined(parts)

    def _own_minutes(self, instrument: Instrument, start: int, end: int) -> Klines:
        code = self._truth.index[str(instrument.symbol)]
        while True:
            first = self._truth.first_position
            forgotten = self._truth.forgotten.minutes(code, start, end)
            made = self._made(instrument, start, end)
            # Trades may be summed up and dropped while this reads.
            if first == self._truth.first_position:
                break
        own = Klines.of_trades(made["stamp"].copy(), made["price"].copy(), made["size"].copy())
        every = joined([forgotten, own])
        if not len(every.start):
            return every
        minutes = starts_of(every.start, Interval.M1)
        order = np.argsort(minutes, kind="stable")
        return fold(every.take(order), minutes[order])

    def _made(self, instrument: Instrument, start: int, end: int) -> NDArray[np.void]:
        """`MADE` records with a stamp in `[start, end)`, in order of it."""
        made = self._truth.between(self._truth.index[str(instrument.symbol)], start, end, "stamp")
        return made[np.argsort(made["stamp"], kind="stable")]


def last_end(bars: Klines, interval: Interval) -> int:
    """End of the last of at least one bar, ns."""
    return int(ends_of(bars.start[-1:], interval)[0])


def _as_trades(made: NDArray[np.void]) -> NDArray[np.void]:
    found = np.empty(len(made), TRADE)
    found["time"] = made["stamp"]
    for name in ("trade_id", "price", "size", "side"):
        found[name] = made[name]
    return found


def _after(time_ns: int, interval: Interval, count: int) -> int:
    """Start of a bar about `count` bars later."""
    return bucket(bucket(time_ns, interval)[0] + count * _length(interval), interval)[0]


def _before(time_ns: int, interval: Interval, count: int) -> int:
    return bucket(time_ns - count * _length(interval), interval)[0]


def _length(interval: Interval) -> int:
    return (interval.minutes or {Interval.D1: 1440, Interval.W1: 10_080}.get(interval, 44_640)) * MINUTE_NS
