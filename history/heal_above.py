"""Bars above healed minutes: rolled up again from what the store now holds, or taken from whoever has them whole.

A bar is rolled up where the desk has followed its symbol from the bar's start on, so that all its minutes are held or
were quiet. Of a bar that had begun before, nothing here says which of its minutes are lacking: that one is asked for
itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from history.fetching import NobodyGave, fetch_bars
from history.heal_fill import LAG_NS, lasts
from history.heal_gaps import WRITER
from history.heal_spans import Span, requests
from history.held_bars import held_bars
from history.order import VENUES
from history.partial_bars import REASON as UNEXPLAINED
from history.storing import store_patiently
from market.bars import BarBatch, BarState
from market.errors import DeskError
from market.intervals import Interval
from market.sessions import Calendar
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from operators.rollup import roll_up
from sinks.heal_book import Above, AboveState, GapNote
from sinks.ledger import Gap, GapState

if TYPE_CHECKING:
    from history.desk import HistoryDesk

_KEPT: Final = (BarState.HEALED, BarState.OFFICIAL)
"""A bar in one of these states was mended already, or needs no mending."""


class Ground(NamedTuple):
    """What is known of a symbol by the time its longer bars are made again."""

    calendar: Calendar
    gaps: Sequence[Gap]
    """All of the ledger."""
    notes: Mapping[int, GapNote]
    """How far each gap is healed, by its id."""
    lacking: Sequence[Span]
    """What nobody has."""
    since: int | None
    """ns, from when on the desk has followed the symbol without a break; None if it does not."""
    edge: int
    """ns; bars that end before it, and all that is in them, have come into the store."""


class Made(NamedTuple):
    """What became of some bars."""

    settled: list[Above]
    """Those that are done, or given up."""
    written: int
    """Bars that changed."""
    waiting: int


def make_above(desk: "HistoryDesk", symbol: Symbol, bars: Sequence[Above], ground: Ground) -> Made:
    """Make the bars that can be made by now.

    Args:
        desk: Whose store and providers.
        symbol: Of all the bars.
        bars: Wanted.
        ground: What they are made on.

    Raises:
        DeskError: The store cannot be read or written.
    """
    settled: list[Above] = []
    to_roll: list[Above] = []
    worse: dict[Above, str] = {}
    written = 0
    for bar in bars:
        gaps = [gap for gap in ground.gaps if gap.start < bar.end and (gap.end is None or bar.start < gap.end)]
        if bar.end > ground.edge or any(_unhealed(gap, bar.end, ground) for gap in gaps):
            continue
        followed = ground.since is not None and ground.since <= bar.start
        lacks = any(start < bar.end and bar.start < end for start, end in ground.lacking)
        if followed and not lacks and all(gap.reason != UNEXPLAINED for gap in gaps):
            to_roll.append(bar)
            continue
        found = _ask(desk, symbol, bar)
        if found.rows is not None:
            written += _write(desk, symbol, found.rows, [found.source])
        if found.settled:
            settled.append(bar._replace(state=AboveState.DONE, why=""))
        elif found.lasting and followed and lacks:
            # Nobody has all of it, but some of its minutes are better than they were.
            to_roll.append(bar)
            worse[bar] = found.why
        elif found.lasting:
            settled.append(bar._replace(state=AboveState.GIVEN_UP, why=found.why))
    rolled, changed = _roll(desk, symbol, to_roll, worse, ground.calendar)
    settled += rolled
    return Made(settled, written + changed, len(bars) - len(settled))


def _unhealed(gap: Gap, end: int, ground: Ground) -> bool:
    """Whether a gap still has to be healed somewhere before a moment."""
    note = ground.notes.get(gap.id)
    return gap.state is GapState.OPEN and (note is None or note.upto < min(end, gap.end or end))


def _roll(
    desk: "HistoryDesk", symbol: Symbol, bars: Sequence[Above], worse: Mapping[Above, str], calendar: Calendar
) -> tuple[list[Above], int]:
    """Roll bars up from the minutes in the store, and write them in one go.

    Args:
        desk: Whose store.
        symbol: Of the bars.
        bars: To be made.
        worse: Those of them that stay partial, and why.
        calendar: Of the symbol.

    Returns:
        Those that are settled, and how many changed.
    """
    settled: list[Above] = []
    parts: list[NDArray[np.void]] = []
    sources: dict[str, int] = {}
    for start, end in requests(((bar.start, bar.end) for bar in bars), apart=0):
        minutes, names = held_bars(desk.store, symbol, Interval.M1, start, end)
        kept = np.isin(minutes["state"], _KEPT)
        inside = [bar for bar in bars if start <= bar.start < end]
        by_interval = {interval: roll_up(minutes, interval, calendar) for interval in {bar.interval for bar in inside}}
        for bar in inside:
            first, last = np.searchsorted(minutes["start"], (bar.start, bar.end))
            if (minutes["state"][first:last] == BarState.FORMING).any():
                continue
            made = by_interval[bar.interval]
            made = made[made["start"] == bar.start].copy()
            if len(made):
                made["state"] = BarState.PARTIAL if bar in worse else BarState.HEALED
                # Whose minutes it was mended with; where the live ones alone changed it, theirs.
                healed = {names[place] for place in range(first, last) if kept[place]}
                source = "+".join(sorted(healed or set(names[first:last])))
                made["stream"] = sources.setdefault(source, len(sources))
                parts.append(made)
            state = AboveState.GIVEN_UP if bar in worse else AboveState.DONE
            settled.append(bar._replace(state=state, why=worse.get(bar, "")))
    return settled, _write(desk, symbol, np.concatenate(parts), list(sources)) if parts else 0


class _Answer(NamedTuple):
    """What came of asking for one bar."""

    settled: bool
    rows: NDArray[np.void] | None = None
    source: str = ""
    why: str = ""
    lasting: bool = False


def _ask(desk: "HistoryDesk", symbol: Symbol, bar: Above) -> _Answer:
    """The bar as a provider has it, unless the store has one that needs no mending."""
    held, _ = held_bars(desk.store, symbol, bar.interval, bar.start, bar.start + 1)
    if len(held) and int(held["state"][0]) in _KEPT:
        return _Answer(settled=True)
    try:
        for part in fetch_bars(desk, symbol, bar.interval, start=bar.start, end=bar.end):
            rows = part.batch.rows
            rows = rows[(rows["start"] == bar.start) & (rows["state"] != BarState.FORMING)].copy()
            if len(rows):
                rows["state"], rows["stream"] = BarState.HEALED, 0
                return _Answer(settled=True, rows=rows, source=part.batch.streams[0].feed)
    except NobodyGave as error:
        return _Answer(False, why=str(error), lasting=lasts(error))
    except DeskError as error:
        return _Answer(False, why=str(error), lasting=True)
    late = symbol.exchange not in VENUES and bar.end > desk.now_ns() - LAG_NS
    return _Answer(False, why=f"no provider has this {bar.interval} bar of {symbol}", lasting=not late)


def _write(desk: "HistoryDesk", symbol: Symbol, rows: NDArray[np.void], sources: Iterable[str]) -> int:
    rows["updated_at"] = desk.now_ns()
    streams = tuple(Stream(place, source, symbol, FeedKind.TRADES, 0) for place, source in enumerate(sources))
    written = store_patiently(desk, BarBatch(rows, streams), WRITER)
    return written.inserted + written.updated
