"""What a sync or a backfill received: stored and counted part by part, and noted once it is whole."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from history.books import chunk_book
from history.storing import store_fetched
from market.bars import BarState
from market.intervals import Interval
from market.symbols import Symbol
from sinks.chunk_book import Chunk

if TYPE_CHECKING:
    from history.desk import HistoryDesk
    from history.fetching import Fetched

SETTLE_NS: Final = 120 * 10**9
"""A bar that ended less than this ago may still be amended by its venue, and is fetched again."""
EDGE_NS: Final = 4 * 86_400 * 10**9
"""Within this of now a provider may lag (free plans of stocks by a day, and over a long weekend): that it gave nothing
after a certain bar does not mean that there was nothing."""


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
    first: int | None = None
    """Start of the oldest bar, ns."""
    last: int | None = None
    """Start of the newest bar, ns."""


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
        span = None if old.first is None or old.last is None else (old.first, old.last)
        if len(rows):
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

        Args:
            desk: The desk.
            start: ns, from which on bars were asked for; None where a count of them was.
            began: When they were asked for, ns.
            writer: Whose log they are in.
            join: See `ChunkBook.record`.
        """
        if self._covered is None:
            return
        total = self.total
        if start is None:
            # What the provider has before the oldest bar that it gave was not asked for.
            start = total.first
        if start is None:
            return
        settled = max(began - EDGE_NS, min(self._over or start, began - SETTLE_NS))
        end = min(self._covered[1], settled)
        seq, _ = desk.store.head(writer)
        chunk = Chunk(start, end, total.provider, total.bars, desk.now_ns(), writer, seq)
        chunk_book(desk).record(desk.store, self._symbol, self._interval, chunk, join=join)


def _around(span: tuple[int, int] | None, first: int, last: int) -> tuple[int, int]:
    return (first, last) if span is None else (min(span[0], first), max(span[1], last))


def fetch_bars() -> Fetch:
    """The fetch of all providers, imported when it is first wanted: who asks for a status only does not pay for it."""
    from history.fetching import fetch_bars as found

    return found
