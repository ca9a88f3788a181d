"""What providers of US stocks share: tickers, New York's days, the regular session cut out of the whole day."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from market.intervals import MINUTE_NS, Interval
from market.sessions import EXCHANGES, Calendar, calendar_for
from market.symbols import Symbol
from sources.history.delayed import unsettled_from
from sources.history.provider import NotOffered
from sources.history.request import BarRequest, venue_name
from sources.history.rows import Row

DELAY_NS: Final = 16 * MINUTE_NS
"""The tape of all exchanges is free after fifteen minutes; the sixteenth is for clocks that differ."""

WITHIN_THE_SESSION: Final = (Interval.M1, Interval.M3, Interval.M5, Interval.M15, Interval.M30)
"""Intraday intervals of bars that providers cut by the clock: a session that opens at 9:30 is cut the same way by
these, and not by an hour."""

_CALENDAR: Final = "XNYS"
_INDICES: Final = frozenset({"SP", "DJ"})


@cache
def _new_york() -> ZoneInfo:
    return ZoneInfo("America/New_York")


def us_ticker(symbol: Symbol, provider: str, venue: str) -> str:
    """The ticker as the provider spells it.

    Args:
        symbol: The share.
        provider: Its name, for the text.
        venue: Its spelling, as in `market.spelling`.

    Raises:
        NotOffered: It is no share of a US exchange.
    """
    if EXCHANGES.get(symbol.exchange) != _CALENDAR or symbol.exchange in _INDICES:
        msg = f"{provider} is asked for stocks of US exchanges only, and {symbol} is none; name another provider"
        raise NotOffered(msg)
    return venue_name(symbol, venue)


def new_york(time_ns: int) -> datetime:
    """A moment on New York's clock, to the second.

    >>> str(new_york(1_112_331_600 * 10**9))
    '2005-04-01 00:00:00-05:00'
    """
    return datetime.fromtimestamp(time_ns // 10**9, UTC).astimezone(_new_york())


def from_new_york(text: str) -> int:
    """Read `2024-03-08 09:30:00` on New York's clock, as ns.

    Raises:
        ValueError: The text is no date and time.

    >>> from_new_york("2024-03-08 09:30:00") == 1_709_908_200 * 10**9
    True
    """
    return int(datetime.fromisoformat(text).replace(tzinfo=_new_york()).timestamp()) * 10**9


def start_of(symbol: Symbol, interval: Interval, day: date) -> int:
    """Start (ns) of the daily, weekly or monthly bar of a date.

    A date without a session has none: its midnight in UTC is given, which starts no bar, and so is told as a bad row.
    """
    held = calendar_for(symbol).bounds_of_date(interval, day)
    if held is None:
        return (day - date(1970, 1, 1)) // timedelta(days=1) * 1440 * MINUTE_NS
    return held[0] * MINUTE_NS


def settled(request: BarRequest, rows: Sequence[Row], now_ns: int) -> list[Row]:
    """The rows of the regular session, of which those are not over that the delay has not passed.

    What is before the open and after the close is no bar of ours.
    """
    unsettled = unsettled_from(request.symbol, request.interval, now_ns - DELAY_NS)
    return [row if row.start < unsettled else row._replace(over=False) for row in _regular(request, rows)]


def _regular(request: BarRequest, rows: Sequence[Row]) -> Sequence[Row]:
    if not rows or not request.interval.intraday:
        return rows
    calendar: Calendar = calendar_for(request.symbol)
    minutes = np.fromiter((row.start // MINUTE_NS for row in rows), np.int64, len(rows))
    place = np.searchsorted(calendar.open, minutes, side="right") - 1
    inside = (place >= 0) & (minutes < calendar.close[place])
    return [row for row, kept in zip(rows, inside.tolist(), strict=True) if kept]
