"""Bars that a provider does not have itself: rolled up from its finer ones, or made of its trades by the live kernel.

What comes in are parts: bars, and the span that they, with the parts before, are all there is in. A coarse bar goes out
once the span holds all of it, so that neither the cut between two pages nor a provider that fails in between leaves a
bar that lacks some of its minutes.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from history.slot_numbers import next_slot, slot_number, slot_start
from market.bars import BAR, BarState
from market.intervals import MINUTE_NS, Interval
from market.sessions import Calendar
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from market.ticks import MARK, TICK, MarkKind
from operators.rollup import roll_up
from sources.history.provider import NOBODY_KNOWS, BadRow, Page, TradePage

if TYPE_CHECKING:
    from operators.bars import Aggregator

_ALL: Final = (-(1 << 63), (1 << 63) - 1)
_FILE: Final = 1
"""Clock domain of ticks whose clock is their own event time."""


class Part(NamedTuple):
    """Some of the bars asked for."""

    bars: NDArray[np.void]
    """`BAR` records in order of start."""
    start: int
    """ns; these bars, with those of the parts before, are all that the provider has in `[start, end)`."""
    end: int
    bad: Sequence[BadRow] = ()
    lost: Sequence[int] = ()
    """Starts of bars that traded and are in no part, ns, or `NOBODY_KNOWS`."""


def parts_of(pages: Iterable[Page], start: int | None, end: int) -> Iterator[Part]:
    """Bars as the provider has them, each once, and the span that is known after each page.

    Pages come oldest or newest first; either way what lies between the first and the last bar seen so far is complete.

    Args:
        pages: Of one request.
        start: ns; bars that start before are left out.
        end: ns; those that start here or later too.

    Yields:
        A part a page, of bars that no part before it held.
    """
    low: int | None = None
    high = 0
    for page in pages:
        bars = page.bars
        starts = bars["start"]
        keep = starts < end
        if start is not None:
            keep &= starts >= start
        if low is not None:
            keep &= (starts < low) | (starts >= high)
        if not keep.all():
            bars = bars[keep]
        if not len(bars):
            yield Part(bars, end, end, page.bad, page.lost)
            continue
        first, last = int(bars["start"][0]), min(int(bars["end"][-1]), end)
        if low is None:
            low, high = first, last
        else:
            # The next page joins on to what is known, on one side of it.
            first, last = min(first, high), max(last, low)
            low, high = min(low, first), max(high, last)
        yield Part(bars, first, last, page.bad, page.lost)


def rolled_up(parts: Iterable[Part], interval: Interval, calendar: Calendar, span: tuple[int, int]) -> Iterator[Part]:
    """Coarse bars of finer ones.

    Args:
        parts: Of the finer bars; growing from one place, older or newer.
        interval: Of the bars to be made.
        calendar: The symbol's sessions.
        span: `[start, end)` that the finer bars were asked for, ns, beginning where a coarse bar begins.

    Yields:
        As many parts, each of the coarse bars that came to be complete with it; after the last the rest. A bar that
        lacks a lost finer one is lost too: it would look whole, and be wrong.
    """
    held = np.empty(0, BAR)
    lost = _Lost(interval, calendar)
    known: tuple[int, int] | None = None
    done: tuple[int, int] | None = None
    bad: list[BadRow] = []
    for part in parts:
        bad += part.bad
        lost.add(part.lost, _span_of(part.bars))
        if part.end > part.start:
            known = (part.start, part.end) if known is None else (min(known[0], part.start), max(known[1], part.end))
            held = np.concatenate((held, part.bars))
        if known is None:
            continue
        whole = _whole(known, interval, calendar)
        if whole[1] > whole[0] and whole != done:
            made, held = _take(held, interval, calendar, whole)
            new = _new(whole, done)
            done = whole
            yield Part(lost.without(made), *new, tuple(bad), lost.told())
            bad = []
    made, _ = _take(held, interval, calendar, span)
    made = lost.without(made)
    for start, end in _around(span, done):
        inside = (made["start"] >= start) & (made["start"] < end)
        yield Part(made[inside], start, end, tuple(bad), lost.told())
        bad = []


class _Lost:
    """Which of the bars to be made lack something that was lost."""

    def __init__(self, interval: Interval, calendar: Calendar) -> None:
        self._interval = interval
        self._calendar = calendar
        self._starts: set[int] = set()
        self._spans: list[tuple[int, int]] = []
        self._told: list[int] = []

    def add(self, lost: Sequence[int], around: tuple[int, int]) -> None:
        """Take in what was lost, ns; where nobody knows when, it may have been anywhere in the span around."""
        for time in lost:
            if time == NOBODY_KNOWS:
                self._spans.append(around)
                self._told.append(time)
                continue
            start = slot_start(
                self._calendar, self._interval, slot_number(self._calendar, self._interval, time + 1) - 1
            )
            if start not in self._starts:
                self._starts.add(start)
                self._told.append(start)

    def without(self, made: NDArray[np.void]) -> NDArray[np.void]:
        """Bars without those that lack something."""
        if not (self._starts or self._spans):
            return made
        whole = ~np.isin(made["start"], list(self._starts))
        for first, last in self._spans:
            whole &= (made["end"] <= first) | (made["start"] >= last)
        return made[whole]

    def told(self) -> tuple[int, ...]:
        """Starts of the bars that are lost, ns, or `NOBODY_KNOWS`; each once."""
        told, self._told = tuple(self._told), []
        return told


def _span_of(bars: NDArray[np.void]) -> tuple[int, int]:
    """From the first bar's start to the last one's end, ns; all times where there is none."""
    return (int(bars["start"].min()), int(bars["end"].max())) if len(bars) else _ALL


def _whole(known: tuple[int, int], interval: Interval, calendar: Calendar) -> tuple[int, int]:
    """The slots that lie in a span with all that they hold."""
    start = next_slot(calendar, interval, known[0])
    # The slot that holds the last known moment is only whole if the next one is known to begin.
    end = slot_start(calendar, interval, slot_number(calendar, interval, known[1] + 1) - 1)
    return start, max(start, end)


def _take(
    held: NDArray[np.void], interval: Interval, calendar: Calendar, span: tuple[int, int]
) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """Roll up the bars that start in a span; what is left of them."""
    inside = (held["start"] >= span[0]) & (held["start"] < span[1])
    taken = held[inside]
    return roll_up(taken[np.argsort(taken["start"])], interval, calendar), held[~inside]


def _new(whole: tuple[int, int], done: tuple[int, int] | None) -> tuple[int, int]:
    """What a span that grew on one side has more than before."""
    if done is None:
        return whole
    return (whole[0], done[0]) if whole[0] < done[0] else (done[1], whole[1])


def _around(span: tuple[int, int], done: tuple[int, int] | None) -> Iterator[tuple[int, int]]:
    """What of a span lies before and after a part of it."""
    if done is None:
        yield span
        return
    if done[1] < span[1]:
        yield done[1], span[1]
    if span[0] < done[0]:
        yield span[0], done[0]


def minutes_of(pages: Iterable[TradePage], symbol: Symbol, calendar: Calendar, start: int, end: int) -> Iterator[Part]:
    """One-minute bars of trades, made by the kernel that makes the live ones.

    Args:
        pages: All trades of `[start, end)`, oldest first.
        symbol: The instrument.
        calendar: Its sessions.
        start: ns, a whole minute.
        end: ns.

    Yields:
        A part a page, of the minutes that are over by its last trade; at last the rest, all of them official.
    """
    from operators.bars import Aggregator

    stream = Stream(0, "trades", symbol, FeedKind.TRADES, _FILE)
    lost = _Lost(Interval.M1, calendar)
    kernel = Aggregator(0)
    kernel.add_stream(stream, calendar)
    mark = np.zeros(1, MARK)
    mark["kind"] = MarkKind.FILE_START
    seq = 1
    _fold(kernel, seq, start, np.empty(0, TICK), mark)
    known = start
    for page in pages:
        if not len(page.ticks):
            lost.add(page.lost, _ALL)
            yield Part(np.empty(0, BAR), end, end, page.bad, lost.told())
            continue
        seq += 1
        ticks = page.ticks.copy()
        ticks["stream"], ticks["received_time"] = 0, ticks["event_time"]
        clock = int(ticks["event_time"][-1])
        made = _fold(kernel, seq, clock, ticks, mark[:0])
        # A trade of this very minute may stand on the next page.
        upto = max(known, clock // MINUTE_NS * MINUTE_NS)
        lost.add(page.lost, (known, upto + MINUTE_NS))
        yield Part(lost.without(_minutes(made)), known, upto, page.bad, lost.told())
        known = upto
    rest = kernel.forming()
    yield Part(lost.without(_minutes(rest)), known, end, (), lost.told())


def _minutes(rows: NDArray[np.void]) -> NDArray[np.void]:
    bars: NDArray[np.void] = rows[rows["interval"] == Interval.M1]
    bars["state"] = BarState.OFFICIAL
    return bars


def _fold(
    kernel: "Aggregator", seq: int, clock: int, ticks: NDArray[np.void], marks: NDArray[np.void]
) -> NDArray[np.void]:
    """Fold one row of ticks or of marks; the bars that it closed."""
    made = kernel.fold(
        ticks,
        np.arange(len(ticks), dtype=np.uint32),
        np.array([seq], np.int64),
        np.array([clock], np.int64),
        np.array([0, len(ticks)], np.int64),
        np.array([True]),
        marks,
        np.array([0, len(marks)], np.int64),
        _FILE,
    )
    return made.closed
