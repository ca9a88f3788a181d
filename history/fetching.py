"""History of one symbol from whoever has it: the first provider in order, and the next where that one fails."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from history.failover import Failover, Wanted
from history.fetched import Fetched, FetchedTrades, NobodyGave
from history.moments import iso
from history.order import ordered
from history.roster import Roster, roster
from market.errors import DeskError
from market.intervals import Interval
from market.sessions import calendar_for
from market.symbols import Symbol
from market.ticks import TICK
from sources.history.provider import NoKey, ProviderError, TradePage

if TYPE_CHECKING:
    from collections.abc import Callable

    from history.desk import HistoryDesk

    Say = Callable[[str], None]

__all__ = ["Fetched", "FetchedTrades", "NobodyGave", "fetch_bars", "fetch_trades"]

_MS: Final = 1_000_000
_NO_TICKS: Final = np.empty(0, TICK)


def fetch_bars(
    desk: "HistoryDesk",
    symbol: Symbol,
    interval: Interval,
    *,
    start: int | None = None,
    end: int | None = None,
    count: int | None = None,
    provider: str | None = None,
    say: "Say | None" = None,
) -> Iterator[Fetched]:
    """Bars of one symbol, lazily: abandoning the iterator makes no further call.

    Args:
        desk: Whose providers, quotas and clock they are.
        symbol: The instrument.
        interval: Any of the thirteen.
        start: ns; bars that start at this moment or later.
        end: ns; bars that start before this moment. None: now, with the bar that is not over yet; as is any later one.
        count: The newest so many before `end`. One of `start` and `count` is given. Fewer come where a symbol has no
            more, or where they have to be built and hardly anything traded.
        provider: Ask this one only; None asks those that `history.order` names, in order.
        say: Told, as a sentence, of each change of provider.

    Yields:
        Parts in the order in which they come, which is that of no clock.

    Raises:
        NobodyGave: Each provider refused or failed: says what each said.
        DeskError: The span is empty, the exchange has no calendar, or there is no such provider.
    """
    now = desk.now_ns()
    # Of what has not begun nothing can be said.
    stop = now if end is None else min(end, now)
    if (start is None) == (count is None):
        msg = f"history of {symbol}: give either a start or a count of bars"
        raise DeskError(msg)
    if start is not None and start >= stop:
        msg = f"history of {symbol} {interval}: the start {iso(start)} is not before the end {iso(stop)}"
        raise DeskError(msg)
    if count is not None and count < 1:
        msg = f"history of {symbol} {interval}: the count is {count}, and must be 1 or more"
        raise DeskError(msg)
    calendar = calendar_for(symbol)
    lender = roster(desk)
    names = _names(desk, lender, symbol, provider)
    wanted = Wanted(symbol, interval, calendar, start, stop, count, now)
    return Failover(desk, lender, wanted, say or _silence).run(names)


def fetch_trades(
    desk: "HistoryDesk",
    symbol: Symbol,
    start: int,
    end: int,
    provider: str | None = None,
    say: "Say | None" = None,
) -> Iterator[FetchedTrades]:
    """Trades of one symbol with `start <= event_time < end` (ns), oldest first, lazily.

    Where a provider fails, the next one goes on where it stopped.

    Args:
        desk: Whose providers, quotas and clock they are.
        symbol: The instrument.
        start: ns.
        end: ns.
        provider: Ask this one only; None asks those in order that have trades.
        say: Told, as a sentence, of each change of provider.

    Raises:
        NobodyGave: Nobody has the trades, or each that has them failed: says what each said.
        DeskError: The span is empty, or there is no such provider.
    """
    if start >= end:
        msg = f"trades of {symbol}: the start {iso(start)} is not before the end {iso(end)}"
        raise DeskError(msg)
    calendar_for(symbol)
    lender = roster(desk)
    names = _names(desk, lender, symbol, provider)
    names = [name for name in names if lender.terms(name).has_trades]
    return _trades(lender, symbol, start, end, names, say or _silence)


def _names(desk: "HistoryDesk", lender: Roster, symbol: Symbol, provider: str | None) -> list[str]:
    """Whom to ask, in order."""
    if provider is None:
        return [name for name in ordered(desk, symbol) if name in lender.offered]
    lender.terms(provider)
    return [provider]


def _silence(_: str) -> None:
    """Nobody listens."""


def _trades(
    lender: Roster, symbol: Symbol, start: int, end: int, names: Sequence[str], say: "Say"
) -> Iterator[FetchedTrades]:
    what = f"trades of {symbol} from {iso(start)} to {iso(end)}"
    if not names:
        msg = f"{what}: no provider of {symbol.exchange} has trades; bars can be had by `pq sync`"
        raise DeskError(msg)
    said: list[tuple[str, ProviderError]] = []
    failed: ProviderError | None = None
    for name in names:
        if lender.offered[name].missing:
            said.append((name, NoKey(lender.offered[name].missing)))
            continue
        if failed is not None:
            say(f"trades of {symbol}: {failed}; going on with {name}")
        held = _NO_TICKS
        try:
            with lender.lent(name, say) as provider:
                for page in provider.trades(symbol, start, end):
                    held = np.concatenate((held, page.ticks))
                    # Others of the last millisecond may stand on the next page, so it waits for that one.
                    upto = max(start, int(held["event_time"][-1]) // _MS * _MS) if len(held) else start
                    whole = held["event_time"] < upto
                    yield FetchedTrades(name, TradePage(held[whole], page.bad, page.lost), (start, upto))
                    start, held = upto, held[~whole]
        except ProviderError as error:
            failed = error
            said.append((name, error))
        else:
            yield FetchedTrades(name, TradePage(held), (start, end))
            return
    raise NobodyGave(what, said)
