"""What may be asked for: the rules that every request for history is held against before any provider is called."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from history.moments import iso
from market.errors import DeskError
from market.intervals import Interval
from market.sessions import FIRST_DAY, ROUND_THE_CLOCK, calendar_name
from market.symbols import Symbol

if TYPE_CHECKING:
    from history.desk import HistoryDesk

COUNT_DEFAULT: Final = 500
"""Bars of a request that says neither a count nor a start."""
COUNT_MAX: Final = 1_000_000
"""What is more than this is a backfill's: it goes on where it was stopped."""

FIRST_COIN: Final = date(2009, 1, 3)
FIRST_DAYS: Final[Mapping[str, date]] = {
    "SIM": date(2005, 1, 1),
    "KRAKEN": date(2013, 1, 1),
    "COINBASE": date(2014, 1, 1),
    "BINANCE": date(2017, 7, 1),
    "OKX": date(2013, 1, 1),
}
"""A day before which nothing of a venue is to be had, rather too early than too late: none of its history is refused.
Others that never close: the day of the first coin. Exchanges with sessions: as far back as calendars go."""


class WrongRequest(DeskError):  # noqa: N818  # The user's mistake, not a defect.
    """What was asked for cannot be: nothing was called, and nothing written."""


def check_request(
    desk: "HistoryDesk",
    symbols: Iterable[Symbol],
    interval: Interval,
    *,
    start: int | None = None,
    end: int | None = None,
    count: int | None = None,
    provider: str | None = None,
) -> list[Symbol]:
    """The symbols, each once, in their order.

    Args:
        desk: Whose clock and settings decide.
        symbols: Whose bars.
        interval: Their length.
        start: ns; bars that start at this moment or later.
        end: ns; bars that start before this moment; None is now.
        count: The newest so many before the end.
        provider: Its name.

    Raises:
        WrongRequest: Says which rule the request breaks, with the value, and what to ask for instead.
    """
    found = list(dict.fromkeys(symbols))
    if not found:
        msg = "no symbol was named: name one, such as KRAKEN:BTCUSD"
        raise WrongRequest(msg)
    _check_span(interval, start, end, count, desk.now_ns())
    _check_provider(desk, provider)
    for symbol in found:
        try:
            calendar_name(symbol)
        except DeskError as error:
            raise WrongRequest(str(error)) from error
        _check_venue(symbol, start, end)
    return found


def first_day(symbol: Symbol) -> date:
    """A day before which nothing of a symbol's venue is to be had."""
    named = FIRST_DAYS.get(symbol.exchange)
    if named is not None:
        return named
    return FIRST_COIN if calendar_name(symbol) == ROUND_THE_CLOCK else FIRST_DAY


def _check_span(interval: Interval, start: int | None, end: int | None, count: int | None, now: int) -> None:
    if start is not None and count is not None:
        msg = f"a start ({iso(start)}) and a count ({count}) of {interval} bars were both given: give one of them"
        raise WrongRequest(msg)
    if start is not None and end is not None and end <= start:
        msg = f"the end {iso(end)} is not after the start {iso(start)}: give a later end"
        raise WrongRequest(msg)
    if start is not None and start >= now:
        msg = f"the start {iso(start)} is not before now ({iso(now)}): there is no history of it yet"
        raise WrongRequest(msg)
    if count is not None and not 1 <= count <= COUNT_MAX:
        msg = f"the count is {count}, and must be 1 to {COUNT_MAX:,}: `pq backfill` fetches more, by --start"
        raise WrongRequest(msg)


def _check_provider(desk: "HistoryDesk", provider: str | None) -> None:
    known = type(desk.settings.providers).model_fields
    if provider is not None and provider not in known:
        msg = f"no provider {provider!r}: the providers are {' '.join(known)}"
        raise WrongRequest(msg)


def _check_venue(symbol: Symbol, start: int | None, end: int | None) -> None:
    day = first_day(symbol)
    opened = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 10**9
    for word, moment in (("start", start), ("end", end)):
        if moment is not None and moment < opened:
            msg = (
                f"{symbol}: the {word} {iso(moment)} is before there was anything to trade at {symbol.exchange}: "
                f"give {day} or later"
            )
            raise WrongRequest(msg)
