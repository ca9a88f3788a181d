"""Official bars: what the exchange itself says a minute, an hour or a month was, from every trade it made."""

import math
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from market.intervals import MINUTE_NS, Interval

_DAY_NS: Final = 24 * 60 * MINUTE_NS
_EPOCH_WEEKDAY: Final = 3
"""1970-01-01 was a Thursday, three days after a Monday."""


def official_bars(ticks: NDArray[np.void], interval: Interval, clock: str = "event_time") -> list[dict[str, Any]]:
    """Bars of one symbol's trades, by a rule that can be read at a glance; the exchange never closes, days are UTC's.

    Open and close are the prices of the first and last trade by (`clock`, order made). Sums are correctly rounded, so
    that a consumer's left fold agrees to about 1e-12 of them.

    Args:
        ticks: `MADE` records of one symbol, in the order made.
        interval: Any of the thirteen.
        clock: `event_time`, or `stamp` for the bars by what the frames showed.

    Returns:
        In order of start: dicts of start, end (ns), open, high, low, close, volume, notional, trades.
    """
    ticks = ticks[np.argsort(ticks[clock], kind="stable")]
    bars: dict[int, list[int]] = {}
    for place, time_ns in enumerate(ticks[clock].tolist()):
        bars.setdefault(bucket(time_ns, interval)[0], []).append(place)
    return [_bar(start, interval, ticks[places]) for start, places in bars.items()]


def bucket(time_ns: int, interval: Interval) -> tuple[int, int]:
    """The [start, end) of the bar that a time falls into, ns.

    >>> bucket(1_000 * MINUTE_NS + 1, Interval.M45) == (990 * MINUTE_NS, 1_035 * MINUTE_NS)
    True
    """
    if interval.intraday:
        # Every intraday length divides the day.
        length = interval.minutes * MINUTE_NS
        start = time_ns // length * length
        return start, start + length
    day = time_ns // _DAY_NS
    if interval is Interval.D1:
        return day * _DAY_NS, (day + 1) * _DAY_NS
    if interval is Interval.W1:
        monday = day - (day + _EPOCH_WEEKDAY) % 7
        return monday * _DAY_NS, (monday + 7) * _DAY_NS
    date = datetime.fromtimestamp(day * 86_400, UTC)
    first = date.replace(day=1)
    after = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return int(first.timestamp()) * 10**9, int(after.timestamp()) * 10**9


def _bar(start: int, interval: Interval, ticks: NDArray[np.void]) -> dict[str, Any]:
    prices = ticks["price"].tolist()
    sizes = ticks["size"].tolist()
    return {
        "start": start,
        "end": bucket(start, interval)[1],
        "open": prices[0],
        "high": max(prices),
        "low": min(prices),
        "close": prices[-1],
        "volume": math.fsum(sizes),
        "notional": math.fsum(price * size for price, size in zip(prices, sizes, strict=True)),
        "trades": len(prices),
    }
