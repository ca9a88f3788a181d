"""What paper runs came to, against hand-made numbers and against the same sums made slowly."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketquant.paper.curves import Point, as_candles
from pocketquant.paper.summary import DAY_NS, Closed, Mark, spans, summarise, together

JANUARY = 1_767_225_600 * 10**9
"""2026-01-01T00:00:00Z, a Thursday."""


def day(number):
    """Noon of a day of January, ns."""
    return JANUARY + (number - 1) * DAY_NS + DAY_NS // 2


def dates(every, first, last):
    return [
        f"{datetime.fromtimestamp(begin // 10**9, UTC):%Y-%m-%d}" for begin, _ in spans(day(first), day(last), every)
    ]


def test_weeks_begin_on_monday_and_months_on_their_first():
    assert dates("day", 1, 3) == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert dates("week", 1, 12) == ["2025-12-29", "2026-01-05", "2026-01-12"]
    assert dates("month", 20, 60) == ["2026-01-01", "2026-02-01", "2026-03-01"]


def test_the_win_rate_of_thirty_days_forgets_what_is_older():
    """Two losses of the first day are 30 days and a half old at the end of the 31st."""
    trades = [
        Closed(day(1), -1.0, 0.0),
        Closed(day(1), -1.0, 0.0),
        Closed(day(15), 2.0, 0.0),
        Closed(day(31), -1.0, 0.5),
    ]
    figures = summarise(trades, [], 100.0, day(1), day(31), "day")

    assert figures[0].win_rate_30d == 0.0
    assert figures[14].win_rate_30d == pytest.approx(1 / 3)
    assert figures[29].win_rate_30d == pytest.approx(1 / 3)
    assert (figures[30].win_rate, figures[30].win_rate_30d) == (0.0, 0.5)
    assert (figures[30].expectancy, figures[30].fees) == (-1.0, 0.5)
    assert (figures[1].trades, figures[1].win_rate, figures[1].expectancy) == (0, None, None)


def test_a_day_begins_with_the_equity_and_in_the_drawdown_in_which_the_one_before_ended():
    marks = [Mark(day(1), 110.0), Mark(JANUARY + DAY_NS, 99.0), Mark(day(3), 104.5), Mark(day(4), 121.0)]
    figures = summarise([], marks, 100.0, day(1), day(4), "day")

    assert [one.equity for one in figures] == [99.0, 99.0, 104.5, 121.0]
    assert [one.change for one in figures] == [-1.0, 0.0, 5.5, 16.5]
    assert [one.drawdown_max for one in figures] == pytest.approx([0.1, 0.1, 0.1, 0.05])
    assert figures[2].total_return == pytest.approx(104.5 / 99 - 1)


def test_what_is_kept_no_longer_is_not_known_rather_than_none():
    """Marks of the first two days are gone: the cash at the start says nothing of the third morning."""
    marks = [Mark(day(3), 150.0), Mark(day(4), 120.0)]
    figures = summarise([Closed(day(1), 5.0, 0.0)], marks, 100.0, day(1), day(4), "day", kept_from=day(3) - 1)

    assert [one.equity for one in figures] == [None, None, None, 120.0]
    assert figures[0].pnl == 5.0
    assert (figures[3].change, figures[3].drawdown_max) == (-30.0, pytest.approx(0.2))


amounts = st.floats(-50, 50).map(lambda value: round(value, 2))
moments = st.integers(day(1), day(90))


@given(
    st.lists(st.tuples(moments, amounts), max_size=30),
    st.lists(st.tuples(moments, st.floats(10, 500)), max_size=30),
    st.sampled_from(["day", "week", "month"]),
)
def test_spans_add_up_to_the_whole(trades, marks, every):
    """Whatever the spans, no trade is lost or counted twice, and each begins where the one before ended."""
    closed = sorted(Closed(time, pnl, 0.0) for time, pnl in trades)
    curve = sorted(Mark(time, equity) for time, equity in marks)
    (whole,) = summarise(closed, curve, 100.0, day(1), day(90))
    parts = summarise(closed, curve, 100.0, day(1), day(90), every)

    assert sum(part.trades for part in parts) == whole.trades == len(closed)
    assert sum(part.pnl for part in parts) == pytest.approx(whole.pnl, abs=1e-9)
    assert sum(part.change for part in parts) == pytest.approx(whole.change, abs=1e-9)
    assert max(part.drawdown_max for part in parts) == whole.drawdown_max
    assert parts[-1].equity == whole.equity
    assert [part.begin for part in parts[1:]] == [part.end for part in parts[:-1]]


@given(st.dictionaries(st.tuples(st.integers(0, 2), st.integers(0, 20)), st.floats(1, 9), max_size=40))
def test_the_sum_of_runs_is_what_each_was_last_worth(marks):
    runs = [[], [], []]
    for (place, time), equity in sorted(marks.items(), key=lambda one: one[0][1]):
        runs[place].append(Mark(time, equity))
    for mark in together([(5.0, run) for run in runs]):
        last = [([5.0] + [one.equity for one in run if one.time <= mark.time])[-1] for run in runs]
        assert mark.equity == pytest.approx(sum(last))


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=300), st.integers(1, 80))
def test_a_drawn_curve_keeps_its_extremes_and_goes_on_where_it_was(values, columns):
    drawn = as_candles([Point(place, value, 0.0) for place, value in enumerate(values)], columns)

    assert len(drawn) == min(columns, len(values))
    assert (drawn[0].open, drawn[-1].close) == (values[0], values[-1])
    assert (max(one.high for one in drawn), min(one.low for one in drawn)) == (max(values), min(values))
    assert [one.open for one in drawn[1:]] == [one.close for one in drawn[:-1]]
