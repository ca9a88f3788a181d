"""The minutes of a span from whoever has them: a venue's trades, made into bars by the live kernel, or minute bars."""

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from history.building import minutes_of
from history.fetching import FetchedTrades, NobodyGave, fetch_bars, fetch_trades
from history.order import VENUES
from history.slot_numbers import slots_between
from history.spans import Spans
from market.bars import BAR, BarState
from market.errors import DeskError
from market.intervals import MINUTE_NS, Interval
from market.sessions import calendar_for
from market.slots import bounds_of
from market.symbols import Symbol
from sinks.ledger import Reject
from sources.history.provider import NOBODY_KNOWS, BadRow, KeyRefused, NoKey, NotOffered, TradePage

if TYPE_CHECKING:
    from history.desk import HistoryDesk

TRADES_NS: Final = 15 * MINUTE_NS
"""Longest span that is asked for as trades. A busy pair has tens of thousands an hour, a thousand a call; its minute
bars are one call, and say the same but for the sums' last digits."""
LAG_NS: Final = 4 * 86_400 * 10**9
"""How far behind a provider that is not the venue itself may be (a day, over a long weekend): until then only a later
bar of its own shows that an empty minute was a quiet one."""
_LASTING: Final = (NotOffered, NoKey, KeyRefused)
"""What asking again later does not change."""
_NONE: Final = np.empty(0, BAR)


class Filled(NamedTuple):
    """What is known of a span."""

    rows: NDArray[np.void]
    """One-minute `BAR` records that are over, in order of start; `stream` indexes `sources`."""
    sources: tuple[str, ...]
    """As `source` is said of bars: `binance`, `kraken(trades)`."""
    known: Spans
    """Where these are all the bars that there are."""
    trouble: str = ""
    """Why the rest is not known, as a sentence; empty where nothing is left."""
    lasting: bool = False
    """Whether asking again later cannot help."""
    lagging: bool = False
    """Whether the trouble is no more than that nothing has come of the last bars, which may be quiet."""


def fill(desk: "HistoryDesk", symbol: Symbol, start: int, end: int, upto: int) -> Filled:
    """Ask for the minutes of a span.

    Args:
        desk: Whose providers.
        symbol: The instrument.
        start: ns, a whole minute.
        end: ns, a whole minute.
        upto: ns, at `end` or later: minutes that are over, which may be asked for to learn how far a provider is.

    Returns:
        Never an error: one of the providers is what `trouble` says.
    """
    found = _of_trades(desk, symbol, start, end) if end - start <= TRADES_NS else None
    return found if found is not None else of_bars(desk, symbol, start, end, upto)


def _of_trades(desk: "HistoryDesk", symbol: Symbol, start: int, end: int) -> Filled | None:
    """None where nobody gave all the trades."""
    names: list[str] = []
    lost: list[int] = []

    def pages(fetched: Iterator[FetchedTrades]) -> Iterator[TradePage]:
        for part in fetched:
            if part.provider not in names:
                names.append(part.provider)
            lost.extend(part.page.lost)
            yield part.page

    try:
        trades = pages(fetch_trades(desk, symbol, start, end))
        parts = [part.bars for part in minutes_of(trades, symbol, calendar_for(symbol), start, end)]
    except DeskError:
        # Bars may be had where trades are not, and say what the trouble is where neither are.
        return None
    own = VENUES.get(symbol.exchange)
    if lost or (end > desk.now_ns() - LAG_NS and any(name != own for name in names)):
        return None
    known = Spans()
    known.add(start, end)
    rows = np.concatenate([_NONE, *parts])
    rows["stream"] = 0
    return Filled(rows, (f"{'+'.join(names)}(trades)",), known)


def of_bars(
    desk: "HistoryDesk",
    symbol: Symbol,
    start: int,
    end: int,
    upto: int,
    interval: Interval = Interval.M1,
    *,
    provider: str | None = None,
    say: Callable[[str], None] | None = None,
) -> Filled:
    """The bars of a span as providers have them; rows that could not be used are noted as rejects.

    Args:
        desk: Whose providers.
        symbol: The instrument.
        start: ns; bars that start at this moment or later.
        end: ns; bars that start before this moment.
        upto: ns, at `end` or later: bars may be asked for up to here, to learn how far a provider is.
        interval: Of the bars.
        provider: Ask this one only.
        say: Told, as a sentence, of each change of provider.

    Returns:
        Never an error: one of the providers is what `trouble` says.
    """
    now = desk.now_ns()
    rows: list[NDArray[np.void]] = []
    sources: list[str] = []
    covered: list[tuple[str, int, int]] = []
    reached: dict[str, int] = {}
    bad: list[tuple[str, BadRow]] = []
    lost: set[int] = set()
    trouble, lasting = "", False
    try:
        stop = min(upto, end + TRADES_NS * 4)
        for part in fetch_bars(desk, symbol, interval, start=start, end=stop, provider=provider, say=say):
            source = part.batch.streams[0].feed
            if source not in sources:
                sources.append(source)
            over = part.batch.rows[part.batch.rows["state"] != BarState.FORMING].copy()
            over["stream"] = sources.index(source)
            rows.append(over)
            if part.bad:
                desk.ledger.reject_many(Reject(part.provider, *row, now, symbol) for row in part.bad)
                bad += [(part.provider, row) for row in part.bad]
                lost.update(part.lost)
            covered.append((part.provider, *part.covered))
            if len(part.batch.rows):
                reached[part.provider] = max(reached.get(part.provider, 0), int(part.batch.rows["end"].max()))
    except NobodyGave as error:
        trouble, lasting = str(error), lasts(error)
    except DeskError as error:
        trouble, lasting = str(error), True
    known = Spans()
    for name, first, last in covered:
        sure = last if name == VENUES.get(symbol.exchange) else max(reached.get(name, first), now - LAG_NS)
        known.add(first, min(last, sure))
    made = np.concatenate([_NONE, *rows])
    made = made[(made["start"] >= start) & (made["start"] < end)]
    made = made[np.argsort(made["start"], kind="stable")]
    lost.difference_update(made["start"].tolist())
    if lost:
        name, row = bad[0] if bad else (covered[0][0], None)
        known = _bars_alone(made) if NOBODY_KNOWS in lost else _without(known, lost, symbol, interval, (start, end))
        told = f", the first: {row.reason}" if row else ""
        why = f"{name} gave {len(lost)} {'bar' if len(lost) == 1 else 'bars'} of {symbol} that cannot be used{told}"
        trouble, lasting = trouble or why, True
    elif not trouble and _open_slots(known, symbol, interval, start, end):
        asked = " and ".join(sorted({name for name, *_ in covered}))
        return Filled(made, tuple(sources), known, f"{asked} may not have {symbol} up to now yet", lagging=True)
    return Filled(made, tuple(sources), known, trouble, lasting)


def _bars_alone(bars: NDArray[np.void]) -> Spans:
    """No more than the bars themselves: one that cannot be read may have been any of the others."""
    known = Spans()
    for first, last in bars[["start", "end"]].tolist():
        known.add(first, last)
    return known


def _without(known: Spans, lost: Collection[int], symbol: Symbol, interval: Interval, span: tuple[int, int]) -> Spans:
    """What is known of a span but for the bars that start at these moments."""
    start, end, inside = bounds_of(np.array(sorted(lost)), interval, calendar_for(symbol))
    holes = [*known.gaps(*span), *zip(start[inside].tolist(), end[inside].tolist(), strict=True)]
    left, begin = Spans(), span[0]
    for first, last in sorted(holes):
        left.add(begin, first)
        begin = max(begin, last)
    left.add(begin, span[1])
    return left


def _open_slots(known: Spans, symbol: Symbol, interval: Interval, start: int, end: int) -> bool:
    """Whether there is room for a bar where nothing is known."""
    calendar = calendar_for(symbol)
    return any(slots_between(calendar, interval, *gap) for gap in known.gaps(start, end))


def lasts(error: NobodyGave) -> bool:
    """Whether what nobody gave is not to be had later either.

    Where not one could be asked, since keys are missing or the exchange does not run, nothing is known of that.
    """
    said = [one for _, one in error.said]
    return all(isinstance(one, _LASTING) for one in said) and not all(isinstance(one, NoKey) for one in said)
