"""Bars of symbols with sessions: lunch breaks, half days, auctions, and New York with its daylight saving, by hand."""

from datetime import date, timedelta

import numpy as np
import pytest
from bar_scenarios import GRACE, MINUTE, SECOND, T, at, bar_tuples, clock, designated, run_kernel, run_oracle, ticks_row
from hypothesis import given
from hypothesis import strategies as st

from market.chunks import Position, join
from market.intervals import Interval
from market.sessions import bounds, calendar_for
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from market.ticks import TickFlag
from operators.bars import Aggregator
from operators.oracle import Oracle

AUCTION = TickFlag.AUCTION


def lunch(*rows):
    """What the shard of the symbol with a lunch break puts out (weekdays 09:07-11:30 and 12:45-15:00, no Friday's)."""
    all_rows = [designated(1, at("2024-05-14T09:00:00"), 2), *rows]
    out = run_kernel(all_rows)
    assert out == run_oracle(all_rows)
    return out[1]


def spans(out, *intervals):
    """(start, end) as HH:MM of the bars of some intervals."""
    hhmm = lambda ns: f"{ns // (60 * MINUTE) % 24:02d}:{ns // MINUTE % 60:02d}"  # noqa: E731
    return [(hhmm(bar[2]), hhmm(bar[3])) for bar in out.bars if bar[1] in intervals]


def test_intraday_bars_restart_at_each_open_and_are_cut_at_each_close():
    """Tuesday: 1h bars begin at 09:07, 10:07 and 11:07 (cut at 11:30), and again at 12:45."""
    day = "2024-05-14T"
    out = lunch(
        ticks_row(2, *(T(at(day + text), 1.0, stream=2) for text in ("09:07:00", "10:30:00", "11:29:59"))),
        ticks_row(3, *(T(at(day + text), 1.0, stream=2) for text in ("12:45:00", "14:59:59.5"))),
        clock(4, at(day + "15:00:02")),
    )

    assert spans(out, Interval.H1) == [
        ("09:07", "10:07"), ("10:07", "11:07"), ("11:07", "11:30"), ("12:45", "13:45"), ("14:45", "15:00")
    ]  # fmt: skip
    assert spans(out, Interval.H4) == [("09:07", "11:30"), ("12:45", "15:00")]
    assert spans(out, Interval.D1) == [("09:07", "15:00")]
    assert [bar[10] for bar in out.bars if bar[1] == Interval.D1] == [5]


def test_a_half_day_closes_the_day_and_the_week():
    """Friday 17 May has only its morning: at 11:30:02 the bars of the session, the day and the week close."""
    out = lunch(ticks_row(2, T(at("2024-05-17T11:29:00"), 1.0, stream=2)), clock(3, at("2024-05-17T11:30:02")))

    assert [Interval(bar[1]) for bar in out.bars] == [i for i in Interval if i != Interval.MO1]
    assert spans(out, Interval.W1) == [("09:07", "11:30")]
    assert [bar[2] for bar in out.bars if bar[1] == Interval.W1] == [at("2024-05-13T09:07:00")]


def test_ticks_between_sessions_enter_no_bar_and_are_counted():
    """Before the open, over lunch, at the close itself, on a holiday (1 May) and on a Sunday."""
    times = ("2024-05-14T09:06:59", "2024-05-14T11:30:00", "2024-05-14T12:00:00", "2024-05-19T10:00:00")
    out = lunch(ticks_row(2, *(T(at(time), 1.0, stream=2) for time in times)), clock(3, at("2024-05-20T10:00:00")))

    assert (out.bars, out.rejects, out.out_of_session) == ([], [], 4)


@pytest.mark.parametrize(
    ("stamp", "inside"), [("15:00:00", True), ("15:05:00", True), ("15:30:00", True), ("15:30:00.5", False)]
)
def test_an_auctions_print_enters_the_last_minute_of_the_session(stamp, inside):
    """Up to 30 minutes after the close, where the feed marks it; it is the close of the day."""
    late = at(f"2024-05-14T{stamp}")
    out = lunch(
        ticks_row(2, T(at("2024-05-14T14:59:30"), 10.0, stream=2)),
        ticks_row(3, T(late, 12.0, 5.0, stream=2, flags=AUCTION), T(late, 99.0, stream=2)),
        clock(4, at("2024-05-14T16:00:00")),
    )

    days = [bar for bar in out.bars if bar[1] == Interval.D1]
    assert days[-1][7] == (12.0 if inside else 10.0)
    assert out.out_of_session == (1 if inside else 2)


NYSE = Stream(0, "tradingview", Symbol("NYSE", "IBM"), FeedKind.TRADES, 0)


def new_york(rows, stream=NYSE):
    """Closed bars by interval and start, from kernel and oracle, with the exchange's real calendar."""
    chunks, _ = join(rows, Position(), (stream,))
    aggregator = Aggregator()
    aggregator.add_stream(stream, calendar_for(stream.symbol, extended=stream.extended))
    bars = []
    for c in chunks:
        order = np.arange(len(c.ticks), dtype=np.uint32)
        result = aggregator.fold(
            c.ticks, order, c.row_seq, c.row_clock, c.row_first_tick, c.row_beat, c.marks, c.row_first_mark, c.domain
        )  # fmt: skip
        bars += bar_tuples(result.closed)
    oracle = Oracle([stream], bounds, GRACE)
    assert bars == [tuple(bar) for row in rows for bar in oracle.read(row)]
    return {(Interval(bar[1]), bar[2]): bar for bar in bars}


def test_the_open_moves_in_utc_when_new_york_changes_its_clocks():
    """10 March 2024: 09:30 is 14:30 UTC on the Friday before, 13:30 UTC on the Monday after."""
    found = new_york(
        [
            designated(1, at("2024-03-08T14:00:00"), 0),
            ticks_row(2, T(at("2024-03-08T14:29:59"), 1.0), T(at("2024-03-08T14:30:00"), 2.0)),
            ticks_row(3, T(at("2024-03-11T13:29:59"), 3.0), T(at("2024-03-11T13:30:00"), 4.0)),
            clock(4, at("2024-03-11T20:00:02")),
        ]
    )

    for day in ("2024-03-08T14:30:00", "2024-03-11T13:30:00"):
        assert {i for i, start in found if start == at(day)} == {i for i in Interval if i <= Interval.D1}
    assert found[Interval.D1, at("2024-03-08T14:30:00")][3] == at("2024-03-08T21:00:00")
    assert found[Interval.D1, at("2024-03-11T13:30:00")][3] == at("2024-03-11T20:00:00")
    assert found[Interval.W1, at("2024-03-04T14:30:00")][4] == 2.0


def test_a_half_day_in_new_york_is_cut_at_one():
    """29 November 2024: 09:30 to 13:00, so the bar of 4h that began at the open ends after 3h 30m, with the day."""
    found = new_york(
        [
            designated(1, at("2024-11-29T14:00:00"), 0),
            ticks_row(2, T(at("2024-11-29T14:30:00"), 1.0), T(at("2024-11-29T17:59:59"), 2.0)),
            ticks_row(3, T(at("2024-11-29T18:00:00"), 3.0)),
            clock(4, at("2024-11-29T18:00:02")),
        ]
    )

    open_, close = at("2024-11-29T14:30:00"), at("2024-11-29T18:00:00")
    assert {(i, bar[3]) for (i, start), bar in found.items() if start == open_ and i >= Interval.H4} == {
        (Interval.H4, close), (Interval.D1, close)
    }  # fmt: skip
    assert found[Interval.MO1, at("2024-11-01T13:30:00")][7] == 2.0


def test_extended_hours_are_a_calendar_of_their_own():
    """04:00 to 20:00 New York: the tick at 09:29 that the regular session leaves out is in the day's bar."""
    rows = [
        designated(1, at("2024-05-14T08:00:00"), 0),
        ticks_row(2, T(at("2024-05-14T13:29:00"), 1.0), T(at("2024-05-14T14:00:00"), 2.0)),
        clock(3, at("2024-05-15T00:00:02")),
    ]

    assert new_york(rows)[Interval.D1, at("2024-05-14T13:30:00")][4] == 2.0
    assert new_york(rows, NYSE._replace(extended=True))[Interval.D1, at("2024-05-14T08:00:00")][4] == 1.0


DAYS = st.sampled_from(["2024-03-08", "2024-03-11", "2024-11-01", "2024-11-04", "2024-11-29", "2024-12-24"]).map(
    date.fromisoformat
)


@given(st.lists(st.tuples(DAYS, st.integers(0, 4 * 60 * 24), st.integers(1, 9)), max_size=40))
def test_kernel_and_oracle_agree_on_days_when_clocks_change(specs):
    """Daylight saving, half days, weekends and month ends of New York, ticks at every quarter of a minute."""
    rows = [designated(1, at("2024-03-08T00:00:00"), 0)]
    for day, quarters, price in sorted(specs):
        moment = at((day + timedelta(0)).isoformat()) + quarters * 15 * SECOND
        rows.append(ticks_row(len(rows) + 1, T(moment, price / 10)))
    rows.append(clock(len(rows) + 1, at("2025-01-02T00:00:00")))

    new_york(rows)
