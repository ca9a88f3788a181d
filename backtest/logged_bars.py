"""What the bars dataflow has logged: the bars as they came to be known, by the journal's row at which each did."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from backtest.curve import Times
from backtest.stream import Bars
from backtest.tick_order import LIVE, Rows, Standing
from market.bars import BAR, BarState
from market.chunks import Position
from market.intervals import Interval
from market.symbols import Symbol
from market.ticks import MarkKind
from sinks.bar_store import Logged

WRITER: Final = "bars"
"""Whose log it is."""
FILE_FEED: Final = "file:"
"""How the feeds of tick files begin: their bars are of another clock."""
WINDOW: Final = 16_384
"""Rows of the log that are looked at first, going back."""

Wanted = Mapping[tuple[Symbol, Interval], int]
"""A run's series, each with a number."""


class Log(Protocol):
    """A bar store, as far as its log goes; see `sinks.bar_store.BarStore`."""

    def revisions(self, writer: str | None = None, after: int = 0) -> Iterator[Logged]:
        """Logged rows with a place above `after`, in order."""
        ...

    def head(self, writer: str) -> tuple[int, str]:
        """Place of the last row in the writer's log, and the hash up to it."""
        ...


class Found(NamedTuple):
    """Logged bars in the order of the log: arrays of equal length."""

    bars: Bars
    """`BAR` records; `seq` is the journal's row."""
    place: Times
    """In the log, from 1."""
    series: NDArray[np.int64]
    """Number of the series, as it was wanted."""

    def where(self, keep: NDArray[np.bool_]) -> "Found":
        """Some of them."""
        return Found(self.bars[keep], self.place[keep], self.series[keep])


def first_revisions(found: Found) -> Found:
    """Those that a run is shown: of each bar the first revision, closed or partial, as it was known then."""
    states = found.bars["state"]
    return found.where((found.bars["revision"] == 1) & ((states == BarState.CLOSED) | (states == BarState.PARTIAL)))


def logged(log: Log, wanted: Wanted, place: int, after: int, upto: int) -> Found:
    """All revisions that live feeds made of some series.

    Args:
        log: The store.
        wanted: The series.
        place: Place in the log after which to look.
        after: Rows of the journal above this one,
        upto: and up to this one.
    """
    parts = []
    for part in log.revisions(WRITER, place):
        seqs = part.rows["seq"]
        if len(seqs) and int(seqs[0]) > upto:
            break
        numbers = _numbers(part, wanted)
        keep = (numbers >= 0) & (seqs > after) & (seqs <= upto)
        parts.append(Found(part.rows[keep], part.seqs[keep], numbers[keep]))
    if not parts:
        return Found(np.zeros(0, BAR), np.zeros(0, np.int64), np.zeros(0, np.int64))
    bars, places, series = zip(*parts, strict=True)
    return Found(np.concatenate(bars), np.concatenate(places), np.concatenate(series))


def place_of(log: Log, before: Callable[[np.void], bool]) -> int:
    """Place of the last live row for which something is true that is true of all before it; 0 if there is none."""
    low, high = 0, log.head(WRITER)[0]
    while low < high:
        middle = (low + high + 1) // 2
        found = _live_from(log, middle)
        if found is not None and found[0] <= high and before(found[1]):
            low = found[0]
        else:
            high = middle - 1
    return low


def place_at(log: Log, seq: int) -> int:
    """Place of the last row that came to be by a row of the journal; 0 if there is none."""
    return place_of(log, lambda row: int(row["seq"]) <= seq)


def row_at(log: Log, place: int) -> np.void | None:
    """The row at a place; None where there is none."""
    part = next(log.revisions(WRITER, place - 1), None) if place > 0 else None
    return None if part is None else part.rows[0]


def designated(log: Log, rows: Rows, begin: Standing, symbols: Sequence[Symbol]) -> dict[Symbol, int]:
    """The stream that makes the bars of each symbol after a row of the journal; -1 where none does yet.

    A bar says which stream made it, so only marks since the last one have to be looked for.
    """
    streams = rows.streams()
    known = {(stream.feed, stream.symbol): stream.id for stream in streams if stream.domain == LIVE}
    found = dict.fromkeys(symbols, -1)
    since = dict.fromkeys(symbols, 0)
    place = upper = place_at(log, begin.seq)
    window = WINDOW
    while place > 0 and not all(since.values()):
        place = max(place - window, 0)
        for part in log.revisions(WRITER, place):
            for symbol, stream, seq in _makers(part, known, min(upper, int(part.seqs[-1])), symbols):
                if seq > since[symbol]:
                    found[symbol], since[symbol] = stream, seq
            if int(part.seqs[-1]) >= upper:
                break
        upper = place
        window *= 8
    wanted = {stream.id: stream.symbol for stream in streams if stream.domain == LIVE and stream.symbol in found}
    for seq, stream in _designations(rows, min(since.values(), default=0), begin.seq):
        if stream in wanted and seq >= since[wanted[stream]]:
            found[wanted[stream]] = stream
    return found


def _makers(
    part: Logged, known: Mapping[tuple[str, Symbol], int], upper: int, symbols: Collection[Symbol]
) -> Iterator[tuple[Symbol, int, int]]:
    """Of each name in a part of the log, up to a place: the symbol, its stream and the last row of the journal."""
    rows = part.rows[: max(upper - int(part.seqs[0]) + 1, 0)]
    for number, name in enumerate(part.names):
        stream = known.get((name.feed, name.symbol))
        if stream is None or name.symbol not in symbols:
            continue
        seqs = rows["seq"][rows["stream"] == number]
        if len(seqs):
            yield name.symbol, stream, int(seqs[-1])


def _designations(rows: Rows, after: int, upto: int) -> Iterator[tuple[int, int]]:
    """Rows of the journal with a DESIGNATED mark, and its stream."""
    position = Position(max(after, rows.first_seq() - 1, 0))
    while position.seq < upto:
        chunks, following = rows.read_chunks(position, 1 << 18)
        if following.seq == position.seq:
            return
        position = following
        for chunk in chunks:
            if chunk.domain != LIVE:
                continue
            for mark in np.flatnonzero(chunk.marks["kind"] == MarkKind.DESIGNATED).tolist():
                row = int(np.searchsorted(chunk.row_first_mark, mark, side="right")) - 1
                seq = int(chunk.row_seq[row])
                if seq <= upto:
                    yield seq, int(chunk.marks["stream"][mark])


def _numbers(part: Logged, wanted: Wanted) -> NDArray[np.int64]:
    """Of each row the number of its series; -1 for one that is not wanted, or of a file of ticks."""
    table = np.full((max(len(part.names), 1), 256), -1, np.int64)
    for place, name in enumerate(part.names):
        if name.feed.startswith(FILE_FEED):
            continue
        for (symbol, interval), number in wanted.items():
            if symbol == name.symbol:
                table[place, int(interval)] = number
    found: NDArray[np.int64] = table[part.rows["stream"], part.rows["interval"]]
    return found


def _live_from(log: Log, place: int) -> tuple[int, np.void] | None:
    """The first row at or after a place that is of a live feed, and its place."""
    for part in log.revisions(WRITER, place - 1):
        live = np.array([not name.feed.startswith(FILE_FEED) for name in part.names] or [True])
        found = np.flatnonzero(live[part.rows["stream"]])
        if len(found):
            return int(part.seqs[found[0]]), part.rows[found[0]]
    return None
