"""Coverage: which bars of a series are held, and which of those that are not are known to be nothing.

Of the bars that the calendar has room for, one is **held**; or it is **quiet**: absent, in a span that was fetched
whole from a provider or in which the live feed was up; or it is **missing**. Consecutive missing bars are a **hole**.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from history.slot_numbers import slot_number, slot_start
from history.spans import Spans
from market.intervals import MINUTE_NS, Interval
from market.sessions import Calendar, calendar_for
from market.slots import slots
from market.symbols import Symbol
from sinks.ledger_gaps import GapState

if TYPE_CHECKING:
    from sinks.bar_store import BarStore, Series
    from sinks.chunk_book import ChunkBook
    from sinks.ledger import Ledger

_PIECE: Final = 250_000
"""Bars that are read at a time: years of minutes are never in memory at once."""

Times = NDArray[np.int64]


class Hole(NamedTuple):
    """Bars that are missing, one after the other."""

    start: int
    """ns; start of the first."""
    end: int
    """ns; end of the last."""
    bars: int
    """How many, > 0."""


class Day(NamedTuple):
    """One day of a series; of a week's or a month's bar the day with which it starts."""

    day: int
    """Days since 1970, by the exchange's own reckoning."""
    expected: int
    """Bars that the calendar has room for, > 0."""
    held: int
    quiet: int

    @property
    def missing(self) -> int:
        """Bars that are neither held nor known to be nothing."""
        return self.expected - self.held - self.quiet

    @property
    def share(self) -> float:
        """How much of it is known, 0 to 1."""
        return (self.held + self.quiet) / self.expected


@dataclass(frozen=True, slots=True)
class Coverage:
    """What is held of one series in a span."""

    symbol: Symbol
    interval: Interval
    start: int
    """ns; the span that was looked at, from the oldest bar on unless told."""
    end: int
    """ns; to the end of the newest bar unless told."""
    first: int | None
    """Start of the oldest bar that is held in it, ns; None where none is."""
    last: int | None
    """Start of the newest, ns."""
    expected: int
    """Bars that the calendar has room for."""
    held: int
    quiet: int
    missing: int
    holes: tuple[Hole, ...]
    """By start."""
    days: tuple[Day, ...]
    """By day; days without a session are left out."""


@dataclass(frozen=True, slots=True)
class Known:
    """Spans in which a bar that is not held is known to be nothing."""

    fetched: Spans
    """Of starts: any bar that starts in one of them was asked for."""
    live: Spans
    """In which the live feed was up: a bar that lies within one of them would have been made."""


def coverage(
    store: "BarStore",
    symbol: Symbol,
    interval: Interval,
    known: Known,
    now: int,
    start: int | None = None,
    end: int | None = None,
    series: "Series | None" = None,
) -> Coverage:
    """What is held of one series. Bars that are not over do not count, neither as held nor as missing.

    Args:
        store: The bar store.
        symbol: Whose bars.
        interval: Their length.
        known: From `known_spans`.
        now: ns; decides what is over.
        start: ns; bars that start at this moment or later; None from the oldest that is held.
        end: ns; bars that start before this moment; None to the newest that is held.
        series: The store's entry for it, where the caller has it; else it is looked up.

    Raises:
        DeskError: The exchange has no calendar, or the store cannot be read.
    """
    calendar = calendar_for(symbol)
    if series is None:
        series = next((one for one in store.series() if (one.symbol, one.interval) == (symbol, interval)), None)
    if start is None:
        start = series.first if series is not None else end
    if end is None:
        end = series.last + 1 if series is not None else start
    if start is None or end is None:
        return Coverage(symbol, interval, 0, 0, None, None, 0, 0, 0, 0, (), ())
    count = _Count(calendar)
    for first, last in _pieces(calendar, interval, start, end):
        room = slots(calendar, interval, first, last)
        room = room[room[:, 1] <= now]
        held = np.isin(room[:, 0], store.starts(symbol, interval, first, last))
        count.add(room, held, ~held & _nothing(room, known, first, last))
    return count.result(symbol, interval, start, end)


def known_spans(
    symbol: Symbol,
    interval: Interval,
    *,
    store: "BarStore",
    chunks: "ChunkBook | None",
    ledger: "Ledger | None",
    live_until: int | None,
) -> Known:
    """Where the absence of a bar says that nothing traded.

    Args:
        symbol: Whose bars.
        interval: Their length.
        store: The bar store.
        chunks: What was fetched; None where nothing ever was.
        ledger: Subscriptions and gaps; None where the desk never ran.
        live_until: End of the symbol's newest minute bar, ns: live data is not vouched for beyond it, since a desk that
            is off notes its absence when it starts again. None where there is none.
    """
    fetched, live = Spans(), Spans()
    if chunks is not None:
        for chunk in chunks.chunks(store, symbol, interval):
            fetched.add(chunk.start, chunk.end)
    if ledger is not None and live_until is not None:
        since = [one.since for one in ledger.subscriptions() if one.symbol == symbol and one.designated]
        if since:
            lost = Spans()
            for gap in ledger.gaps(symbol):
                if gap.state is not GapState.HEALED:
                    lost.add(gap.start, live_until if gap.end is None else gap.end)
            for span in lost.gaps(since[0], live_until):
                live.add(*span)
    return Known(fetched, live)


def _pieces(calendar: Calendar, interval: Interval, start: int, end: int) -> Iterator[tuple[int, int]]:
    first, last = slot_number(calendar, interval, start), slot_number(calendar, interval, end)
    for number in range(first, last, _PIECE):
        upto = end if number + _PIECE >= last else slot_start(calendar, interval, number + _PIECE)
        yield (start if number == first else slot_start(calendar, interval, number)), upto


def _nothing(room: Times, known: Known, start: int, end: int) -> NDArray[np.bool_]:
    """Of bars that the calendar has room for, those whose absence says that nothing traded."""
    starts, ends = room.T
    asked = ~_touch(starts, starts + 1, known.fetched.gaps(start, end))
    if len(ends):
        asked |= ~_touch(starts, ends, known.live.gaps(start, int(ends[-1])))
    return asked


def _touch(starts: Times, ends: Times, spans: list[tuple[int, int]]) -> NDArray[np.bool_]:
    """Which of `[start, end)` overlap one of some spans that lie apart, in order."""
    if not spans:
        return np.zeros(len(starts), np.bool_)
    lows, highs = np.array(spans, dtype=np.int64).T
    place = np.searchsorted(lows, ends, side="left") - 1
    return np.asarray((place >= 0) & (highs[place] > starts))


class _Count:
    """Adds up a series piece by piece."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._days: dict[int, NDArray[np.int64]] = {}
        self._holes: list[Hole] = []
        self._open = False
        """Whether the last bar looked at was missing, so that a hole may go on in the next piece."""
        self._first: int | None = None
        self._last: int | None = None

    def add(self, room: Times, held: NDArray[np.bool_], quiet: NDArray[np.bool_]) -> None:
        """Take in the next bars, in order."""
        if not len(room):
            return
        starts = room[held, 0]
        if len(starts):
            self._first = int(starts[0]) if self._first is None else self._first
            self._last = int(starts[-1])
        place = np.searchsorted(self._calendar.open, room[:, 0] // MINUTE_NS, side="right") - 1
        days = self._calendar.day[place]
        # In order, so that a day is a run: a sum of runs costs a tenth of a sum by day, over millions of minutes.
        begins = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
        sums = [np.add.reduceat(flags, begins, dtype=np.int64) for flags in (held, quiet)]
        counts = np.stack([np.diff(begins, append=len(room)), *sums], axis=1)
        for day, count in zip(days[begins].tolist(), counts, strict=True):
            self._days[day] = self._days.get(day, np.zeros(3, dtype=np.int64)) + count
        self._add_holes(room, ~held & ~quiet)

    def _add_holes(self, room: Times, missing: NDArray[np.bool_]) -> None:
        edges = np.flatnonzero(np.diff(missing.astype(np.int8), prepend=0, append=0))
        for begin, after in edges.reshape(-1, 2).tolist():
            hole = Hole(int(room[begin, 0]), int(room[after - 1, 1]), after - begin)
            if begin == 0 and self._open:
                before = self._holes.pop()
                hole = Hole(before.start, hole.end, before.bars + hole.bars)
            self._holes.append(hole)
        self._open = bool(missing[-1])

    def result(self, symbol: Symbol, interval: Interval, start: int, end: int) -> Coverage:
        """All of it."""
        days = tuple(Day(day, *map(int, self._days[day])) for day in sorted(self._days))
        expected, held, quiet = (sum(day[place] for day in days) for place in (1, 2, 3))
        return Coverage(
            symbol, interval, start, end, self._first, self._last, expected, held, quiet, expected - held - quiet,
            tuple(self._holes), days,
        )  # fmt: skip
