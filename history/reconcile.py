"""Reconciling: the live bars of a day held against the venue's own, and those stored as official.

The minutes are asked for, and the day, week and month where one has ended; the intervals in between are rolled up from
the venue's minutes, as the live ones are from the desk's. What the live bars were is read from the log, so that a sync
that was quicker with the official ones changes no score.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from history.books import in_words
from history.heal_fill import Filled, of_bars
from history.live_edge import LIVE_WRITER, followed_since, live_edge
from history.live_log import Series, live_bars, live_symbols
from history.side_by_side import side_by_side
from history.storing import store_patiently
from history.truth import Difference, score
from market.bars import BAR, BarBatch, BarState
from market.errors import DeskError
from market.intervals import INTERVALS, MINUTE_NS, Interval
from market.sessions import Calendar, calendar_for
from market.slots import bounds_of, slots
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from market.ticks import ALWAYS, NEVER
from operators.rollup import nests, roll_up
from sinks.truth_book import Truth, TruthBook

if TYPE_CHECKING:
    from history.desk import HistoryDesk

WRITER: Final = "reconcile"
DAY_NS: Final = 86_400 * 10**9
AT_ONCE: Final = 4
"""Symbols at a time: more would only wait for the providers' pace."""
TOGETHER: Final = 200
"""Symbols whose live bars are in memory at a time: a day of theirs, about 50 MB."""
NAMED: Final = 20
"""Differences of one series that are kept."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What came of one symbol."""

    symbol: Symbol
    truths: Sequence[Truth] = ()
    """By interval; none of an interval of which neither side has a bar."""
    stored: int = 0
    """Official bars that changed the store."""
    error: str = ""
    """Why it could not be reconciled, or not all of it, as a sentence; empty where it was."""


def yesterday(now_ns: int) -> tuple[int, int]:
    """The whole UTC day before a moment, `[start, end)` in ns."""
    today = now_ns // DAY_NS * DAY_NS
    return today - DAY_NS, today


def reconcile(
    desk: "HistoryDesk",
    symbols: Collection[Symbol] | None = None,
    *,
    start: int | None = None,
    end: int | None = None,
    provider: str | None = None,
    say: Callable[[str], None] | None = None,
    told: Callable[[Reconciled], None] | None = None,
    stop: Event | None = None,
) -> list[Reconciled]:
    """Compare live bars with official ones, and store the official ones by the one rule.

    Args:
        desk: The desk.
        symbols: Of these only; all that had live bars if None.
        start: ns; bars that ended after this moment; None is the beginning of yesterday, UTC.
        end: ns; bars that ended by this moment; None is a day after the start.
        provider: Ask this one only.
        say: Told, as a sentence, of each change of provider.
        told: Told of each symbol that is done; from several threads.
        stop: Begins no other symbol.

    Returns:
        One a symbol, in their order. One symbol's trouble never stops the rest.

    Raises:
        DeskError: The span is empty, or the store or the ledger cannot be read.
    """
    if start is None:
        start = yesterday(desk.now_ns())[0] if end is None else end - DAY_NS
    end = start + DAY_NS if end is None else end
    if end <= start:
        msg = f"reconcile: the end {_iso(end)} is not after the start {_iso(start)}; give a later one"
        raise DeskError(msg)
    end = min(end, desk.now_ns())
    stopped = stop or Event()
    done: list[Reconciled] = []
    with closing(TruthBook(desk.folders.create().history)) as book:
        after = book.log_place(start)
        seq, _ = desk.store.head(LIVE_WRITER)
        book.mark_log(desk.now_ns(), seq)
        wanted = live_symbols(desk.store, start, end, after) if symbols is None else sorted(set(symbols))
        followed, sure = followed_since(desk), live_edge(desk)
        for first in range(0, len(wanted), TOGETHER):
            some = wanted[first : first + TOGETHER]
            live = live_bars(desk.store, start, end, after=after, symbols=frozenset(some))
            work = _Work(desk, book, live, followed, sure, start, end, provider, say, told, stopped)
            done += side_by_side(some, work.reconcile, AT_ONCE, stopped)
    return done


@dataclass(frozen=True, slots=True)
class _Work:
    """Some symbols of one call."""

    desk: "HistoryDesk"
    book: TruthBook
    live: Mapping[Series, NDArray[np.void]]
    followed: Mapping[Symbol, int]
    sure: int
    """ns; of what came later nothing is known live, since the desk has stopped or not come that far."""
    start: int
    end: int
    provider: str | None
    say: Callable[[str], None] | None
    told: Callable[[Reconciled], None] | None
    stopped: Event

    def reconcile(self, symbol: Symbol) -> Reconciled:
        """One symbol, whatever becomes of it."""
        try:
            if self.stopped.is_set():
                return Reconciled(symbol, error=f"{symbol} was not reconciled: it was stopped before it began")
            found = self._reconcile(symbol)
        except Exception as error:  # noqa: BLE001  # Whatever it is: the rest goes on, and the caller is told.
            found = Reconciled(symbol, error=in_words(error))
        if self.told is not None:
            self.told(found)
        return found

    def _reconcile(self, symbol: Symbol) -> Reconciled:
        calendar = calendar_for(symbol)
        begin = self._since(calendar)
        upto = min(self.end, self.desk.now_ns())
        official: dict[Interval, Filled] = {}
        minutes = of_bars(self.desk, symbol, begin, upto, upto, provider=self.provider, say=self.say)
        official[Interval.M1] = minutes
        for interval in INTERVALS[1:]:
            if interval.intraday:
                official[interval] = _rolled_up(minutes, interval, calendar, begin)
            elif len(ended := self._ended(calendar, interval)):
                first, last = int(ended[0, 0]), int(ended[-1, 1])
                official[interval] = of_bars(
                    self.desk, symbol, first, last, last, interval, provider=self.provider, say=self.say
                )
        since = self._followed_since(symbol)
        doubtful = self._doubtful(symbol, since)
        truths, stored = [], 0
        for interval, filled in official.items():
            theirs = filled.rows
            theirs = theirs[(theirs["end"] > self.start) & (theirs["end"] <= self.end)]
            stored += self._store(symbol, theirs, filled.sources)
            mine = self.live.get((symbol, interval), np.empty(0, BAR))
            mine = mine[_known(filled, mine)]
            # What ended before the desk followed the symbol is stored, and is no bar that it missed.
            theirs = theirs[theirs["end"] > since]
            if not len(mine) and not len(theirs):
                continue
            result = score(mine, theirs, doubtful, keep=NAMED)
            truths.append(
                Truth(
                    self.start, self.end, symbol, interval, "+".join(filled.sources), result.equal, result.differing,
                    result.missing, result.extra, result.explained, result.differences, self.desk.now_ns(),
                )
            )  # fmt: skip
        self.book.note(truths)
        # That the last minutes of a session are quiet, as far as one can see, is no trouble.
        troubled = (one.trouble for one in official.values() if one.trouble and not (one.lagging and len(one.rows)))
        trouble = next(troubled, "")
        return Reconciled(symbol, truths, stored, trouble)

    def _since(self, calendar: Calendar) -> int:
        """Where the longest intraday bar begins that is not over at the start; the start itself if none is."""
        moment = np.array([self.start])
        first = self.start
        for interval in INTERVALS:
            if interval.intraday:
                begin, _, inside = bounds_of(moment, interval, calendar)
                if inside[0]:
                    first = min(first, int(begin[0]))
        return first // MINUTE_NS * MINUTE_NS

    def _ended(self, calendar: Calendar, interval: Interval) -> NDArray[np.int64]:
        """Bounds of the bars of an interval that ended in the span."""
        found = slots(calendar, interval, self.start - 40 * DAY_NS, self.end)
        return found[(found[:, 1] > self.start) & (found[:, 1] <= self.end)]

    def _followed_since(self, symbol: Symbol) -> int:
        """From when on live bars are to be expected, ns; for one that is not followed any more, from its first."""
        first = min((int(rows["start"][0]) for (of, _), rows in self.live.items() if of == symbol), default=NEVER)
        return self.followed.get(symbol, first)

    def _doubtful(self, symbol: Symbol, since: int) -> NDArray[np.int64]:
        """Spans in which ticks may lack by the desk's own word: gaps, and the time before and after it was there."""
        spans = [(gap.start, NEVER if gap.end is None else gap.end) for gap in self.desk.ledger.gaps(symbol)]
        near = [span for span in spans if span[0] < self.end and span[1] > self.start - 40 * DAY_NS]
        return np.array([(ALWAYS, since), (self.sure, NEVER), *near], np.int64)

    def _store(self, symbol: Symbol, rows: NDArray[np.void], sources: Sequence[str]) -> int:
        """Write official bars; how many changed the store."""
        if not len(rows):
            return 0
        rows = rows.copy()
        rows["state"], rows["updated_at"], rows["seq"], rows["revision"] = BarState.OFFICIAL, self.desk.now_ns(), -1, 0
        streams = tuple(Stream(n, source, symbol, FeedKind.TRADES, 0) for n, source in enumerate(sources))
        written = store_patiently(self.desk, BarBatch(rows, streams), WRITER)
        return written.inserted + written.updated


def _rolled_up(minutes: Filled, interval: Interval, calendar: Calendar, since: int) -> Filled:
    """Longer bars of the venue's minutes: those of which all minutes are known."""
    rows = roll_up(minutes.rows, interval, calendar, since=since)
    rows = rows[_known(minutes, rows)]
    assert nests(Interval.M1, interval), "all intervals are made of minutes"
    sources = tuple(f"{source}({Interval.M1})" for source in minutes.sources)
    return minutes._replace(rows=rows, sources=sources)


def _known(filled: Filled, bars: NDArray[np.void]) -> NDArray[np.bool_]:
    """Which bars lie where the venue was heard of the whole time."""
    known = np.ones(len(bars), np.bool_)
    if len(bars):
        for first, last in filled.known.gaps(int(bars["start"].min()), int(bars["end"].max())):
            known &= (bars["end"] <= first) | (bars["start"] >= last)
    return known


def _iso(time_ns: int) -> str:
    return f"{np.datetime64(time_ns // 10**9, 's')}Z"


__all__ = ["Difference", "Reconciled", "Truth", "reconcile", "yesterday"]
