"""Journals for the bar kernel, random and by hand, and the ways to run them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from market.chunks import Chunk, Position, join
from market.intervals import MINUTES, Interval
from market.journal_rows import Row, RowKind
from market.sessions import Calendar, calendar
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from market.ticks import ALL_STREAMS, ALWAYS, MARK, NEVER, TICK, MarkKind, TickFlag
from operators.bars import Aggregator, FoldResult
from operators.layout import Reason
from operators.oracle import Oracle, OracleBar
from operators.split import places_by_shard

SECOND = 10**9
MINUTE = 60 * SECOND
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
GRACE = 2 * SECOND

BTC, ETH, LUNCH = Symbol("SIM", "BTCUSD"), Symbol("SIM", "ETHUSD"), Symbol("LUNCH", "X")
STREAMS = (
    Stream(0, "sim", BTC, FeedKind.TRADES, 0),
    Stream(1, "other", BTC, FeedKind.CONFLATED, 0),
    Stream(2, "sim", LUNCH, FeedKind.TRADES, 0),
    Stream(3, "sim", ETH, FeedKind.TRADES, 0),
    Stream(4, "file:00000001", BTC, FeedKind.TRADES, 1),
    Stream(5, "file:00000001", LUNCH, FeedKind.TRADES, 1),
)
SHARD_OF = np.array([0, 0, 1, 1, 0, 1], np.uint8)
"""Two shards, so that both hold a round-the-clock symbol or two, and one a symbol with sessions."""


def at(text: str) -> int:
    """Ns of an ISO time, UTC."""
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1) * 1000


def lunch_sessions() -> list[tuple[datetime, datetime]]:
    """Weekdays of 2023 to 2025: 09:07 to 11:30 and 12:45 to 15:00, Fridays only the morning, no first of a month."""
    sessions = []
    day = datetime(2023, 1, 2, tzinfo=UTC)
    while day.year < 2026:
        if day.weekday() < 5 and day.day != 1:
            sessions.append((day.replace(hour=9, minute=7), day.replace(hour=11, minute=30)))
            if day.weekday() != 4:
                sessions.append((day.replace(hour=12, minute=45), day.replace(hour=15)))
        day += timedelta(days=1)
    return sessions


SESSIONS = lunch_sessions()
OPENS = [session[0] for session in SESSIONS]


def minutes(times: Sequence[datetime]) -> np.ndarray:
    return np.array([(time - EPOCH) // timedelta(minutes=1) for time in times], np.int64)


def lunch_calendar() -> Calendar:
    """`SESSIONS` as the kernel reads them."""

    def ends(key: Any, last: bool) -> np.ndarray:
        found: dict[Any, list[datetime]] = {}
        for session in SESSIONS:
            found.setdefault(key(session[0]), []).extend(session)
        return minutes([(max if last else min)(found[key(session[0])]) for session in SESSIONS])

    keys = (lambda t: t.date(), lambda t: t.isocalendar()[:2], lambda t: (t.year, t.month))
    grouped = [ends(key, last) for key in keys for last in (False, True)]
    days = np.array([(o - EPOCH).days for o in OPENS], np.int64)
    return Calendar("LUNCH", minutes(OPENS), minutes([close for _, close in SESSIONS]), days, *grouped)


LUNCH_CALENDAR = lunch_calendar()


def calendar_of(stream: Stream) -> Calendar:
    return LUNCH_CALENDAR if stream.symbol == LUNCH else calendar("24/7")


def plain_bounds(symbol: Symbol, interval: Interval, time_ns: int, *, extended: bool = False) -> tuple[int, int] | None:
    """The rule of sessions once more, by `datetime` alone."""
    time = EPOCH + timedelta(microseconds=time_ns // 1000)
    found = lunch_bounds(interval, time) if symbol == LUNCH else clock_bounds(interval, time)
    if found is None:
        return None
    start, end = ((moment - EPOCH) // timedelta(microseconds=1) * 1000 for moment in found)
    return start, end


def clock_bounds(interval: Interval, time: datetime) -> tuple[datetime, datetime]:
    day = time.replace(hour=0, minute=0, second=0, microsecond=0)
    if interval is Interval.D1:
        return day, day + timedelta(days=1)
    if interval is Interval.W1:
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    if interval is Interval.MO1:
        first = day.replace(day=1)
        return first, (first + timedelta(days=31)).replace(day=1)
    length = timedelta(minutes=MINUTES[interval])
    start = day + (time - day) // length * length
    return start, min(start + length, day + timedelta(days=1))


def lunch_bounds(interval: Interval, time: datetime) -> tuple[datetime, datetime] | None:
    from bisect import bisect_right

    place = bisect_right(OPENS, time) - 1
    if place < 0 or time >= SESSIONS[place][1]:
        return None
    opened, closes = SESSIONS[place]
    same = {
        Interval.D1: lambda t: t.date() == time.date(),
        Interval.W1: lambda t: t.isocalendar()[:2] == time.isocalendar()[:2],
        Interval.MO1: lambda t: (t.year, t.month) == (time.year, time.month),
    }.get(interval)
    if same is not None:
        near = [session for session in SESSIONS[max(0, place - 60) : place + 60] if same(session[0])]
        return near[0][0], near[-1][1]
    length = timedelta(minutes=MINUTES[interval])
    start = opened + (time - opened) // length * length
    return start, min(start + length, closes)


class T(NamedTuple):
    """One tick of a journal written by hand; times in ns, `received` equal to `event` unless given."""

    event: int
    price: float
    size: float = 1.0
    stream: int = 0
    received: int | None = None
    count: int = 1
    flags: int = 0


def ticks_row(seq: int, *ticks: T, domain: int = 0) -> Row:
    """A ticks row; its clock is the last received time."""
    records = np.array(
        [
            (t.event, t.event if t.received is None else t.received, t.price, t.size, -1, t.count, t.stream, 0, t.flags)
            for t in ticks
        ],
        TICK,
    )
    clock = int(records["received_time"][-1])
    return Row(seq, RowKind.TICKS, domain, clock, len(ticks), records.tobytes(), 0)


def marks_row(seq: int, *marks: tuple[MarkKind, int, int, int, int], domain: int = 0) -> Row:
    """A marks row of (kind, stream, time, start, end); its clock is the last time."""
    records = np.array([(time, start, end, kind, 0, stream, 0) for kind, stream, time, start, end in marks], MARK)
    return Row(seq, RowKind.MARKS, domain, int(records["time"][-1]), len(marks), records.tobytes(), 0)


def clock(seq: int, time: int, domain: int = 0) -> Row:
    """A marks row that says what time it is."""
    return marks_row(seq, (MarkKind.CLOCK, ALL_STREAMS, time, 0, 0), domain=domain)


def designated(seq: int, time: int, *streams: int) -> Row:
    """A marks row from which these streams make bars."""
    return marks_row(seq, *((MarkKind.DESIGNATED, stream, time, 0, 0) for stream in streams))


class Out(NamedTuple):
    """What one shard put out, as plain tuples."""

    bars: list[tuple[Any, ...]]
    rejects: list[tuple[int, int, int, str]]
    out_of_session: int
    forming: list[tuple[Any, ...]]


def bar_tuples(rows: np.ndarray) -> list[tuple[Any, ...]]:
    names = OracleBar._fields
    return [tuple(bar) for bar in zip(*(rows[name].tolist() for name in names), strict=True)]


class Shard:
    """One shard's aggregator as an operator: chunks in, tuples out."""

    def __init__(self, number: int, aggregator: Aggregator) -> None:
        self.number = number
        self.aggregator = aggregator

    @classmethod
    def new(cls, number: int, grace: int = GRACE) -> "Shard":
        """With all of its streams."""
        aggregator = Aggregator(grace)
        for stream in STREAMS:
            if SHARD_OF[stream.id] == number:
                aggregator.add_stream(stream, calendar_of(stream))
        return cls(number, aggregator)

    def fold(self, chunk: Chunk) -> FoldResult:
        """What the aggregator says of its part of a chunk."""
        order = places_by_shard(chunk.ticks, SHARD_OF)[self.number]
        return self.aggregator.fold(
            chunk.ticks, order, chunk.row_seq, chunk.row_clock, chunk.row_first_tick, chunk.row_beat, chunk.marks,
            chunk.row_first_mark, chunk.domain,
        )  # fmt: skip

    def step(self, chunk: Chunk) -> tuple[Any, ...]:
        """The same, as what compares."""
        result = self.fold(chunk)
        return bar_tuples(result.closed), result.rejects.tolist(), sorted(result.touched.tolist()), result[3:]

    def snapshot(self) -> bytes:
        """The aggregator's."""
        return self.aggregator.snapshot()

    @classmethod
    def restore(cls, number: int, snapshot: bytes) -> "Shard":
        """With the same calendars."""
        return cls(number, Aggregator.restore(snapshot, calendar_of))


def chunks(rows: Sequence[Row], cuts: Sequence[int] = ()) -> list[Chunk]:
    """Rows joined between cuts."""
    position, found = Position(), []
    for first, last in pairwise([0, *sorted(cuts), len(rows)]):
        made, position = join(rows[first:last], position, STREAMS)
        found += made
    return found


def run_kernel(
    rows: Sequence[Row], cuts: Sequence[int] = (), stops: Sequence[int] = (), grace: int = GRACE
) -> dict[int, Out]:
    """Fold rows in both shards, batched at `cuts`, restored from a snapshot before the chunks in `stops`."""
    out = {}
    for number in (0, 1):
        shard = Shard.new(number, grace)
        bars, rejects, outside = [], [], 0
        for place, chunk in enumerate(chunks(rows, cuts)):
            if place in stops:
                shard = Shard.restore(number, shard.snapshot())
            result = shard.fold(chunk)
            bars += bar_tuples(result.closed)
            rejects += [
                (seq, index, stream, str(Reason(reason))) for seq, index, stream, reason, *_ in result.rejects.tolist()
            ]
            outside += result.out_of_session
        out[number] = Out(bars, rejects, outside, bar_tuples(shard.aggregator.forming()))
    return out


def run_oracle(rows: Sequence[Row], grace: int = GRACE) -> dict[int, Out]:
    """The same by the oracle."""
    out = {}
    for number in (0, 1):
        mine = [stream for stream in STREAMS if SHARD_OF[stream.id] == number]
        oracle = Oracle(mine, plain_bounds, grace)
        bars = [tuple(bar) for row in rows for bar in oracle.read(row)]
        forming = [tuple(bar) for stream in mine for bar in oracle.forming(stream.id)]
        out[number] = Out(bars, [tuple(r) for r in oracle.rejects], oracle.out_of_session, forming)
    return out


STARTS = ("2024-03-28T14:57:00", "2024-02-29T23:58:30", "2024-12-29T23:55:00", "2024-06-14T11:27:00")
"""The end of a session before a long break; of a leap February; of a week and nearly a year; of a Friday."""

HALF = SECOND // 2
STEPS = st.one_of(
    st.integers(0, 8),
    st.integers(0, 8),
    st.integers(0, 8),
    st.integers(0, 150),
    st.integers(0, 150),
    st.sampled_from([119, 120, 121, 124, 3600, 2 * 3600 * 4, 2 * 86400, 2 * 86400 * 9, 2 * 86400 * 40]),
)
"""By how much a clock moves on, in half seconds: grace is 4 of them, a minute 120."""
LAGS = st.one_of(
    st.integers(-3, 12),
    st.integers(-3, 12),
    st.integers(-125, 400),
    st.integers(-110, 130),
    st.sampled_from([-121, -120, 116, 120, 124, 7200]),
)
"""Received minus event time, in half seconds."""
TICKS = st.tuples(
    STEPS, st.sampled_from([0, 0, 0, 1, 2, 2, 3]), LAGS, st.integers(-9, 9), st.integers(0, 9), st.integers(0, 3),
    st.booleans(),
)  # fmt: skip
SPAN_KINDS = [MarkKind.DOWN, MarkKind.UP, MarkKind.SUBSCRIBED, MarkKind.DROPPED, MarkKind.GAP, MarkKind.GAP]
OTHER_KINDS = [MarkKind.CLOCK, MarkKind.CLOCK, MarkKind.CLOCK, MarkKind.DESIGNATED, MarkKind.FILE_START]


def marks(stream: Any, kinds: list[MarkKind]) -> Any:
    """(step, kind, stream, start of a span relative to its mark, length), in half seconds."""
    return st.tuples(STEPS, st.sampled_from(kinds), stream, st.integers(-400, 20), st.integers(0, 300))


MARKS = marks(st.sampled_from([0, 1, 2, 3]), SPAN_KINDS + OTHER_KINDS)
FLAPS = st.sampled_from([0, 0, 1, 2]).flatmap(
    lambda stream: st.lists(marks(st.just(stream), SPAN_KINDS), min_size=6, max_size=12)
)
"""More outages of one stream than are remembered."""
SOME_TICKS = st.lists(TICKS, min_size=1, max_size=6)
ROWS = st.one_of(SOME_TICKS, SOME_TICKS, SOME_TICKS, st.lists(MARKS, min_size=1, max_size=3), FLAPS)


@st.composite
def journals(draw: Any) -> list[Row]:
    """Rows of two clock domains over several streams: late, early, equal times, gaps, outages, hand-overs."""
    start = at(draw(st.sampled_from(STARTS)))
    clocks = {0: start, 1: start - 400 * MINUTE}
    rows = []
    if draw(st.sampled_from([True, True, True, False])):
        rows.append(designated(1, start, 0, 2, 3))
    least = draw(st.sampled_from([0, 6, 15]))
    for spec in draw(st.lists(st.tuples(st.sampled_from([0, 0, 0, 1]), ROWS), min_size=least, max_size=25)):
        domain, items = spec
        seq = len(rows) + 1
        if len(items[0]) == 7:
            ticks = []
            for step, stream, lag, price, size, count, auction in items:
                clocks[domain] += step * HALF
                ticks.append(
                    T(
                        clocks[domain] - lag * HALF, 100 + price / 10, size / 10, stream=stream if domain == 0 else
                        4 + stream % 2, received=clocks[domain], count=count, flags=TickFlag.AUCTION if auction else 0,
                    )
                )  # fmt: skip
            rows.append(ticks_row(seq, *ticks, domain=domain))
        else:
            noted = []
            for step, drawn, stream, offset, length in items:
                makes = MarkKind.FILE_START if domain else MarkKind.DESIGNATED
                kind = makes if drawn in {MarkKind.FILE_START, MarkKind.DESIGNATED} else drawn
                clocks[domain] += step * HALF
                time = clocks[domain]
                first = time + offset * HALF
                last = first + length * HALF
                if kind in {MarkKind.DOWN, MarkKind.DROPPED}:
                    last = NEVER
                if kind == MarkKind.SUBSCRIBED:
                    first = ALWAYS
                target = ALL_STREAMS if kind == MarkKind.CLOCK else stream if domain == 0 else 4 + stream % 2
                noted.append((kind, target, time, first, last))
            rows.append(marks_row(seq, *noted, domain=domain))
    return rows
