"""The one order of ticks and closed bars: that of the journal's rows, read in bulk.

A row at which a minute has closed is a **boundary**: a row that beats (`market.chunks`) whose clock, less the grace,
lies in a later minute than at the boundary before. First come its ticks; then what the bars dataflow has logged since
the last boundary is shown, and decided on. So an order that was decided there fills at the first tick of a later row
that counts for the run: one of the stream that makes its symbol's bars, inside its session, and of a minute that was
not over when the last boundary came. Paper trading goes by the same rule, one row at a time, in code of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from backtest.curve import Times
from market.chunks import Chunk, Position
from market.errors import DeskError
from market.intervals import MINUTE_NS
from market.sessions import calendar_for
from market.streams import Stream
from market.symbols import Symbol
from market.ticks import MarkKind
from trading.records import VIEW, Records
from trading.ticks import tick_views

LIVE: Final = 0
"""Clock domain of the live feeds."""
MAX_TICKS: Final = 131_072
UNKNOWN: Final = int(np.iinfo(np.int64).min)
"""Minute that has closed before any has."""
LOOK_BACK: Final = 2_048
"""Rows in which the last boundary is looked for first."""


class Rows(Protocol):
    """The journal, or it and its archive; see `sources.journal.JournalReader`."""

    def streams(self) -> tuple[Stream, ...]:
        """All streams, by id."""
        ...

    def first_seq(self) -> int:
        """Number of the oldest row; 0 where there is none."""
        ...

    def last_seq(self) -> int:
        """Number of the newest row; 0 where there is none."""
        ...

    def read_chunks(self, position: Position, max_ticks: int) -> tuple[list[Chunk], Position]:
        """Read on from a position."""
        ...


class Standing(NamedTuple):
    """How things stand after a row of the journal."""

    seq: int
    """The row; 0 before the first."""
    clock: int
    """Of the last live row up to it that was no quotes row, ns; `UNKNOWN` before the first."""
    boundary: int
    """The last boundary up to it; 0 before the first."""
    minute: int
    """Minutes since 1970 that had closed then; `UNKNOWN` before the first boundary."""


class Boundaries(NamedTuple):
    """Boundaries in their order: arrays of equal length."""

    seq: Times
    """The row of each."""
    clock: Times
    """Of that row, ns."""
    minute: Times
    """Minutes since 1970 that have closed by then."""
    ticks: NDArray[np.int64]
    """Ticks of the stretch that come before it is decided."""


class Stretch(NamedTuple):
    """Consecutive rows of the journal, as far as they matter to one run."""

    ticks: Records
    """`VIEW`: those that count."""
    sessions: Times
    """End of the session that each one's event is in, ns."""
    rows: Times
    """Row of each."""
    boundaries: Boundaries
    seqs: Times
    """Every live row, whatever it holds."""
    clocks: Times
    """Of each of these, ns."""
    designated: Mapping[Symbol, int]
    """Of the run's symbols the stream that makes the bars at its end; -1 for none."""
    after: Standing
    """How things stand at its end."""


class Graces(NamedTuple):
    """How long after its end a minute closes, as it was changed: arrays of equal length."""

    seq: Times
    """Rows after this one; the first is 0."""
    grace_ns: Times

    @classmethod
    def of(cls, grace_ns: int, changes: Sequence[tuple[int, int]] = ()) -> "Graces":
        """One grace from the beginning, and others after the rows of `changes`."""
        seqs, graces = zip((0, grace_ns), *changes, strict=True)
        return cls(np.array(seqs, np.int64), np.array(graces, np.int64))

    def at(self, rows: Times) -> Times:
        """Of each row, ns."""
        return self.grace_ns[np.searchsorted(self.seq, rows, side="left") - 1]


def standing(rows: Rows, seq: int, graces: Graces) -> Standing:
    """How things stand after a row, found by looking back from it.

    Raises:
        DeskError: The row is not there any more.
    """
    first = rows.first_seq()
    _check_there(first, seq)
    back, least = LOOK_BACK, int(graces.grace_ns.min())
    while True:
        after = max(seq - back, first - 1, 0)
        seqs, clocks, beats = _live_rows(rows, after, seq)
        minutes = np.where(beats, (clocks - graces.at(seqs)) // MINUTE_NS, UNKNOWN)
        closed = int(minutes.max(initial=UNKNOWN))
        known = after < first
        # Whether the first row that was read beats is not known; but where its clock is too early for any grace, the
        # minute had not closed by then.
        if closed != UNKNOWN and (known or (int(clocks[0]) - least) // MINUTE_NS < closed):
            return Standing(seq, int(clocks[-1]), int(seqs[np.argmax(minutes == closed)]), closed)
        if known:
            return Standing(seq, int(clocks[-1]) if len(clocks) else UNKNOWN, 0, UNKNOWN)
        back *= 8


def stretches(
    rows: Rows,
    begin: Standing,
    upto: int,
    designated: Mapping[Symbol, int],
    graces: Graces,
    *,
    closing: int | None = None,
    max_ticks: int = MAX_TICKS,
) -> Iterator[Stretch]:
    """Yield the rows after a standing, a stretch at a time.

    Args:
        rows: The journal, and what was before it.
        begin: Where to begin.
        upto: The last row.
        designated: Of the run's symbols, in its order, the stream that makes the bars at the beginning; -1 for none.
        graces: When minutes close.
        closing: End with the first boundary by which this moment (ns) has closed.
        max_ticks: About how many ticks to read at once.

    Raises:
        DeskError: Rows that follow `begin` are not there any more.
    """
    first = rows.first_seq()
    if begin.seq < upto:
        _check_there(first, begin.seq + 1)
    counting = _Counting(tuple(designated), dict(designated))
    position = Position(begin.seq, {} if begin.clock == UNKNOWN else {LIVE: begin.clock})
    now = begin
    while position.seq < upto:
        chunks, after = rows.read_chunks(position, max_ticks)
        if after.seq == position.seq:
            break
        position = after
        for chunk in chunks:
            if chunk.domain != LIVE:
                continue
            made = _stretch(chunk, now, upto, counting, graces, closing)
            if made is not None:
                yield made
                now = made.after
                if closing is not None and now.minute != UNKNOWN and now.minute * MINUTE_NS >= closing:
                    return
    last = min(position.seq, upto)
    if last > now.seq:
        yield Stretch(
            _NO_TICKS, _NO_TIMES, _NO_TIMES, _NO_BOUNDARIES, _NO_TIMES, _NO_TIMES, counting.designated,
            now._replace(seq=last),
        )  # fmt: skip


class _Counting:
    """Which ticks count for a run, as marks change it."""

    def __init__(self, symbols: tuple[Symbol, ...], designated: dict[Symbol, int]) -> None:
        self.symbols = symbols
        self._designated = designated
        self._known: tuple[Stream, ...] = ()
        self._place = np.empty(0, np.int64)
        self._active = np.empty(0, np.bool_)

    @property
    def designated(self) -> dict[Symbol, int]:
        """By symbol the stream that makes its bars now."""
        return self._designated.copy()

    def learn(self, streams: tuple[Stream, ...]) -> None:
        """Take note of the journal's streams."""
        if streams is self._known:
            return
        places = {symbol: place for place, symbol in enumerate(self.symbols)}
        self._known = streams
        self._place = np.array([places.get(stream.symbol, -1) for stream in streams], np.int64)
        self._active = np.array([self._designated.get(stream.symbol) == stream.id for stream in streams], np.bool_)

    def designate(self, stream: int) -> None:
        """A mark: from here on this stream makes the bars of its symbol."""
        symbol = self._known[stream].symbol
        if symbol in self._designated:
            self._active &= self._place != self._place[stream]
            self._active[stream] = True
            self._designated[symbol] = stream

    def of_streams(self, streams: NDArray[np.uint16]) -> NDArray[np.bool_]:
        """Whether the stream of each tick makes bars of the run now."""
        return self._active[streams]

    def places(self, streams: NDArray[np.uint16]) -> NDArray[np.int64]:
        """Places of the ticks' symbols."""
        return self._place[streams]

    def sessions(self, streams: NDArray[np.uint16], events: Times) -> Times:
        """End of the session that each event is in, ns; 0 outside of all."""
        found = np.zeros(len(events), np.int64)
        for number in np.unique(streams).tolist():
            stream = self._known[number]
            calendar = calendar_for(stream.symbol, extended=stream.extended)
            mine = streams == number
            minutes = events[mine] // MINUTE_NS
            place = np.searchsorted(calendar.open, minutes, side="right") - 1
            inside = (place >= 0) & (minutes < calendar.close[place])
            found[mine] = np.where(inside, calendar.day_end[place] * MINUTE_NS, 0)
        return found


def _stretch(
    chunk: Chunk, now: Standing, upto: int, counting: _Counting, graces: Graces, closing: int | None
) -> Stretch | None:
    counting.learn(chunk.streams)
    n = int(np.searchsorted(chunk.row_seq, upto, side="right"))
    if n == 0:
        return None
    seqs, clocks = chunk.row_seq[:n], chunk.row_clock[:n]
    minutes = np.where(chunk.row_beat[:n], (clocks - graces.at(seqs)) // MINUTE_NS, UNKNOWN)
    # Of each row the minute that has closed before it, and of the last what has closed after it.
    closed = np.maximum.accumulate(np.concatenate(([now.minute], minutes)))
    if closing is not None:
        over = np.flatnonzero((closed[1:] != UNKNOWN) & (closed[1:] * MINUTE_NS >= closing))
        if len(over):
            n = int(over[0]) + 1
            seqs, clocks, closed = seqs[:n], clocks[:n], closed[: n + 1]
    bounds = np.flatnonzero(closed[1:] > closed[:-1])
    first_tick = chunk.row_first_tick[: n + 1]
    row = np.repeat(np.arange(n), np.diff(first_tick))
    ticks = chunk.ticks[: int(first_tick[-1])]
    keep = _designated(chunk, n, ticks, counting)
    events = ticks["event_time"]
    before = closed[:-1][row]
    keep &= (before == UNKNOWN) | (events // MINUTE_NS >= before)
    kept = np.flatnonzero(keep)
    ends = counting.sessions(ticks["stream"][kept], events[kept])
    kept, ends = kept[ends != 0], ends[ends != 0]
    taken = ticks[kept]
    rows = row[kept]
    last = bounds[-1] if len(bounds) else None
    return Stretch(
        tick_views(taken, counting.places(taken["stream"])),
        ends,
        seqs[rows],
        Boundaries(seqs[bounds], clocks[bounds], closed[1:][bounds], np.searchsorted(rows, bounds, side="right")),
        seqs,
        clocks,
        counting.designated,
        Standing(
            int(seqs[-1]) if n < len(chunk.row_seq) else chunk.last_seq,
            int(clocks[-1]),
            now.boundary if last is None else int(seqs[last]),
            int(closed[-1]),
        ),
    )


def _designated(chunk: Chunk, n: int, ticks: NDArray[np.void], counting: _Counting) -> NDArray[np.bool_]:
    """Whether each tick of the first n rows is of the stream that makes the bars then."""
    streams = ticks["stream"]
    keep = np.zeros(len(ticks), np.bool_)
    place = 0
    marks = chunk.marks[: int(chunk.row_first_mark[n])]
    for mark in np.flatnonzero(marks["kind"] == MarkKind.DESIGNATED).tolist():
        row = int(np.searchsorted(chunk.row_first_mark, mark, side="right")) - 1
        upto = int(chunk.row_first_tick[row])
        keep[place:upto] = counting.of_streams(streams[place:upto])
        counting.designate(int(marks["stream"][mark]))
        place = upto
    keep[place:] = counting.of_streams(streams[place:])
    return keep


def _live_rows(rows: Rows, after: int, upto: int) -> tuple[Times, Times, NDArray[np.bool_]]:
    """Numbers and clocks of the live rows in (after, upto], and whether they beat."""
    found: list[tuple[Times, Times, NDArray[np.bool_]]] = []
    position = Position(after)
    while position.seq < upto:
        chunks, following = rows.read_chunks(position, MAX_TICKS)
        if following.seq == position.seq:
            break
        position = following
        for chunk in chunks:
            if chunk.domain == LIVE:
                n = int(np.searchsorted(chunk.row_seq, upto, side="right"))
                found.append((chunk.row_seq[:n], chunk.row_clock[:n], chunk.row_beat[:n]))
    if not found:
        return _NO_TIMES, _NO_TIMES, np.empty(0, np.bool_)
    seqs, clocks, beats = zip(*found, strict=True)
    return np.concatenate(seqs), np.concatenate(clocks), np.concatenate(beats)


def _check_there(first: int, seq: int) -> None:
    if seq and first > seq:
        msg = (
            f"row {seq} of the journal is gone, and the archive does not have it: the oldest row left is {first}; "
            "begin later, or keep ticks longer (journal.keep_days, or an archive)"
        )
        raise DeskError(msg)


_NO_TIMES: Final[Any] = np.empty(0, np.int64)
_NO_TICKS: Final = np.empty(0, VIEW)
_NO_BOUNDARIES: Final = Boundaries(_NO_TIMES, _NO_TIMES, _NO_TIMES, _NO_TIMES)
