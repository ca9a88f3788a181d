"""History of one symbol from whoever has it: the first provider in order, and the next where that one fails.

What is asked of a provider is always what no part before it covered. A bar belongs to a part by its start alone, and
starts are the calendar's, so a change of provider in the middle neither doubles a bar nor loses one.

An interval that a provider lacks is built from its finer bars; what its bars do not reach back to is built from its
trades. Such bars say so in their source: `binance(15m)`, `kraken(trades)`.
"""

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from history.building import Part, minutes_of, parts_of, rolled_up
from history.health import Resting
from history.moments import iso
from history.order import ordered
from history.roster import Roster, roster
from history.slot_numbers import next_slot, slots_back, slots_between
from history.spans import Spans
from history.watched import Watched
from history.ways import Way, ways
from market.bars import BAR, BarBatch, BarState
from market.errors import DeskError
from market.intervals import Interval
from market.sessions import Calendar, calendar_for
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from market.ticks import ALWAYS, TICK
from sources.history.provider import (
    BadRow,
    NotOffered,
    ProviderAway,
    ProviderError,
    QuotaSpent,
    TradePage,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from history.desk import HistoryDesk

    Say = Callable[[str], None]


class Fetched(NamedTuple):
    """Some of the bars that were asked for."""

    batch: BarBatch
    """In order of start, ready for the store: no bar of it was in a part before, none will be in a later one. Official,
    or forming where the bar is not over; `streams` has one entry, whose feed is the bars' source. May be empty."""
    provider: str
    """Who gave them."""
    covered: tuple[int, int]
    """`[start, end)`, ns: there are no other bars in it than these and those of parts before. The spans of all parts
    together are what was asked for."""
    bad: Sequence[BadRow] = ()
    """Rows that were left out."""


class FetchedTrades(NamedTuple):
    """Some of the trades that were asked for."""

    provider: str
    page: TradePage
    covered: tuple[int, int]
    """`[start, end)`, ns: there are no other trades in it than these and those of pages before."""


class NobodyGave(DeskError):  # noqa: N818  # A state of the world.
    """No provider gave all that was asked for. What was yielded before stands, and its spans are covered."""

    def __init__(self, what: str, said: Sequence[tuple[str, ProviderError]]) -> None:
        """List what each provider said."""
        told = "; ".join(f"{name}: {error}" for name, error in said)
        super().__init__(f"{what}: no provider gave it: {told}" if len(said) > 1 else f"{what}: {told}")
        self.said = tuple(said)
        """What each provider said, in the order in which they were asked."""
        spent = [error.until_ns for _, error in said if isinstance(error, QuotaSpent | Resting)]
        self.retry_at_ns = min(spent) if spent else None
        """When the first that takes no calls for now may be asked again, ns; None if that is not the trouble."""
        self.transient = any(isinstance(error, QuotaSpent | ProviderAway) for _, error in said)
        """Whether asking again later may help."""


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
        end: ns; bars that start before this moment. None: now, with the bar that is not over yet.
        count: The newest so many before `end`. One of `start` and `count` is given. Where bars have to be built, those
            that the calendar has room for are counted, traded or not.
        provider: Ask this one only; None asks those that `history.order` names, in order.
        say: Told, as a sentence, of each change of provider.

    Yields:
        Parts in the order in which they come, which is that of no clock.

    Raises:
        NobodyGave: Each provider refused or failed: says what each said.
        DeskError: The span is empty, the exchange has no calendar, or there is no such provider.
    """
    now = desk.now_ns()
    stop = now if end is None else end
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
    wanted = _Wanted(symbol, interval, calendar, start, stop, count, now)
    return _Fetch(desk, lender, wanted, say or _silence).run(names)


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


class _Wanted(NamedTuple):
    symbol: Symbol
    interval: Interval
    calendar: Calendar
    start: int | None
    end: int
    newest: int | None
    """How many."""
    now: int

    def __str__(self) -> str:
        since = f"the newest {self.newest} bars before" if self.start is None else f"from {iso(self.start)} to"
        return f"{self.symbol} {self.interval} {since} {iso(self.end)}"


class _Rest(NamedTuple):
    """What is still wanted, as one request."""

    start: int | None
    end: int
    newest: int | None


class _Fetch:
    """One request, and how much of it is covered."""

    def __init__(self, desk: "HistoryDesk", lender: Roster, wanted: _Wanted, say: "Say") -> None:
        self._desk = desk
        self._lender = lender
        self._wanted = wanted
        self._say = say
        self._covered = Spans()
        self._bars = 0

    def run(self, names: Sequence[str]) -> Iterator[Fetched]:
        """All of it, from the first that gives it, and what that one leaves open from the next."""
        said: list[tuple[str, ProviderError]] = []
        for name in names:
            if said:
                self._say(f"{self._wanted.symbol} {self._wanted.interval}: {said[-1][1]}; going on with {name}")
            try:
                while (rest := self._rest()) is not None:
                    with self._lender.lent(name, self._say) as provider:
                        yield from self._ask(provider, rest)
                    yield from self._settle(name, rest)
            except ProviderError as error:
                said.append((name, error))
            else:
                yield from self._settle(name, _Rest(self._wanted.start, self._wanted.end, None))
                return
        raise NobodyGave(str(self._wanted), said)

    def _settle(self, name: str, rest: _Rest) -> Iterator[Fetched]:
        """Take a request as answered: what of it no bar covered is covered by saying so."""
        if rest.start is None:
            self._covered.add(ALWAYS, rest.end)
            return
        stream = Stream(0, name, self._wanted.symbol, FeedKind.TRADES, 0)
        for gap in self._covered.gaps(rest.start, rest.end):
            self._covered.add(*gap)
            yield Fetched(BarBatch(_NO_BARS, (stream,)), name, gap)

    def _rest(self) -> _Rest | None:
        """The newest span that is not covered yet and has room for a bar; for a count, at last the older bars."""
        start, end, count = self._wanted.start, self._wanted.end, self._wanted.newest
        first = start if start is not None else self._covered.first()
        if first is None:
            return _Rest(None, end, count)
        for gap in reversed(self._covered.gaps(first, end)):
            if self._room(*gap):
                return _Rest(*gap, None)
        if count is None or first == ALWAYS or self._bars >= count:
            return None
        return _Rest(None, first, count - self._bars)

    def _room(self, start: int, end: int) -> int:
        return slots_between(self._wanted.calendar, self._wanted.interval, start, end)

    def _ask(self, provider: Watched, rest: _Rest) -> Iterator[Fetched]:
        """All of a request that one provider has, the newest first where it takes more than one way.

        Raises:
            NotOffered: There is more to it than the provider has.
            ProviderError: As the provider says.
        """
        symbol, interval, calendar, now = *self._wanted[:3], self._wanted.now
        found = ways(provider.terms, interval)
        if not found:
            msg = f"{provider.name} has no {interval} bars of {symbol}, and none that they could be built from"
            raise NotOffered(msg)
        start, end, count = rest
        if count is not None and found[0].direct:
            most = self._most(provider, found[0], rest)
            if most:
                before = self._bars
                oldest = yield from self._deliver(provider, found[0], None, end, most)
                got = self._bars - before
                if most == count or got < most:
                    return
                assert oldest is not None, "bars were counted"
                end, count = oldest, count - got
            found = found[1:]
        if start is None:
            assert count is not None, "a request has a start or a count"
            start = slots_back(calendar, interval, end, count)
        for way in found:
            since = next_slot(calendar, interval, max(start, way.reach(provider.terms, calendar, now)))
            if since < end:
                yield from self._deliver(provider, way, since, end, None)
                end = since
            if not self._room(start, end):
                return
        msg = f"{provider.name} has {interval} bars of {symbol} from {iso(end)} on only"
        raise NotOffered(msg)

    def _most(self, provider: Watched, way: Way, rest: _Rest) -> int:
        """How many of the bars counted before a moment the provider has itself."""
        _, end, count = rest
        assert count is not None, "a count is asked for"
        cap = provider.terms.max_bars
        if cap is not None:
            count = min(count, max(0, cap - self._room(end, self._wanted.now)))
        if provider.terms.reach_days.get(self._wanted.interval) is not None:
            reach = way.reach(provider.terms, self._wanted.calendar, self._wanted.now)
            count = min(count, self._room(reach, end))
        return count

    def _deliver(
        self, provider: Watched, way: Way, start: int | None, end: int, count: int | None
    ) -> Generator[Fetched, None, int | None]:
        """Bars of one request to a provider; returns the start of the oldest."""
        own = Spans()
        for part in self._parts(provider, way, start, end, count):
            first, last = max(part.start, start if start is not None else ALWAYS), min(part.end, end)
            own.add(first, last)
            if len(part.bars) or last > first or part.bad:
                yield self._fetched(provider, way, part, (first, max(first, last)))
        oldest = own.first()
        since = start if start is not None else oldest
        if since is not None:
            # Nothing more came, so there is nothing more: a quiet time before the first bar or after the last.
            for gap in own.gaps(since, end):
                yield self._fetched(provider, way, Part(_NO_BARS, *gap), gap)
        return oldest

    def _parts(self, provider: Watched, way: Way, start: int | None, end: int, count: int | None) -> Iterator[Part]:
        symbol, interval, calendar, now = *self._wanted[:3], self._wanted.now
        if way.direct:
            return parts_of(provider.fetch(symbol, interval, start, end, count), start, end)
        assert start is not None, "bars are built from a start on"
        # The last coarse bar needs all its finer ones, as far as there are any.
        upto = end if end >= now else min(next_slot(calendar, interval, end), now)
        if way.fetched is not None:
            finer = parts_of(provider.fetch(symbol, way.fetched, start, upto), start, upto)
        else:
            trades = provider.trades(symbol, start, upto)
            finer = minutes_of(trades, symbol, calendar, start, upto)
        return finer if interval is Interval.M1 else rolled_up(finer, interval, calendar, (start, upto))

    def _fetched(self, provider: Watched, way: Way, part: Part, covered: tuple[int, int]) -> Fetched:
        """Note a part as covered, and make it ready for the store."""
        rows = part.bars.copy()
        forming = (rows["state"] == BarState.FORMING) | (rows["end"] > self._wanted.now)
        rows["state"] = np.where(forming, np.uint8(BarState.FORMING), np.uint8(BarState.OFFICIAL))
        rows["updated_at"] = self._desk.now_ns()
        rows["seq"], rows["revision"], rows["stream"], rows["interval"] = -1, 0, 0, self._wanted.interval
        stream = Stream(0, way.source(provider.name), self._wanted.symbol, FeedKind.TRADES, 0)
        self._covered.add(*covered)
        self._bars += len(rows)
        return Fetched(BarBatch(rows, (stream,)), provider.name, covered, part.bad)


def _trades(
    lender: Roster, symbol: Symbol, start: int, end: int, names: Sequence[str], say: "Say"
) -> Iterator[FetchedTrades]:
    what = f"trades of {symbol} from {iso(start)} to {iso(end)}"
    if not names:
        msg = f"{what}: no provider of {symbol.exchange} has trades; bars can be had by `pq sync`"
        raise DeskError(msg)
    said: list[tuple[str, ProviderError]] = []
    for name in names:
        if said:
            say(f"trades of {symbol}: {said[-1][1]}; going on with {name}")
        held = _NO_TICKS
        try:
            with lender.lent(name, say) as provider:
                for page in provider.trades(symbol, start, end):
                    held = np.concatenate((held, page.ticks))
                    # Others of the last millisecond may stand on the next page, so it waits for that one.
                    upto = max(start, int(held["event_time"][-1]) // _MS * _MS) if len(held) else start
                    whole = held["event_time"] < upto
                    yield FetchedTrades(name, TradePage(held[whole], page.bad), (start, upto))
                    start, held = upto, held[~whole]
        except ProviderError as error:
            said.append((name, error))
        else:
            yield FetchedTrades(name, TradePage(held), (start, end))
            return
    raise NobodyGave(what, said)


_MS: Final = 1_000_000
_NO_BARS: Final = np.empty(0, BAR)
_NO_TICKS: Final = np.empty(0, TICK)
