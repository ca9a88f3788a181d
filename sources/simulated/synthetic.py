"""What was traded before the exchange began: a pure function of the seed, the symbol and the minute.

Any part of it costs what that part takes to make, and all intervals and the trades agree with each other: a minute has
up to four trades, its bar is theirs, and longer bars are those of their minutes. One minute in thirty-two is quiet, so
is most of one hour in sixty-four and all of one in 512: a bar without a trade is not there.
"""

import math
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from market.intervals import MINUTE_NS, Interval
from sources.simulated.klines import Floats, Ints, Klines, added, joined
from sources.simulated.listing import Instrument, Session, is_open
from sources.simulated.prices import NOTIONAL_MEDIAN

FIRST_DAY: Final = date(2005, 1, 1)
"""When the symbols were listed: there is nothing before."""
PRINT: Final = np.dtype([("time", "<i8"), ("price", "<f8"), ("size", "<f8"), ("side", "i1")])
"""A trade before the exchange began, which has no id: ns since 1970 UTC, dollars, units, and 1 if the buyer was the
aggressor, else -1."""
LISTED_NS: Final = (FIRST_DAY - date(1970, 1, 1)).days * 86_400 * 10**9

_LAST_DAY: Final = date(2050, 1, 1)
_FIRST: Final = (FIRST_DAY - date(1970, 1, 1)).days
_DAYS: Final = (_LAST_DAY - FIRST_DAY).days
_DAY: Final = 1440
_DAY_NS: Final = _DAY * MINUTE_NS
_BAND: Final = math.log(2)
"""The price stays between half and double of what it is listed at."""
_SMALLEST_LOT: Final = 2.0**-8
_AT_ONCE: Final = 32
"""Days made at a time: what they need stays in the processor's cache."""
_TRADES: Final = np.array([1, 2, 3, 4, 4, 4, 4, 4], np.int32)
_QUIET: Final = 8
"""Of 256 minutes, in an ordinary hour."""
_DROWSY: Final = 224


class _Days(NamedTuple):
    """Minutes of consecutive days, one row a day and one column a minute."""

    prices: tuple[NDArray[np.int32], ...]
    """Steps, of the four trades that a minute may have; a missing one repeats the first."""
    lots: tuple[NDArray[np.int32], ...]
    """0 for a missing trade."""
    trades: NDArray[np.int32]
    """Trades in the minute; 0 in a quiet one."""
    raw: NDArray[np.uint64]


class SyntheticHistory:
    """The past of all symbols. Safe for threads: it keeps nothing but the daily prices, which never change."""

    def __init__(self, seed: int) -> None:
        """Of the exchange with this seed.

        Args:
            seed: Of the exchange.
        """
        self._seed = seed
        self._levels = lru_cache(maxsize=64)(self._make_levels)
        self._daily = lru_cache(maxsize=4096)(self._make_daily)

    def bars(self, instrument: Instrument, interval: Interval, start: int, end: int) -> Klines:
        """Bars that start in `[start, end)` and whose interval is 1d or shorter.

        Args:
            instrument: Whose.
            interval: 1m to 4h, or 1d.
            start: ns.
            end: ns; a bar that starts before it is whole.
        """
        if interval is Interval.D1:
            # A daily bar costs its 1,440 minutes, and is asked for again and again.
            first, after = (max(start, LISTED_NS) // _DAY_NS - _FIRST) // _AT_ONCE, -(-end // _DAY_NS) - _FIRST
            parts = [self._daily(instrument, place) for place in range(first, -(-min(after, _DAYS) // _AT_ONCE))]
        else:
            parts = [
                _bars_of(self._days(instrument, first, count), instrument, interval, first)
                for first, count in _spans(start, end)
            ]
        return joined(parts).between(start, end)

    def trades(self, instrument: Instrument, start: int, end: int) -> NDArray[np.void]:
        """Trades in `[start, end)` (ns) as `PRINT` records, their times rising."""
        parts = [
            _prints_of(self._days(instrument, first, count), instrument, first) for first, count in _spans(start, end)
        ]
        every = np.concatenate(parts) if parts else np.empty(0, PRINT)
        first_row, last_row = np.searchsorted(every["time"], [start, end])
        return every[int(first_row) : int(last_row)]

    def price(self, instrument: Instrument, time_ns: int) -> float:
        """The last price before a whole minute, dollars, to go on from."""
        day = max(time_ns, LISTED_NS) // _DAY_NS
        minutes = self.bars(instrument, Interval.M1, day * _DAY_NS, time_ns)
        return float(minutes.close[-1] if len(minutes.close) else self._levels(instrument)[day - _FIRST])

    def _make_levels(self, instrument: Instrument) -> Floats:
        """The price at the beginning of each day: a random walk between two walls."""
        draws = self._bits(instrument, 1).random_raw(_DAYS + 2)
        # The sum of eight bytes is nearly normal, with a mean of 1,020 and a standard deviation of 209.
        normal = (draws.view(np.uint8).reshape(-1, 8).sum(axis=1, dtype=np.int64) - 1020) / 209
        walk = np.cumsum(normal) * (instrument.volatility / math.sqrt(365))
        # A walk between two walls is an unbounded one, folded.
        place = np.mod(walk + _BAND, 4 * _BAND)
        return np.asarray(instrument.price * np.exp(np.where(place > 2 * _BAND, 3 * _BAND - place, place - _BAND)))

    def _make_daily(self, instrument: Instrument, place: int) -> Klines:
        """Daily bars, as many as are made at a time."""
        first = _FIRST + place * _AT_ONCE
        return _bars_of(
            self._days(instrument, first, min(_AT_ONCE, _FIRST + _DAYS - first)), instrument, Interval.D1, first
        )

    def _bits(self, instrument: Instrument, stream: int) -> np.random.PCG64:
        """Random bits of a symbol, of which any are reached in a few steps; numpy promises the same ones for good."""
        return np.random.PCG64(np.random.SeedSequence([self._seed, crc32(str(instrument.symbol).encode()), stream]))

    def _days(self, instrument: Instrument, first: int, count: int) -> _Days:
        """Make `count` days from `first` (days since 1970)."""
        place = first - _FIRST
        bits = self._bits(instrument, 2)
        bits.advance(place * _DAY)
        raw = bits.random_raw(count * _DAY).reshape(count, _DAY)
        levels = self._levels(instrument)[place : place + count + 1]
        per_dollar = 10.0**instrument.decimals

        # Sixteen bits at a time, which are quicker to work with than sixty-four.
        step, shape, some, more = (
            np.ascontiguousarray(part).astype(np.int32)
            for part in np.moveaxis(raw.astype("<u8").view("<u2").reshape(count, _DAY, 4), 2, 0)
        )
        # The path within the day: a bridge from the day's first price to the next one's.
        per_step = instrument.volatility / math.sqrt(365 * _DAY) * math.sqrt(3) / 32767.5
        walk = np.zeros((count, _DAY + 1))
        np.cumsum((step - 32767.5) * per_step, axis=1, out=walk[:, 1:])
        ramp = np.arange(_DAY + 1) / _DAY
        opening = levels[:-1, None]
        walk = opening * (1 + walk - walk[:, -1:] * ramp) + (levels[1:, None] - opening) * ramp
        path = np.maximum(np.rint(walk * per_dollar), 1.0).astype(np.int32)

        trades = _TRADES[shape & 7]
        trades[(some >> 12 | (more & 15) << 4) < self._quiet(instrument, first, count)] = 0
        begin = path[:, :-1]
        end = np.where(trades == 1, begin, path[:, 1:])
        wick = np.int32(max(1, round(instrument.price * per_dollar * 0.00002)))
        above = np.maximum(begin, end) + (shape >> 3 & 15) * wick
        below = np.maximum(np.minimum(begin, end) - (shape >> 7 & 15) * wick, 1)
        up = (shape >> 11 & 1).astype(np.bool_)
        heavy = (shape >> 12 & 3) * (shape >> 14 & 3)
        three, four = trades >= 3, trades == 4
        return _Days(
            prices=(
                begin,
                np.where(three, np.where(up, above, below), begin),
                np.where(four, np.where(up, below, above), begin),
                end,
            ),
            lots=(
                (1 + (some & 63) << heavy) * (trades >= 1),
                (1 + (some >> 6 & 63) << heavy) * three,
                (1 + (more >> 4 & 63) << heavy) * four,
                (1 + (more >> 10) << heavy) * (trades >= 2),
            ),
            trades=trades,
            raw=raw,
        )

    def _quiet(self, instrument: Instrument, first: int, count: int) -> Ints:
        """Of 256 minutes, how many are quiet: by minute."""
        bits = self._bits(instrument, 3)
        bits.advance((first - _FIRST) * 24)
        raw = bits.random_raw(count * 24)
        hours = np.where(raw & 511 == 0, 256, np.where(raw >> 16 & 63 == 0, _DROWSY, _QUIET)).astype(np.int64)
        minutes = np.repeat(hours, 60)
        if instrument.session is not None:
            minutes[~_in_session(instrument.session, first, count)] = 256
        return minutes.reshape(count, _DAY)


def lot(instrument: Instrument) -> float:
    """Units in a lot: a power of two, so that sums of sizes are exact in whatever order."""
    return float(max(_SMALLEST_LOT, 2.0 ** math.floor(math.log2(NOTIONAL_MEDIAN / instrument.price / 64))))


def _spans(start: int, end: int) -> list[tuple[int, int]]:
    """(first day, count) of the days that a span touches, a few at a time."""
    first = max(start // _DAY_NS, _FIRST)
    after = min(-(-end // _DAY_NS), _FIRST + _DAYS)
    return [(day, min(_AT_ONCE, after - day)) for day in range(first, after, _AT_ONCE)]


def _bars_of(days: _Days, instrument: Instrument, interval: Interval, first: int) -> Klines:
    """Bars of whole days, by blocks of equal length."""
    per_dollar = 10.0**instrument.decimals
    units = lot(instrument)
    first_price, second, third, last_price = days.prices
    high = np.maximum(np.maximum(first_price, second), np.maximum(third, last_price))
    low = np.minimum(np.minimum(first_price, second), np.minimum(third, last_price))
    lots = (days.lots[0] + days.lots[1]) + (days.lots[2] + days.lots[3])
    # In the order of the trades, as whoever sums them up does; what is missing adds a zero.
    notional: Floats = (first_price / per_dollar) * (days.lots[0] * units)
    for prices, parts in zip(days.prices[1:], days.lots[1:], strict=True):
        notional += (prices / per_dollar) * (parts * units)

    length = interval.minutes or _DAY
    blocks = days.trades.size // length
    traded = (days.trades > 0).reshape(blocks, length)
    busy = np.flatnonzero(traded.any(axis=1))
    traded = traded[busy]
    rows = np.arange(len(busy))
    opening = traded.argmax(axis=1)
    closing = length - 1 - traded[:, ::-1].argmax(axis=1)

    def block(column: NDArray[np.int32]) -> NDArray[np.int32]:
        return column.reshape(blocks, length)[busy]

    place = np.repeat(rows, length)
    return Klines(
        start=first * _DAY_NS + busy * (length * MINUTE_NS),
        open=block(first_price)[rows, opening] / per_dollar,
        high=np.where(traded, block(high), -1).max(axis=1) / per_dollar,
        low=np.where(traded, block(low), np.iinfo(low.dtype).max).min(axis=1) / per_dollar,
        close=block(last_price)[rows, closing] / per_dollar,
        volume=block(lots).sum(axis=1) * units,
        notional=added(place, notional.reshape(blocks, length)[busy].ravel(), len(busy)),
        trades=block(days.trades).sum(axis=1),
    )


def _prints_of(days: _Days, instrument: Instrument, first: int) -> NDArray[np.void]:
    """Trades of whole days."""
    per_dollar = 10.0**instrument.decimals
    # One column a trade of the minute, so that rows run in the order of time.
    lots = np.stack([part.ravel() for part in days.lots], axis=1)
    present = lots > 0
    minutes = first * _DAY_NS + np.arange(len(lots))[:, None] * MINUTE_NS
    raw = days.raw.ravel()[:, None]
    # Each in its quarter of the minute, at a whole microsecond.
    within = (raw >> np.array([0, 8, 24, 40], np.uint64) & 0xFFF).astype(np.int64) * (15_000_000_000 // 4096)
    times = minutes + np.arange(4) * 15_000_000_000 + within // 1000 * 1000
    prices = np.stack([part.ravel() for part in days.prices], axis=1)
    found = np.empty(int(present.sum()), PRINT)
    found["time"] = times[present]
    found["price"] = prices[present] / per_dollar
    found["size"] = lots[present] * lot(instrument)
    found["side"] = np.where(raw >> np.array([32, 38, 52, 58], np.uint64) & 1, 1, -1)[present]
    return found


def _in_session(session: Session, first: int, count: int) -> NDArray[np.bool_]:
    """Whether the symbol trades, by minute of consecutive days."""
    minutes = np.arange(_DAY)
    inside = np.array([is_open(session, (4 * _DAY + minute) * 60) for minute in minutes.tolist()])
    weekday = (first + np.arange(count) + 3) % 7 < 5
    found: NDArray[np.bool_] = (weekday[:, None] & inside[None, :]).ravel()
    return found
