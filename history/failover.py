"""One request for bars, given by one provider after the other until all of it is covered.

What is asked of a provider is always what no part before it covered. A bar belongs to a part by its start alone, and
starts are the calendar's, so a change of provider in the middle neither doubles a bar nor loses one.

An interval that a provider lacks is built from its finer bars; what its bars do not reach back to is built from its
trades. Such bars say so in their source: `binance(15m)`, `kraken(trades)`.
"""

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from history.building import Part, minutes_of, parts_of, rolled_up
from history.fetched import Fetched, NobodyGave
from history.moments import iso
from history.roster import Roster
from history.slot_numbers import next_slot, slots_back, slots_between
from history.spans import Spans
from history.watched import Watched
from history.ways import Way, ways
from market.bars import BAR, BarBatch, BarState
from market.intervals import Interval
from market.sessions import Calendar
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from market.ticks import ALWAYS
from sources.history.provider import NoKey, NotOffered, ProviderError

if TYPE_CHECKING:
    from collections.abc import Callable

    from history.desk import HistoryDesk

_ROUNDS: Final = 16
"""How often older bars are built until a count is full."""
_COUNTED_TRADES_NS: Final = 7 * 86_400 * 10**9
"""Who counts bars does not ask for years of trades, which take days to fetch; who names a start may."""
_NO_BARS: Final = np.empty(0, BAR)


class Wanted(NamedTuple):
    """Bars that are asked for."""

    symbol: Symbol
    interval: Interval
    calendar: Calendar
    start: int | None
    """ns; None where a number is asked for."""
    end: int
    """ns."""
    newest: int | None
    """How many before the end; None where a start is given."""
    now: int
    """The moment of the request, ns: bars that end later are forming."""

    def __str__(self) -> str:
        if self.start is None:
            return f"the newest {self.newest} {self.interval} bars of {self.symbol} before {iso(self.end)}"
        return f"{self.interval} bars of {self.symbol} from {iso(self.start)} to {iso(self.end)}"


class _Rest(NamedTuple):
    """What is still wanted, as one request."""

    start: int | None
    end: int
    newest: int | None


class Failover:
    """One request, and how much of it is covered."""

    def __init__(self, desk: "HistoryDesk", lender: Roster, wanted: Wanted, say: "Callable[[str], None]") -> None:
        """Nothing is asked yet."""
        self._desk = desk
        self._lender = lender
        self._wanted = wanted
        self._say = say
        self._covered = Spans()
        self._bars = 0

    def run(self, names: Sequence[str]) -> Iterator[Fetched]:
        """All of it, from the first that gives it, and what that one leaves open from the next."""
        said: list[tuple[str, ProviderError]] = []
        failed: ProviderError | None = None
        for name in names:
            missing = self._lender.offered[name].missing
            if missing:
                said.append((name, NoKey(missing)))
                continue
            if failed is not None:
                self._say(f"{self._wanted.symbol} {self._wanted.interval}: {failed}; going on with {name}")
            try:
                while (rest := self._rest()) is not None:
                    with self._lender.lent(name, self._say) as provider:
                        yield from self._ask(provider, rest)
                    yield from self._settle(name, rest)
            except ProviderError as error:
                failed = error
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
        symbol, interval, calendar = self._wanted[:3]
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
        if start is not None:
            yield from self._build(provider, found, start, end)
            return
        assert count is not None, "a request has a start or a count"
        # Where slots are quiet there are fewer bars than slots: the rest is older.
        for _ in range(_ROUNDS):
            start, before = slots_back(calendar, interval, end, count), self._bars
            yield from self._build(provider, found, start, end, counted=True)
            end, count, got = start, count - (self._bars - before), self._bars - before
            if count <= 0 or not got:
                return

    def _build(
        self, provider: Watched, found: Sequence[Way], start: int, end: int, *, counted: bool = False
    ) -> Iterator[Fetched]:
        """Bars from a start on, by the ways whose reach they are in.

        Raises:
            NotOffered: They begin before all reach.
        """
        symbol, interval, calendar, now = *self._wanted[:3], self._wanted.now
        hint = ""
        oldest: int | None = None
        for way in found:
            since = next_slot(calendar, interval, max(start, way.reach(provider.terms, calendar, now)))
            if counted and way.fetched is None and end - since > _COUNTED_TRADES_NS:
                hint = f"; `pq backfill {symbol} --interval {interval} --start ...` makes older ones of its trades"
                continue
            oldest = since if oldest is None else min(oldest, since)
            if since < end:
                yield from self._deliver(provider, way, since, end, None)
                end = since
            if not self._room(start, end):
                return
        since = end if oldest is None else oldest
        msg = f"{provider.name} has {interval} bars of {symbol} from {iso(since)} on only{hint}"
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
        return Fetched(BarBatch(rows, (stream,)), provider.name, covered, part.bad, part.lost)
