"""Session calendars: which `[start, end)` a moment belongs to, for every interval of every exchange.

Round-the-clock venues are a calendar like the others, with one session per UTC day, so there is one rule for all.
A calendar is arrays, built once; nothing here is computed per tick.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from market.errors import DeskError
from market.intervals import MINUTE_NS, MINUTES, Interval
from market.symbols import Symbol

Minutes = NDArray[np.int64]

FIRST_DAY: Final = date(1990, 1, 1)
LAST_DAY: Final = date(2049, 12, 31)
"""Calendars reach from `FIRST_DAY` to here, or as far as the library knows an exchange's holidays. Fixed, so that a
calendar never depends on the day it was built."""

ROUND_THE_CLOCK: Final = "24/7"
ROUND_THE_WEEK: Final = "24/5"

_CALENDARS: Final = {
    # Venues that never close, aligned to UTC. SIM is the simulated exchange.
    ROUND_THE_CLOCK: """
        SIM KRAKEN COINBASE BINANCE BINANCEUS OKX BYBIT BITSTAMP GEMINI BITFINEX BITMEX DERIBIT HUOBI KUCOIN MEXC
        GATEIO BITGET CRYPTO CRYPTOCAP POLONIEX HYPERLIQUID
    """,
    # Currencies trade from Monday to Friday.
    ROUND_THE_WEEK: "FX FX_IDC FOREXCOM OANDA SAXO PEPPERSTONE ICMARKETS CAPITALCOM EIGHTCAP",
    # The exchanges of the United States keep one calendar.
    "XNYS": "NASDAQ NYSE AMEX ARCA NYSEARCA BATS CBOE IEX OTC SP DJ",
    "CMES": "CME CME_MINI CBOT CBOT_MINI NYMEX NYMEX_MINI COMEX COMEX_MINI",
    "XLON": "LSE",
    "XETR": "XETR",
    "XFRA": "FWB",
    "XPAR": "EURONEXT",
    "XMIL": "MIL",
    "XMAD": "BME",
    "XSWX": "SIX",
    "XWBO": "VIE",
    "XWAR": "GPW",
    "XSTO": "OMXSTO",
    "XCSE": "OMXCOP",
    "XHEL": "OMXHEX",
    "XOSL": "OSL",
    "XTSE": "TSX TSXV",
    "BVMF": "BMFBOVESPA",
    "XMEX": "BMV",
    "XTKS": "TSE",
    "XHKG": "HKEX",
    "XSHG": "SSE SZSE",
    "XKRX": "KRX",
    "XTAI": "TWSE",
    "XSES": "SGX",
    "XASX": "ASX",
    "XNZE": "NZX",
    # Mumbai's two exchanges keep the same sessions and holidays.
    "XBOM": "NSE BSE",
    "XJSE": "JSE",
    "XSAU": "TADAWUL",
}
EXCHANGES: Final = {exchange: name for name, exchanges in _CALENDARS.items() for exchange in exchanges.split()}
"""Calendar of each exchange: `24/7`, `24/5`, or a code of the `exchange_calendars` package."""

_EXTENDED: Final = {"XNYS": (5 * 60 + 30, 4 * 60)}
"""Extended hours by calendar: minutes before the open (04:00 New York) and after the close (20:00, half days 17:00)."""


class UnknownExchangeError(DeskError):
    """An exchange without a calendar: it is never taken to trade round the clock."""


@dataclass(frozen=True, slots=True, eq=False)
class Calendar:
    """The sessions of one class of symbols, in order: arrays of equal length, in minutes since 1970 UTC.

    A day with a lunch break is two entries with the same day. Bounds are half open.
    """

    name: str
    """`24/7`, `24/5`, `XNYS`, `XNYS+extended`."""

    open: Minutes
    """First minute in which trades enter bars; intraday bars restart here."""
    close: Minutes
    """End of the session; the last intraday bars are cut here."""
    day: Minutes
    """The session's date by the exchange's own reckoning, in *days* since 1970."""
    day_start: Minutes
    day_end: Minutes
    """Bounds of the daily bar: first open to last close of the day."""
    week_start: Minutes
    week_end: Minutes
    """Bounds of the weekly bar: first open to last close of the week from Monday to Sunday."""
    month_start: Minutes
    month_end: Minutes
    """Bounds of the monthly bar."""

    def session_at(self, minute: int) -> int | None:
        """Index of the session that holds the minute, `None` between sessions."""
        place = int(np.searchsorted(self.open, minute, side="right")) - 1
        return place if place >= 0 and minute < self.close[place] else None

    def bounds(self, interval: Interval, minute: int) -> tuple[int, int] | None:
        """`[start, end)` in minutes of the bar that holds the minute, `None` between sessions.

        >>> day = 1440
        >>> calendar("24/7").bounds(Interval.M45, 10_000 * day + 50) == (10_000 * day + 45, 10_000 * day + 90)
        True
        """
        place = self.session_at(minute)
        if place is None:
            return None
        if interval is Interval.D1:
            return int(self.day_start[place]), int(self.day_end[place])
        if interval is Interval.W1:
            return int(self.week_start[place]), int(self.week_end[place])
        if interval is Interval.MO1:
            return int(self.month_start[place]), int(self.month_end[place])
        length = MINUTES[interval]
        first = int(self.open[place])
        start = first + (minute - first) // length * length
        return start, min(start + length, int(self.close[place]))

    def bounds_of_date(self, interval: Interval, day: date) -> tuple[int, int] | None:
        """`[start, end)` in minutes of the daily, weekly or monthly bar of a date; `None` on a day without a session.

        What a date alone in a file of daily bars means. A week or month is found by any of its session days.
        """
        days = (day - date(1970, 1, 1)).days
        place = int(np.searchsorted(self.day, days, side="left"))
        if place == len(self.day) or self.day[place] != days:
            return None
        return self.bounds(interval, int(self.open[place]))


def calendar_name(symbol: Symbol, *, extended: bool = False) -> str:
    """Name of the symbol's calendar.

    Raises:
        UnknownExchangeError: The map does not hold the exchange.
        DeskError: Extended hours are asked for where none are known.
    """
    name = EXCHANGES.get(symbol.exchange)
    if name is None:
        msg = (
            f"exchange {symbol.exchange} of {symbol} has no session calendar; "
            "add it to market/sessions.py with 24/7, 24/5 or a code of exchange_calendars"
        )
        raise UnknownExchangeError(msg)
    if not extended or name in {ROUND_THE_CLOCK, ROUND_THE_WEEK}:
        return name
    if name not in _EXTENDED:
        msg = f"{symbol} has no extended hours: they are known for calendar {' '.join(_EXTENDED)}, this one is {name}"
        raise DeskError(msg)
    return f"{name}+extended"


def calendar_for(symbol: Symbol, *, extended: bool = False) -> Calendar:
    """The symbol's calendar; raises as `calendar_name` does."""
    return calendar(calendar_name(symbol, extended=extended))


def bounds(symbol: Symbol, interval: Interval, time_ns: int, *, extended: bool = False) -> tuple[int, int] | None:
    """`[start, end)` in ns of the symbol's bar that holds a moment, `None` outside its sessions.

    >>> bounds(Symbol("KRAKEN", "BTCUSD"), Interval.H4, 5 * 3600 * 10**9) == (4 * 3600 * 10**9, 8 * 3600 * 10**9)
    False
    >>> bounds(Symbol("KRAKEN", "BTCUSD"), Interval.H1, 1_561_939_203 * 10**9)
    (1561939200000000000, 1561942800000000000)
    """
    found = calendar_for(symbol, extended=extended).bounds(interval, time_ns // MINUTE_NS)
    return None if found is None else (found[0] * MINUTE_NS, found[1] * MINUTE_NS)


@cache
def calendar(name: str) -> Calendar:
    """Build a calendar by the name that `calendar_name` gives."""
    if name == ROUND_THE_CLOCK:
        days = _days(FIRST_DAY, LAST_DAY)
        return _grouped(name, days * 1440, days * 1440 + 1440, days)
    base, _, extended = name.partition("+")
    opens, closes, days = _weekdays() if base == ROUND_THE_WEEK else _sessions(base)
    if extended:
        before, after = _EXTENDED[base]
        opens, closes = opens - before, closes + after
    return _grouped(name, opens, closes, days)


Schedule = tuple[Minutes, Minutes, Minutes]
"""Sub-sessions of an exchange, in order: opens and closes (minutes since 1970) and dates (days)."""

_kept: Callable[[str, Callable[[], Schedule]], Schedule] | None = None


def keep_schedules(keep: Callable[[str, Callable[[], Schedule]], Schedule] | None) -> None:
    """Have the schedules of exchanges asked from a place that remembers them.

    Building one takes half a second, most of it the import of its library: more than a command that reads may take.

    Args:
        keep: Given an exchange's code and what builds its schedule; returns the schedule. None builds it each time.
    """
    global _kept  # noqa: PLW0603  # Where they are kept is for the process to say, once, at its start.
    _kept = keep


def _days(first: date, last: date) -> Minutes:
    epoch = date(1970, 1, 1)
    return np.arange((first - epoch).days, (last + timedelta(days=1) - epoch).days, dtype=np.int64)


def _weekdays() -> Schedule:
    days = _days(FIRST_DAY, LAST_DAY)
    days = days[(days + 3) % 7 < 5]  # 1970-01-01 was a Thursday, so day -3 was a Monday.
    return days * 1440, days * 1440 + 1440, days


def _sessions(code: str) -> Schedule:
    return _built(code) if _kept is None else _kept(code, partial(_built, code))


def _built(code: str) -> Schedule:
    # Half a second of pandas, which only processes that build bars of such an exchange should pay.
    import exchange_calendars
    import pandas as pd

    limits = type(exchange_calendars.get_calendar(code))
    first = max(pd.Timestamp(FIRST_DAY), limits.bound_min() or pd.Timestamp(FIRST_DAY))
    last = min(pd.Timestamp(LAST_DAY), limits.bound_max() or pd.Timestamp(LAST_DAY))
    schedule = exchange_calendars.get_calendar(code, start=first, end=last).schedule

    def minutes(column: str) -> Minutes:
        stamps = pd.DatetimeIndex(schedule[column]).tz_localize(None).to_numpy()
        return np.asarray(stamps.astype("datetime64[m]").astype(np.int64))

    days = np.asarray(schedule.index.to_numpy().astype("datetime64[D]").astype(np.int64))
    opens, closes = minutes("open"), minutes("close")
    lunch = np.asarray(schedule["break_start"].notna())
    if not lunch.any():
        return opens, closes, days
    starts = np.concatenate([opens, minutes("break_end")[lunch]])
    ends = np.concatenate([np.where(lunch, minutes("break_start"), closes), closes[lunch]])
    dates = np.concatenate([days, days[lunch]])
    order = np.argsort(starts, kind="stable")
    return starts[order], ends[order], dates[order]


def _grouped(name: str, opens: Minutes, closes: Minutes, days: Minutes) -> Calendar:
    """Add the bounds of days, weeks and months: each holds the sessions in it, from first open to last close."""
    weeks = (days + 3) // 7
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    columns = [opens, closes, days]
    for group in (days, weeks, months):
        _, first, place, count = np.unique(group, return_index=True, return_inverse=True, return_counts=True)
        columns += [opens[first][place], closes[first + count - 1][place]]
    for column in columns:
        column.setflags(write=False)
    return Calendar(name, *columns)
