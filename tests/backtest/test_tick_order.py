"""The order of ticks and boundaries: held against a slow rule, row by row, however the journal is read."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtest import tick_order
from backtest.tick_order import UNKNOWN, Graces, Standing, standing, stretches
from market.chunks import BEAT_NS, join
from market.errors import DeskError
from market.intervals import MINUTE_NS
from market.journal_rows import RowKind
from market.sessions import calendar_for
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from market.ticks import MARK, TICK, MarkKind

SECOND = 1_000_000_000
COIN, SHARE, OTHER = Symbol("SIM", "BTCUSD"), Symbol("NASDAQ", "AAPL"), Symbol("SIM", "ETHUSD")
STREAMS = (
    Stream(0, "sim", COIN, FeedKind.TRADES, 0),
    Stream(1, "sim", OTHER, FeedKind.TRADES, 0),
    Stream(2, "kraken", COIN, FeedKind.TRADES, 0),
    Stream(3, "sim", SHARE, FeedKind.TRADES, 0),
    Stream(4, "file:1", COIN, FeedKind.TRADES, 1),
)
OPEN = 1_700_231_400 * SECOND
"""Friday 17 November 2023, 14:30 UTC: New York opens."""
BEGIN = OPEN - 3 * MINUTE_NS
MADE = {COIN: 0, SHARE: 3}


class Held:
    """Rows in memory, read as a journal is; `first` are gone."""

    def __init__(self, rows, gone=0):
        self.rows = rows
        self.gone = gone

    def streams(self):
        """All of them."""
        return STREAMS

    def first_seq(self):
        """Of those that are left."""
        return self.gone + 1 if self.rows else 0

    def last_seq(self):
        """Of all."""
        return self.rows[-1][0] if self.rows else 0

    def read_chunks(self, position, max_ticks):
        """At most `max_ticks` rows, so that chunks are cut anywhere."""
        rows = self.rows[max(position.seq, self.gone) :][:max_ticks]
        return join(rows, position, STREAMS) if rows else ([], position)


@st.composite
def journals(draw):
    """Rows of ticks (some late), quotes, clocks, designations and a file, over some minutes around an open."""
    now, other, rows = BEGIN, 0, []
    for _ in range(draw(st.integers(1, 40))):
        kind = draw(st.integers(0, 9))
        now += draw(st.sampled_from([0, 1, BEAT_NS // 3, BEAT_NS, SECOND, 20 * SECOND, MINUTE_NS]))
        seq = len(rows) + 1
        if kind < 6:
            count = draw(st.integers(1, 3))
            ticks = np.zeros(count, TICK)
            ticks["received_time"] = now
            ticks["event_time"] = [
                now - draw(st.sampled_from([0, SECOND, 30 * SECOND, 90 * SECOND])) for _ in range(count)
            ]
            ticks["stream"] = [draw(st.sampled_from([0, 1, 2, 3])) for _ in range(count)]
            ticks["price"], ticks["size"], ticks["count"] = 100.0 + seq, 1.0 + np.arange(count), 1
            rows.append((seq, int(RowKind.TICKS), 0, now, count, ticks.tobytes(), 0))
        elif kind == 6:
            rows.append((seq, int(RowKind.QUOTES), 0, now, 1, b"", 0))
        elif kind == 7:
            other += SECOND
            ticks = np.zeros(1, TICK)
            ticks["stream"], ticks["received_time"], ticks["price"] = 4, other, 1.0
            rows.append((seq, int(RowKind.TICKS), 1, other, 1, ticks.tobytes(), 0))
        else:
            marks = np.zeros(draw(st.integers(1, 2)), MARK)
            marks["time"], marks["kind"], marks["stream"] = now, MarkKind.CLOCK, 0xFFFF
            if kind == 9:
                marks["kind"][-1], marks["stream"][-1] = MarkKind.DESIGNATED, draw(st.sampled_from([0, 1, 2]))
            rows.append((seq, int(RowKind.MARKS), 0, now, len(marks), marks.tobytes(), 0))
    return rows


def slowly(rows, graces, after=0):
    """The rule as it is written down, row after row: (row, price, size, symbol, end of session), and boundaries."""
    makers, closed, before, found, bounds = dict(MADE), UNKNOWN, None, [], []
    for seq, kind, domain, clock, _, payload, _ in rows:
        if kind == RowKind.QUOTES or domain != 0:
            continue
        beats = kind == RowKind.MARKS or before is None or clock // BEAT_NS > before // BEAT_NS
        before = clock
        if kind == RowKind.TICKS:
            for tick in np.frombuffer(payload, TICK):
                symbol = STREAMS[tick["stream"]].symbol
                if makers.get(symbol) != tick["stream"] or (
                    closed != UNKNOWN and tick["event_time"] < closed * MINUTE_NS
                ):
                    continue
                calendar = calendar_for(symbol)
                session = calendar.session_at(int(tick["event_time"]) // MINUTE_NS)
                if session is not None and seq > after:
                    end = int(calendar.day_end[session]) * MINUTE_NS
                    found.append((seq, float(tick["price"]), float(tick["size"]), list(MADE).index(symbol), end))
        else:
            for mark in np.frombuffer(payload, MARK):
                if mark["kind"] == MarkKind.DESIGNATED and STREAMS[mark["stream"]].symbol in makers:
                    makers[STREAMS[mark["stream"]].symbol] = int(mark["stream"])
        grace = [ns for since, ns in graces if since < seq][-1]
        minute = (clock - grace) // MINUTE_NS
        if beats and minute > closed:
            closed = minute
            if seq > after:
                bounds.append((seq, clock, minute, len(found)))
    return found, bounds


def quickly(rows, begin, upto, makers, graces, size, **options):
    """The same by stretches, put together."""
    found, bounds = [], []
    for part in stretches(rows, begin, upto, makers, graces, max_ticks=size, **options):
        b = part.boundaries
        bounds += [
            (int(seq), int(clock), int(minute), len(found) + int(ticks))
            for seq, clock, minute, ticks in zip(b.seq, b.clock, b.minute, b.ticks, strict=True)
        ]
        assert (part.ticks["start"] == part.ticks["end"]).all()
        found += [
            (int(row), float(view["close"]), float(view["volume"]), int(view["symbol"]), int(end))
            for row, view, end in zip(part.rows, part.ticks, part.sessions, strict=True)
        ]
        begin = part.after
    return found, bounds, begin


START = Standing(0, UNKNOWN, 0, UNKNOWN)


@given(journals(), st.integers(1, 50), st.integers(0, 2), st.integers(1, 40), st.integers(0, 3))
def test_read_in_bulk_it_is_the_rule_row_by_row(rows, size, grace, change, later):
    """Ticks that count, their sessions, boundaries and what comes before each, in portions of any size."""
    graces = [(0, grace * SECOND), (change, later * SECOND)]
    expected, bounds = slowly(rows, graces)
    found, made, _ = quickly(Held(rows), START, rows[-1][0], MADE, Graces.of(grace * SECOND, graces[1:]), size)
    assert found == expected
    assert made == bounds


@given(journals(), st.integers(1, 7), st.sampled_from([1, 2, 5, 2_048]), st.data())
def test_begun_anywhere_it_goes_on_as_if_it_had_begun_at_the_first_row(rows, size, back, data):
    """How things stand after a row is found by looking back, whatever lies between."""
    cut = data.draw(st.integers(0, len(rows)))
    graces = Graces.of(2 * SECOND)
    _, _, before = quickly(Held(rows), START, cut, MADE, graces, size)
    with patch.object(tick_order, "LOOK_BACK", back):
        found = standing(Held(rows), cut, graces)
    assert found == before
    makers = dict(MADE)
    for _, kind, domain, _, _, payload, _ in rows[:cut]:
        for mark in np.frombuffer(payload, MARK) if kind == RowKind.MARKS and domain == 0 else ():
            symbol = None if mark["kind"] != MarkKind.DESIGNATED else STREAMS[mark["stream"]].symbol
            if symbol in makers:
                makers[symbol] = int(mark["stream"])
    ticks, bounds, _ = quickly(Held(rows), found, rows[-1][0], makers, graces, size)
    expected, all_bounds = slowly(rows, [(0, 2 * SECOND)], after=cut)
    assert ticks == expected
    assert bounds == all_bounds


def clocks(*times):
    """A row of a mark at each time, seconds after `BEGIN`."""
    rows = []
    for seq, time in enumerate(times, 1):
        mark = np.zeros(1, MARK)
        mark["time"], mark["kind"], mark["stream"] = BEGIN + int(time * SECOND), MarkKind.CLOCK, 0xFFFF
        rows.append((seq, int(RowKind.MARKS), 0, int(mark["time"][0]), 1, mark.tobytes(), 0))
    return rows


def test_a_minute_closes_at_the_first_row_after_its_grace():
    """At 62.0 s with 2 s of grace, not at 61.9; the next at the first row that there is after 122 s."""
    rows = clocks(10, 61.9, 62.0, 70, 121.9, 150, 182)
    _, bounds, after = quickly(Held(rows), START, 7, MADE, Graces.of(2 * SECOND), 100)
    assert [(seq, minute - BEGIN // MINUTE_NS) for seq, _, minute, _ in bounds] == [(1, 0), (3, 1), (6, 2), (7, 3)]
    assert after == Standing(7, BEGIN + 182 * SECOND, 7, BEGIN // MINUTE_NS + 3)


def test_it_ends_with_the_boundary_by_which_a_moment_has_closed():
    """What comes after belongs to the next day."""
    rows = clocks(10, 61, 62, 63, 122, 123, 182)
    graces = Graces.of(2 * SECOND)
    _, bounds, after = quickly(Held(rows), START, 7, MADE, graces, 100, closing=BEGIN + 2 * MINUTE_NS)
    assert [seq for seq, *_ in bounds] == [1, 3, 5]
    assert after.seq == 5


def test_rows_that_are_gone_are_said_to_be():
    """Rather than a run that begins wherever the journal does."""
    rows = clocks(*range(0, 100, 10))
    with pytest.raises(DeskError, match=r"row 3 of the journal is gone.*oldest row left is 6"):
        list(stretches(Held(rows, gone=5), Standing(2, UNKNOWN, 0, UNKNOWN), 9, MADE, Graces.of(0)))
    with pytest.raises(DeskError, match="row 4 of the journal is gone"):
        standing(Held(rows, gone=5), 4, Graces.of(0))


def test_a_tick_of_the_close_is_outside_the_session():
    """The session of Friday 17 November 2023 is [14:30, 21:00) UTC: its last nanosecond counts, the next does not."""
    close = OPEN + 390 * MINUTE_NS
    ticks = np.zeros(2, TICK)
    ticks["event_time"], ticks["received_time"], ticks["stream"] = [close - 1, close], close + SECOND, 3
    ticks["price"], ticks["size"] = [1.0, 2.0], 1.0
    rows = [(1, int(RowKind.TICKS), 0, close + SECOND, 2, ticks.tobytes(), 0)]
    found, _, _ = quickly(Held(rows), START, 1, MADE, Graces.of(2 * SECOND), 10)
    assert found == [(1, 1.0, 1.0, 1, close)]


def test_looking_back_stops_where_the_last_boundary_is_certain(monkeypatch):
    """A window that begins with the boundary itself does not show that nothing had closed before: it is widened."""
    monkeypatch.setattr("backtest.tick_order.LOOK_BACK", 2)
    rows = clocks(0, 62, 63, 64, 65, 66)
    reads = []

    class Watched(Held):
        """Notes where it is read."""

        def read_chunks(self, position, max_ticks):
            """As the journal, noting where."""
            reads.append(position.seq)
            return super().read_chunks(position, max_ticks)

    assert standing(Watched(rows), 6, Graces.of(2 * SECOND)).boundary == 2
    assert reads[0] == 4
    assert 0 in reads
