"""The rule for bars once more: slow, obvious, and sharing no code with the kernel.

Where the kernel keeps running sums, this keeps the ticks of each minute and works every bar out anew from them, sorted,
whenever it goes out. `pq verify` and the tests hold the stored bars against it.
"""

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import chain
from typing import Any, Final, NamedTuple, Protocol

from market.bars import BarState
from market.intervals import INTERVALS, Interval
from market.journal_rows import RowKind
from market.streams import Stream
from market.symbols import Symbol
from market.ticks import MarkKind, TickFlag
from operators.oracle_book import Book, Doubts, HeldTick, Key

MINUTE: Final = 60 * 10**9
BEAT: Final = 50_000_000
AHEAD: Final = 60 * 10**9
AUCTION: Final = 30 * MINUTE


class JournalRow(Protocol):
    """What is read of a journal row: `market.journal_rows.Row` is one."""

    @property
    def seq(self) -> int:
        """Place in the journal."""

    @property
    def kind(self) -> int:
        """A `RowKind`."""

    @property
    def domain(self) -> int:
        """Clock domain."""

    @property
    def clock(self) -> int:
        """Ns."""

    @property
    def records(self) -> Any:
        """Array of `TICK` or `MARK` records."""


class Bounds(Protocol):
    """`market.sessions.bounds`, or a rule like it."""

    def __call__(self, symbol: Symbol, interval: Interval, time_ns: int, *, extended: bool) -> tuple[int, int] | None:
        """`[start, end)` in ns of the bar that holds a moment, `None` outside the sessions."""


class OracleBar(NamedTuple):
    """One bar as it goes out; fields as in `market.bars.BAR`."""

    stream: int
    interval: Interval
    start: int
    end: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    notional: float
    trades: int
    state: BarState
    revision: int
    updated_at: int
    seq: int


class OracleReject(NamedTuple):
    """One tick that enters no bar."""

    seq: int
    place: int
    """Index in the row."""
    stream: int
    reason: str
    """`late` or `future`."""


class Oracle:
    """Journal rows in, the expected bars out.

    Memory is that of the minutes of the current month of each symbol; `only` keeps it to some of the symbols.
    """

    def __init__(
        self,
        streams: Iterable[Stream],
        bounds: Bounds,
        grace_ns: int = 2 * 10**9,
        only: Collection[Symbol] | None = None,
    ) -> None:
        """Start at the journal's beginning.

        Args:
            streams: All streams that rows may name.
            bounds: The rule of sessions.
            grace_ns: How long after its end a bar stays open, ns.
            only: Symbols to make bars of; all if None.
        """
        self.rejects: list[OracleReject] = []
        """Ticks that entered no bar, in the order of the journal."""
        self.out_of_session = 0
        """Ticks outside their symbol's sessions."""
        self._streams = {s.id: s for s in streams if only is None or s.symbol in only}
        self._bounds = bounds
        self._grace = grace_ns
        self._books: dict[tuple[int, Symbol], Book] = {}
        self._doubts: dict[int, Doubts] = {}
        self._clocks: dict[int, int] = {}
        self._alarms: dict[int, list[tuple[int, int]]] = {}
        self._arrivals = 0

    def add_stream(self, stream: Stream) -> None:
        """Make one more stream known."""
        self._streams.setdefault(stream.id, stream)

    def read(self, row: JournalRow) -> list[OracleBar]:
        """Take in the next row.

        Returns:
            The bars that it made go out: in order of its ticks and marks; then, at a beat, by stream, interval, start.
        """
        if row.kind == RowKind.QUOTES:
            return []
        out: list[OracleBar] = []
        names = row.records.dtype.names
        records = [dict(zip(names, record, strict=True)) for record in row.records.tolist()]
        before = self._clocks.get(row.domain)
        self._clocks[row.domain] = row.clock
        if row.kind == RowKind.MARKS:
            for mark in records:
                if mark["stream"] in self._streams:
                    out += self._mark(self._streams[mark["stream"]], mark, row.seq)
        else:
            for index, tick in enumerate(records):
                if tick["stream"] in self._streams:
                    out += self._tick(self._streams[tick["stream"]], tick, row.seq, index)
        if row.kind == RowKind.MARKS or before is None or row.clock // BEAT > before // BEAT:
            out += self._beat(row.domain, row.clock, row.seq)
        return out

    def forming(self, stream: int) -> list[OracleBar]:
        """The bars of a stream that are not over, by interval and start; empty if it makes none."""
        known = self._streams[stream]
        book = self._books.get((known.domain, known.symbol))
        if book is None or book.stream.id != stream:
            return []
        return [
            OracleBar(
                stream, interval, start, end, *book.bar_sum(start, end), BarState.FORMING, 0, book.clock, book.seq
            )
            for (interval, start), end in sorted(book.waiting.items())
        ]

    def _beat(self, domain: int, clock: int, seq: int) -> list[OracleBar]:
        alarms = self._alarms.setdefault(domain, [])
        due: set[int] = set()
        while alarms and alarms[0][0] <= clock:
            due.add(heappop(alarms)[1])
        books = {book.stream.id: book for book in self._books.values() if book.stream.id in due} if due else {}
        return list(chain.from_iterable(self._advance(books[stream], clock, seq) for stream in sorted(books)))

    def _advance(self, book: Book, clock: int, seq: int) -> list[OracleBar]:
        """Close what is over."""
        due = sorted(key for key, end in book.waiting.items() if end + self._grace <= clock)
        if not due:
            return []
        out = [self._emit(book, key, book.waiting[key], clock, seq) for key in due]
        minutes = [start for interval, start in due if interval is Interval.M1]
        for key in due:
            del book.waiting[key]
        if minutes:
            book.last = minutes[-1]
            self._forget(book)
        return out

    def _emit(self, book: Book, key: Key, end: int, clock: int, seq: int) -> OracleBar:
        interval, start = key
        revision, _ = book.closed.get(key, (0, None))
        state = BarState.PARTIAL if book.doubts.overlap(start, end) else BarState.CLOSED
        book.closed[key] = (revision + 1, state)
        total = book.bar_sum(start, end)
        return OracleBar(book.stream.id, interval, start, end, *total, state, revision + 1, clock, seq)

    def _forget(self, book: Book) -> None:
        """Drop what no bar can need any more now that `last` is the last closed minute."""
        assert book.last is not None
        for minute in [minute for minute in book.ticks if minute < book.last]:
            book.minute_sum(minute)
            del book.ticks[minute]
        oldest = min(start for start, _ in book.homes[book.last])
        if book.minutes[0] < oldest:
            for minute in book.minutes[: bisect_left(book.minutes, oldest)]:
                del book.sums[minute]
                del book.homes[minute]
            book.minutes = book.minutes[bisect_left(book.minutes, oldest) :]
        current = {(i, book.of(i, book.last)[0]) for i in INTERVALS}
        book.closed = {key: value for key, value in book.closed.items() if key in current}

    def _tick(self, stream: Stream, tick: dict[str, Any], seq: int, index: int) -> list[OracleBar]:
        book = self._books.get((stream.domain, stream.symbol))
        if book is None or book.stream.id != stream.id:
            return []
        clock = tick["received_time"]
        out = self._advance(book, clock, seq)
        event_time = tick["event_time"]
        if event_time > clock + AHEAD:
            self.rejects.append(OracleReject(seq, index, stream.id, "future"))
            return out
        minute = self._minute(stream, event_time, tick["flags"])
        if minute is None:
            self.out_of_session += 1
            return out
        is_open = minute + MINUTE + self._grace > clock
        if not is_open and book.last is not None and minute < book.last:
            self.rejects.append(OracleReject(seq, index, stream.id, "late"))
            return out
        self._arrivals += 1
        if minute not in book.homes:
            homes = [self._bounds(stream.symbol, i, minute, extended=stream.extended) for i in INTERVALS]
            assert None not in homes
            book.homes[minute] = [home for home in homes if home is not None]
            insort(book.minutes, minute)
            book.ticks[minute] = []
        book.ticks[minute].append(HeldTick(event_time, self._arrivals, tick["price"], tick["size"], tick["count"]))
        book.sums.pop(minute, None)
        book.clock, book.seq = clock, seq
        if not is_open:
            book.last = minute
        for interval in INTERVALS:
            start, end = book.of(interval, minute)
            key = (interval, start)
            over = end + self._grace <= clock
            if over:
                out.append(self._emit(book, key, end, clock, seq))
            elif key not in book.waiting:
                book.waiting[key] = end
                heappush(self._alarms.setdefault(stream.domain, []), (end + self._grace, stream.id))
        if not is_open:
            self._forget(book)
        return out

    def _minute(self, stream: Stream, event_time: int, flags: int) -> int | None:
        """Start of the minute bar that a tick belongs to."""
        inside = self._bounds(stream.symbol, Interval.M1, event_time, extended=stream.extended)
        if inside is not None:
            return inside[0]
        if flags & TickFlag.AUCTION:
            for back in range(1, AUCTION // MINUTE + 2):
                before = self._bounds(stream.symbol, Interval.M1, event_time - back * MINUTE, extended=stream.extended)
                if before is not None:
                    return before[0] if event_time - before[1] <= AUCTION else None
        return None

    def _mark(self, stream: Stream, mark: dict[str, Any], seq: int) -> list[OracleBar]:
        doubts = self._doubts.setdefault(stream.id, Doubts())
        home = (stream.domain, stream.symbol)
        book = self._books.get(home)
        own = book if book is not None and book.stream.id == stream.id else None
        kind = mark["kind"]
        if kind in (MarkKind.FILE_START, MarkKind.DESIGNATED):
            if book is None:
                self._books[home] = Book(stream, doubts)
            elif own is None and kind == MarkKind.DESIGNATED:
                self._hand_over(book, stream, mark["time"])
            return []
        if kind in (MarkKind.UP, MarkKind.SUBSCRIBED):
            if doubts.resume(mark["end"]):
                return []
        elif kind not in (MarkKind.DOWN, MarkKind.DROPPED, MarkKind.GAP):
            return []
        doubts.add(mark["start"], mark["end"], None if own is None else own.last)
        if own is None or own.last is None:
            return []
        out = []
        for interval in INTERVALS:
            start, end = own.of(interval, own.last)
            state = own.closed.get((interval, start), (0, None))[1]
            if state is BarState.CLOSED and doubts.overlap(start, end):
                out.append(self._emit(own, (interval, start), end, mark["time"], seq))
        return out

    def _hand_over(self, book: Book, heir: Stream, moment: int) -> None:
        """The bars go on, made by another stream from `moment` on."""
        giver, own = book.doubts, self._doubts[heir.id]
        made = Doubts(past=list(giver.past))
        for start, end in giver.alive:
            made.add(start, min(end, moment), book.last)
        for start, end in own.alive:
            made.add(max(start, moment), end, book.last)
        self._doubts[heir.id] = book.doubts = made
        book.stream = heir
        alarms = self._alarms.setdefault(heir.domain, [])
        for end in book.waiting.values():
            heappush(alarms, (end + self._grace, heir.id))


def emissions(
    rows: Iterable[JournalRow],
    streams: Sequence[Stream],
    bounds: Bounds,
    grace_ns: int = 2 * 10**9,
    only: Collection[Symbol] | None = None,
) -> Iterator[OracleBar]:
    """All bars that the rows make go out, in order. Arguments as for `Oracle`."""
    oracle = Oracle(streams, bounds, grace_ns, only)
    for row in rows:
        yield from oracle.read(row)


def final_bars(
    rows: Iterable[JournalRow],
    streams: Sequence[Stream],
    bounds: Bounds,
    grace_ns: int = 2 * 10**9,
    only: Collection[Symbol] | None = None,
) -> dict[tuple[int, Interval, int], OracleBar]:
    """The last revision of every closed bar, by stream, interval and start. Arguments as for `Oracle`."""
    return {(bar.stream, bar.interval, bar.start): bar for bar in emissions(rows, streams, bounds, grace_ns, only)}
