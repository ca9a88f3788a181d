"""What a sync or a backfill received: stored and counted part by part, and noted once it is whole."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from history.books import chunk_book
from history.slot_numbers import next_slot, slots_between
from history.spans import Spans
from history.storing import store_fetched
from market.bars import BarState
from market.intervals import Interval
from market.sessions import calendar_for
from market.symbols import Symbol
from sinks.chunk_book import Chunk
from sources.history.provider import NOBODY_KNOWS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from history.desk import HistoryDesk
    from history.fetching import Fetched

SETTLE_NS: Final = 120 * 10**9
"""A bar that ended less than this ago may still be amended by its venue, and is fetched again."""
EDGE_NS: Final = 4 * 86_400 * 10**9
"""Within this of now a provider may lag (free plans of stocks by a day, and over a long weekend): that it gave nothing
after a certain bar does not mean that there was nothing."""
TOGETHER_BARS: Final = 1000
"""Lost bars that are nearer to each other are fetched again together."""
_OVER: Final = tuple(state for state in BarState if state is not BarState.FORMING)


class Fetch(Protocol):
    """What `history.fetching.fetch_bars` is."""

    def __call__(
        self,
        desk: "HistoryDesk",
        symbol: Symbol,
        interval: Interval,
        *,
        start: int | None = None,
        end: int | None = None,
        count: int | None = None,
        provider: str | None = None,
        say: Callable[[str], None] | None = None,
    ) -> "Iterator[Fetched]":
        """Bars of one symbol."""
        ...


@dataclass(frozen=True, slots=True)
class Total:
    """Bars that were received and stored."""

    provider: str = ""
    """Who gave them; two are joined by `+`."""
    bars: int = 0
    inserted: int = 0
    """Of the bars, those that the store did not have."""
    updated: int = 0
    """Of the bars, those that replaced another."""
    bad: int = 0
    """Rows that were refused: `pq rejects` shows them."""
    lost: int = 0
    """Bars that traded and are not held, since their rows were refused."""
    first: int | None = None
    """Start of the oldest bar, ns."""
    last: int | None = None
    """Start of the newest bar, ns."""

    @property
    def shortfall(self) -> str:
        """What is missing of bars that traded, in words; empty if nothing is.

        >>> Total(lost=1).shortfall
        '1 bar is missing, since what came of it cannot be used (`pq rejects` shows it)'
        """
        if not self.lost:
            return ""
        bars, them = ("1 bar is", "it") if self.lost == 1 else (f"{self.lost} bars are", "them")
        return f"{bars} missing, since what came of {them} cannot be used (`pq rejects` shows it)"


class Tally:
    """Counts the parts of one request."""

    def __init__(self, symbol: Symbol, interval: Interval) -> None:
        self.total = Total()
        self._symbol = symbol
        self._interval = interval
        self._providers: list[str] = []
        self._covered: tuple[int, int] | None = None
        self._over: int | None = None
        """End of the newest bar that is over, ns."""
        self._lost: set[int] = set()
        self._unread = 0
        """Bars that were lost, nobody knows where: the span is fetched again."""
        self._starts: list[NDArray[np.int64]] = []

    def store(self, desk: "HistoryDesk", fetched: "Fetched", writer: str) -> None:
        """Write a part and count it.

        Raises:
            DeskError: The store does not take it.
        """
        written = store_fetched(desk, self._symbol, fetched, writer)
        if fetched.provider not in self._providers:
            self._providers.append(fetched.provider)
        if fetched.covered[1] > fetched.covered[0]:
            self._covered = _around(self._covered, *fetched.covered)
        rows, old = fetched.batch.rows, self.total
        over = rows["end"][rows["state"] != BarState.FORMING]
        if len(over):
            self._over = max(int(over.max()), self._over or 0)
        self._lost.update(time for time in fetched.lost if time != NOBODY_KNOWS)
        self._unread += sum(time == NOBODY_KNOWS for time in fetched.lost)
        span = None if old.first is None or old.last is None else (old.first, old.last)
        if len(rows):
            self._starts.append(rows["start"].copy())
            span = _around(span, int(rows["start"].min()), int(rows["start"].max()))
        self.total = replace(
            old,
            provider="+".join(self._providers),
            bars=old.bars + len(rows),
            inserted=old.inserted + written.inserted,
            updated=old.updated + written.updated,
            bad=old.bad + len(fetched.bad),
            first=None if span is None else span[0],
            last=None if span is None else span[1],
        )

    def note(self, desk: "HistoryDesk", start: int | None, began: int, writer: str, *, join: bool = False) -> None:
        """Note the span that was fetched, as far as it is settled; what is not will be fetched again.

        A bar whose row was refused, and that is not held of another writer, is not settled: it traded.

        Args:
            desk: The desk.
            start: ns, from which on bars were asked for; None where a count of them was.
            began: When they were asked for, ns.
            writer: Whose log they are in.
            join: See `ChunkBook.record`.
        """
        missing = self._missing(desk)
        total = self.total = replace(self.total, lost=len(missing) + self._unread)
        if self._covered is None or self._unread:
            return
        if start is None:
            # What the provider has before the oldest bar that it gave was not asked for.
            start = total.first
        if start is None:
            return
        settled = max(began - EDGE_NS, min(self._over or start, began - SETTLE_NS))
        end = min(self._covered[1], settled)
        seq, _ = desk.store.head(writer)
        for first, last in self._holes(missing).gaps(start, end):
            bars = sum(int(((starts >= first) & (starts < last)).sum()) for starts in self._starts)
            chunk = Chunk(first, last, total.provider, bars, desk.now_ns(), writer, seq)
            chunk_book(desk).record(desk.store, self._symbol, self._interval, chunk, join=join)

    def _holes(self, missing: Sequence[int]) -> Spans:
        """Spans to be fetched again; what one call brings is one span, be there a hundred lost bars in it."""
        calendar, holes, last = calendar_for(self._symbol), Spans(), None
        for time in missing:
            since = time
            if last is not None and slots_between(calendar, self._interval, last, time) < TOGETHER_BARS:
                since = last
            holes.add(since, next_slot(calendar, self._interval, time + 1))
            last = time
        return holes

    def _missing(self, desk: "HistoryDesk") -> list[int]:
        """Starts of lost bars that the store does not hold, in order."""
        if not self._lost:
            return []
        lost = sorted(self._lost)
        held = desk.store.read(self._symbol, self._interval, lost[0], lost[-1] + 1, states=_OVER)
        known = set(held["start"].to_physical().to_list())
        return [time for time in lost if time not in known]


def _around(span: tuple[int, int] | None, first: int, last: int) -> tuple[int, int]:
    return (first, last) if span is None else (min(span[0], first), max(span[1], last))


def fetch_bars() -> Fetch:
    """The fetch of all providers, imported when it is first wanted: who asks for a status only does not pay for it."""
    from history.fetching import fetch_bars as found

    return found
