"""Trades that the journal came to hold after all: a snapshot or a late frame may bring what an outage kept back.

Where a feed numbers its trades without holes, ids that follow on each other from before a span to behind it prove that
the journal has every trade of it, whatever the gap ledger feared. The minutes are then made of those, without a call.
"""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from history.building import minutes_of
from history.heal_spans import Span, requests
from market.bars import BAR
from market.intervals import MINUTE_NS
from market.sessions import Calendar
from market.streams import FeedKind
from market.symbols import Symbol
from market.ticks import TICK
from sources.history.provider import TradePage
from sources.journal import JournalReader
from sources.journal_ticks import ticks_of_streams

if TYPE_CHECKING:
    from history.desk import HistoryDesk

LONGEST_NS: Final = 15 * MINUTE_NS
"""Longest span that is looked at: a snapshot holds the last trades only."""
AROUND_NS: Final = 2 * MINUTE_NS
"""How far before and behind a span the trades that must enclose it are looked for."""
LATE_NS: Final = 10 * MINUTE_NS
"""How long after a span its trades may have come."""

Wanted = tuple[Symbol, str, Span]
"""A symbol, the feed that lacked its ticks, and the minutes in doubt."""


class JournaledTrades:
    """The ticks around some spans, read from the journal in one go."""

    def __init__(self, desk: "HistoryDesk", wanted: Collection[Wanted]) -> None:
        """Read them.

        Args:
            desk: Whose journal.
            wanted: What is to be proved.

        Raises:
            DeskError: The journal cannot be read.
        """
        self._ticks: dict[tuple[Symbol, str], NDArray[np.void]] = {}
        names = {(symbol, feed) for symbol, feed, _ in wanted}
        around = [(start - AROUND_NS, end + AROUND_NS) for _, _, (start, end) in wanted if end - start <= LONGEST_NS]
        if not around:
            return
        with JournalReader(desk.folders.journal, lambda _: None) as reader:
            ids = {
                stream.id: (stream.symbol, stream.feed)
                for stream in reader.streams()
                if (stream.symbol, stream.feed) in names and stream.kind is FeedKind.TRADES
            }
            parts: dict[tuple[Symbol, str], list[NDArray[np.void]]] = {}
            for start, end in requests(around, apart=LATE_NS) if ids else ():
                for page in ticks_of_streams(reader, ids, start, end, LATE_NS):
                    for number in np.unique(page.ticks["stream"]).tolist():
                        parts.setdefault(ids[number], []).append(page.ticks[page.ticks["stream"] == number])
        self._ticks = {name: _by_id(found) for name, found in parts.items()}

    def minutes(self, symbol: Symbol, feed: str, span: Span, calendar: Calendar) -> NDArray[np.void] | None:
        """The one-minute bars of a span, if the journal is proved to have all its trades.

        Args:
            symbol: The instrument.
            feed: Whose trades.
            span: Whole minutes.
            calendar: The symbol's sessions.

        Returns:
            `BAR` records, none for a quiet minute; None where nothing is proved.
        """
        ticks = self._ticks.get((symbol, feed))
        if ticks is None or span[1] - span[0] > LONGEST_NS:
            return None
        inside = _enclosed(ticks, *span)
        if inside is None:
            return None
        ordered = inside[np.lexsort((inside["trade_id"], inside["event_time"]))]
        parts = minutes_of([TradePage(ordered)], symbol, calendar, *span)
        return np.concatenate([np.empty(0, BAR), *(part.bars for part in parts)])


def _by_id(parts: Iterable[NDArray[np.void]]) -> NDArray[np.void]:
    """Ticks with an id, by id, each once."""
    ticks = np.concatenate([np.empty(0, TICK), *parts])
    ticks = ticks[ticks["trade_id"] >= 0]
    _, first = np.unique(ticks["trade_id"], return_index=True)
    return ticks[first]


def _enclosed(ticks: NDArray[np.void], start: int, end: int) -> NDArray[np.void] | None:
    """The ticks of `[start, end)`, if ids run without a hole from one before it to one behind it."""
    times = ticks["event_time"]
    before, behind = np.flatnonzero(times < start), np.flatnonzero(times >= end)
    if not len(before) or not len(behind):
        return None
    inside = np.flatnonzero((times >= start) & (times < end))
    # A trade that is stamped out of order by id would leave the run open on its side.
    first, last = int(before[-1]), int(behind[0])
    if len(inside):
        first, last = min(first, int(inside[0])), max(last, int(inside[-1]))
    run = ticks[first : last + 1]
    # An aggregate covers the `count` ids that end with its own.
    joined = run["trade_id"][1:] - np.maximum(run["count"][1:], 1) <= run["trade_id"][:-1]
    if first >= last or not joined.all():
        return None
    return ticks[inside]
