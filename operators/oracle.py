"""The rule for bars once more: slow, obvious, and sharing no code with the kernel.

Where the kernel keeps running sums, this keeps the ticks of each minute and works every bar out anew from them, sorted,
whenever it goes out. `pq verify` and the tests hold the stored bars against it.
"""

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import chain
from typing import Any, Final, NamedTuple, Protocol

from market.bars import BarState
from market.intervals import INTERVALS, Interval
from market.journal_rows import RowKind
from market.streams import Stream
from market.symbols import Symbol
from market.ticks import NEVER, MarkKind, TickFlag

MINUTE: Final = 60 * 10**9
BEAT: Final = 50_000_000
AHEAD: Final = 60 * 10**9
AUCTION: Final = 30 * MINUTE
SPANS: Final = 8


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


class _Tick(NamedTuple):
    event_time: int
    arrival: int
    price: float
    size: float
    trades: int


class _Sum(NamedTuple):
    """What a bar says of its ticks."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    notional: float
    trades: int

    def then(self, later: "_Sum") -> "_Sum":
        return _Sum(
            self.open,
            max(self.high, later.high),
            min(self.low, later.low),
            later.close,
            self.volume + later.volume,
            self.notional + later.notional,
            self.trades + later.trades,
        )


Key = tuple[Interval, int]
"""Interval and start of a bar."""


@dataclass
class _Doubts:
    """Spans in which one stream may lack ticks."""

    alive: list[list[int]] = field(default_factory=list)
    """In order of arrival, those that reach beyond the start of the last closed minute: at most 8."""

    past: list[tuple[int, int]] = field(default_factory=list)
    """The others, disjoint and sorted."""

    def overlap(self, start: int, end: int) -> bool:
        """Whether any overlaps `[start, end)`."""
        if any(span[0] < end and start < span[1] for span in self.alive):
            return True
        place = bisect_left(self.past, (end, end))
        return place > 0 and self.past[place - 1][1] > start

    def add(self, start: int, end: int, last: int | None) -> None:
        """Add a span, when the last closed minute is `last`."""
        if start >= end:
            return
        if last is not None:
            for span in self.alive:
                if span[1] <= last:
                    self._bury(span[0], span[1])
            self.alive = [span for span in self.alive if span[1] > last]
        if len(self.alive) == SPANS:
            first, second, *rest = self.alive
            self.alive = [[min(first[0], second[0]), max(first[1], second[1])], *rest]
        self.alive.append([start, end])

    def resume(self, end: int) -> bool:
        """End the spans that last; False if none does."""
        lasting = [span for span in self.alive if span[1] == NEVER]
        for span in lasting:
            span[1] = end
        self.alive = [span for span in self.alive if span[0] < span[1]]
        return bool(lasting)

    def _bury(self, start: int, end: int) -> None:
        apart = [span for span in self.past if span[1] < start or end < span[0]]
        met = [span for span in self.past if not (span[1] < start or end < span[0])]
        merged = (min([start, *(s for s, _ in met)]), max([end, *(e for _, e in met)]))
        insort(apart, merged)
        self.past = apart


@dataclass
class _Book:
    """All bars of one symbol in one clock domain."""

    stream: Stream
    """Whose ticks they are made of."""
    doubts: _Doubts
    ticks: dict[int, list[_Tick]] = field(default_factory=dict)
    """By start of the minute, from the last closed minute on."""
    minutes: list[int] = field(default_factory=list)
    """Starts of all minutes that the current bars are made of, sorted."""
    sums: dict[int, _Sum] = field(default_factory=dict)
    """Of those minutes, worked out since their last tick."""
    homes: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """Bounds of the 13 bars of each minute."""
    waiting: dict[Key, int] = field(default_factory=dict)
    """End of each bar that has ticks and has not closed."""
    closed: dict[Key, tuple[int, BarState]] = field(default_factory=dict)
    """Revision and state that each closed bar last went out with."""
    last: int | None = None
    """Start of the last closed minute."""
    clock: int = 0
    seq: int = 0

    def of(self, interval: Interval, minute: int) -> tuple[int, int]:
        return self.homes[minute][interval]

    def minute_sum(self, minute: int) -> _Sum:
        """Work out a minute from its ticks: in order of time for open and close, of arrival for sums."""
        known = self.sums.get(minute)
        if known is None:
            arrived = self.ticks[minute]
            by_time = sorted(arrived, key=lambda tick: (tick.event_time, tick.arrival))
            volume = notional = 0.0
            for tick in arrived:
                volume += tick.size
                notional += tick.price * tick.size
            prices = [tick.price for tick in arrived]
            known = self.sums[minute] = _Sum(
                by_time[0].price,
                max(prices),
                min(prices),
                by_time[-1].price,
                volume,
                notional,
                sum(tick.trades for tick in arrived),
            )
        return known

    def bar_sum(self, start: int, end: int) -> _Sum:
        """Work out any bar: its minutes in order, added up from the left."""
        inside = self.minutes[bisect_left(self.minutes, start) : bisect_left(self.minutes, end)]
        total = self.minute_sum(inside[0])
        for minute in inside[1:]:
            total = total.then(self.minute_sum(minute))
        return total


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
        self._books: dict[tuple[int, Symbol], _Book] = {}
        self._doubts: dict[int, _Doubts] = {}
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

    def _advance(self, book: _Book, clock: int, seq: int) -> list[OracleBar]:
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

    def _emit(self, book: _Book, key: Key, end: int, clock: int, seq: int) -> OracleBar:
        interval, start = key
        revision, _ = book.closed.get(key, (0, None))
        state = BarState.PARTIAL if book.doubts.overlap(start, end) else BarState.CLOSED
        book.closed[key] = (revision + 1, state)
        total = book.bar_sum(start, end)
        return OracleBar(book.stream.id, interval, start, end, *total, state, revision + 1, clock, seq)

    def _forget(self, book: _Book) -> None:
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
        book.ticks[minute].append(_Tick(event_time, self._arrivals, tick["price"], tick["size"], tick["count"]))
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
        doubts = self._doubts.setdefault(stream.id, _Doubts())
        home = (stream.domain, stream.symbol)
        book = self._books.get(home)
        own = book if book is not None and book.stream.id == stream.id else None
        kind = mark["kind"]
        if kind in (MarkKind.FILE_START, MarkKind.DESIGNATED):
            if book is None:
                self._books[home] = _Book(stream, doubts)
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

    def _hand_over(self, book: _Book, heir: Stream, moment: int) -> None:
        """The bars go on, made by another stream from `moment` on."""
        giver, own = book.doubts, self._doubts[heir.id]
        made = _Doubts(past=list(giver.past))
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
