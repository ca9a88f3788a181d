"""Portions of one symbol's gaps healed: the minutes found, stored, and noted in the ledger and the healer's book."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from history.heal_fill import Filled, fill
from history.heal_spans import Span, requests, runs
from history.spans import Spans
from history.storing import store_patiently
from market.bars import BarBatch, BarState
from market.intervals import INTERVALS, MINUTE_NS, Interval
from market.sessions import Calendar, calendar_for
from market.slots import bounds_of
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from sinks.heal_book import Above, GapNote, HealBook
from sinks.ledger import Gap, GapState

if TYPE_CHECKING:
    from history.desk import HistoryDesk
    from history.trade_proof import JournaledTrades

WRITER: Final = "heal"
"""The healer's name in the store's log."""

Minutes = NDArray[np.int64]
"""Starts of minutes in order, ns."""


class Portion(NamedTuple):
    """What of one gap is healed in one go."""

    gap: Gap
    span: Span
    """Whole minutes."""
    minutes: Minutes
    """Of the span, those in which the symbol can trade."""
    last: bool
    """Whether the gap ends with it."""


@dataclass(slots=True)
class _Work:
    """What has come of one symbol's portions."""

    wanted: Minutes
    """Minutes of all of them, each once."""
    known: NDArray[np.bool_]
    """By minute: whether its bar is in the store, or there is none."""
    by: NDArray[np.object_]
    """By minute: who said so."""
    written: int = 0
    trouble: list[tuple[Span, str, bool]] = field(default_factory=list)
    """Spans that were asked for in vain, why, and whether that will last."""

    def learn(self, minutes: Minutes, by: str) -> None:
        """Take note of minutes that are known."""
        places = np.searchsorted(self.wanted, minutes)
        self.known[places] = True
        self.by[places] = by

    def unknown(self, span: Span) -> Minutes:
        """What of a span is still wanted."""
        return self.wanted[~self.known & (self.wanted >= span[0]) & (self.wanted < span[1])]


class SymbolHealer:
    """Heals gaps of one symbol."""

    def __init__(
        self,
        desk: "HistoryDesk",
        book: HealBook,
        symbol: Symbol,
        calendar: Calendar,
        say: Callable[[str], None],
    ) -> None:
        """Nothing is done yet.

        Args:
            desk: Whose store, ledger and providers.
            book: The healer's.
            symbol: Of all the gaps.
            calendar: Its sessions, the extended ones where it is set to them.
            say: Told, as a sentence, what cannot be healed.
        """
        self._desk = desk
        self._book = book
        self._symbol = symbol
        self._calendar = calendar
        self._say = say

    def heal(
        self, portions: Sequence[Portion], journaled: "JournaledTrades", notes: Mapping[int, GapNote], ready: int
    ) -> tuple[int, bool]:
        """Heal portions.

        Args:
            portions: Of gaps of the symbol; they may overlap.
            journaled: The ticks around them.
            notes: The book's, by gap.
            ready: ns; minutes that end by this moment can be asked for.

        Returns:
            How many minute bars changed, and whether any gap came further.

        Raises:
            DeskError: The store, the ledger or the book cannot be used.
        """
        wanted = np.unique(np.concatenate([portion.minutes for portion in portions]))
        work = _Work(wanted, np.zeros(len(wanted), np.bool_), np.full(len(wanted), "", object))
        for portion in portions:
            rows = journaled.minutes(self._symbol, portion.gap.feed, portion.span, self._calendar)
            if rows is not None:
                work.written += self._store(rows, (portion.gap.feed,), portion.minutes)
                work.learn(portion.minutes, portion.gap.feed)
        for span in requests(runs(wanted, ~work.known)):
            self._take(fill(self._desk, self._symbol, *span, ready), span, work)
        self._book.want_above(_above(self._symbol, wanted[work.known], self._calendar))
        moved = [self._settle(portion, work, notes.get(portion.gap.id)) for portion in portions]
        return work.written, any(moved)

    def _take(self, found: Filled, span: Span, work: _Work) -> None:
        """Store what was found of a span."""
        minutes = work.unknown(span)
        known = _in(found.known, minutes)
        regular = calendar_for(self._symbol)
        if self._calendar is not regular:
            # Providers are asked for the regular session: they say nothing of the quiet before and after it.
            known &= np.isin(minutes, found.rows["start"]) | bounds_of(minutes, Interval.M1, regular)[2]
        work.written += self._store(found.rows, found.sources, minutes[known])
        work.learn(minutes[known], "+".join(found.sources))
        if not known.all():
            outside = f"no provider gives bars of {self._symbol} outside its regular session"
            work.trouble.append((span, found.trouble or outside, found.lasting or not found.trouble))

    def _store(self, rows: NDArray[np.void], sources: Sequence[str], minutes: Minutes) -> int:
        """Write those of some bars that are of these minutes; how many changed."""
        rows = rows[np.isin(rows["start"], minutes)].copy()
        if not len(rows):
            return 0
        rows["state"], rows["updated_at"], rows["seq"], rows["revision"] = BarState.HEALED, self._desk.now_ns(), -1, 0
        if len(sources) == 1:
            rows["stream"] = 0
        streams = tuple(Stream(n, source, self._symbol, FeedKind.TRADES, 0) for n, source in enumerate(sources))
        written = store_patiently(self._desk, BarBatch(rows, streams), WRITER)
        return written.inserted + written.updated

    def _settle(self, portion: Portion, work: _Work, note: GapNote | None) -> bool:
        """Say in the book and the ledger what became of a gap; whether it came further."""
        gap, (start, end) = portion.gap, portion.span
        note = note or GapNote(gap.id, 0, 0, 0, 0, "", "")
        places = np.searchsorted(work.wanted, portion.minutes)
        known = work.known[places]
        upto, why = end, note.why if note.lacking else ""
        lacking: Sequence[Span] = []
        if not known.all():
            minute = int(portion.minutes[~known][0])
            why, lasting = _why(work.trouble, minute)
            upto = end if lasting else minute
            lacking = runs(portion.minutes, ~known) if lasting else []
        healed = places[known & (portion.minutes < upto)]
        names = {*note.healed_by.split("+"), *(name for by in set(work.by[healed]) for name in by.split("+"))}
        healed_by = "+".join(sorted(filter(None, names)))
        count = note.lacking + sum(last - first for first, last in lacking) // MINUTE_NS
        bars = note.bars + self._count(start, upto)
        # The book first: what the ledger says of a gap is never ahead of it.
        note = GapNote(gap.id, upto, count, bars, self._desk.now_ns(), healed_by, why)
        self._book.note_gap(note, lacking)
        if portion.last and upto >= end:
            settle(self._desk, gap, note, self._say)
        elif gap.state is not GapState.OPEN:
            self._desk.ledger.settle_gap(gap.id, GapState.OPEN)
        return upto > start

    def _count(self, start: int, end: int) -> int:
        states = (BarState.HEALED, BarState.OFFICIAL)
        return len(self._desk.store.read(self._symbol, Interval.M1, start, end, states=states))


def settle(desk: "HistoryDesk", gap: Gap, note: GapNote, say: Callable[[str], None]) -> None:
    """Say in the ledger what became of a gap of which all is done that can be done.

    Args:
        desk: Whose ledger.
        gap: As the ledger has it.
        note: As the book has it.
        say: Told, as a sentence, if it cannot be filled.
    """
    state = GapState.UNFILLABLE if note.lacking else GapState.HEALED
    if state is not gap.state:
        desk.ledger.settle_gap(gap.id, state, note.healed_by or None)
    if state is GapState.UNFILLABLE:
        say(f"{gap.symbol}: the gap ({gap.reason}) cannot be filled: {note.why}")


def _why(trouble: Sequence[tuple[Span, str, bool]], minute: int) -> tuple[str, bool]:
    """Why a minute is not known, and whether that will last."""
    for span, text, lasting in trouble:
        if span[0] <= minute < span[1]:
            return text, lasting
    return "it is not known yet", False


def _in(known: Spans, minutes: Minutes) -> NDArray[np.bool_]:
    """Which minutes are known."""
    inside = np.ones(len(minutes), np.bool_)
    if len(minutes):
        for first, last in known.gaps(int(minutes[0]), int(minutes[-1]) + MINUTE_NS):
            inside &= (minutes + MINUTE_NS <= first) | (minutes >= last)
    return inside


def _above(symbol: Symbol, minutes: Minutes, calendar: Calendar) -> list[Above]:
    """The longer bars that hold some minutes, each once."""
    found: list[Above] = []
    for interval in INTERVALS[1:]:
        start, end, inside = bounds_of(minutes, interval, calendar)
        bounds = sorted(set(zip(start[inside].tolist(), end[inside].tolist(), strict=True)))
        found += [Above(symbol, interval, first, last) for first, last in bounds]
    return found
