"""Where a moment's bar begins and ends, on exchanges whose opens and closes anyone can look up."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.errors import DeskError
from market.intervals import INTERVALS, MINUTE_NS, Interval
from market.sessions import EXCHANGES, UnknownExchangeError, bounds, calendar, calendar_for
from market.symbols import parse_symbol

MINUTES_OF_TWO_DECADES = st.integers(15_800_000, 26_300_000)


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def span(symbol: str, interval: Interval, moment: str, *, extended: bool = False) -> tuple[str, str] | None:
    found = bounds(parse_symbol(symbol), interval, ns(moment), extended=extended)
    if found is None:
        return None
    start, end = (datetime.fromtimestamp(edge / 1e9, UTC).strftime("%Y-%m-%dT%H:%M") for edge in found)
    return start, end


@pytest.mark.parametrize(
    ("interval", "start", "end"),
    [
        (Interval.M1, "2026-01-02T03:04", "2026-01-02T03:05"),
        (Interval.M3, "2026-01-02T03:03", "2026-01-02T03:06"),
        (Interval.M5, "2026-01-02T03:00", "2026-01-02T03:05"),
        (Interval.M15, "2026-01-02T03:00", "2026-01-02T03:15"),
        (Interval.M30, "2026-01-02T03:00", "2026-01-02T03:30"),
        (Interval.M45, "2026-01-02T03:00", "2026-01-02T03:45"),
        (Interval.H1, "2026-01-02T03:00", "2026-01-02T04:00"),
        (Interval.H2, "2026-01-02T02:00", "2026-01-02T04:00"),
        (Interval.H3, "2026-01-02T03:00", "2026-01-02T06:00"),
        (Interval.H4, "2026-01-02T00:00", "2026-01-02T04:00"),
        (Interval.D1, "2026-01-02T00:00", "2026-01-03T00:00"),
        (Interval.W1, "2025-12-29T00:00", "2026-01-05T00:00"),
        (Interval.MO1, "2026-01-01T00:00", "2026-02-01T00:00"),
    ],
)
def test_round_the_clock_bars_are_aligned_to_utc(interval, start, end):
    assert span("KRAKEN:BTCUSD", interval, "2026-01-02T03:04:59") == (start, end)


@pytest.mark.parametrize(
    ("moment", "interval", "start", "end"),
    [
        # Winter: New York opens at 14:30 UTC. 390 minutes hold eight bars of 45 and one of 30.
        ("2026-01-05T14:30", Interval.M45, "2026-01-05T14:30", "2026-01-05T15:15"),
        ("2026-01-05T20:59", Interval.M45, "2026-01-05T20:30", "2026-01-05T21:00"),
        ("2026-01-05T20:59", Interval.H2, "2026-01-05T20:30", "2026-01-05T21:00"),
        ("2026-01-05T20:59", Interval.H3, "2026-01-05T20:30", "2026-01-05T21:00"),
        ("2026-01-05T20:59", Interval.H4, "2026-01-05T18:30", "2026-01-05T21:00"),
        ("2026-01-05T14:30", Interval.H1, "2026-01-05T14:30", "2026-01-05T15:30"),
        # Summer: 13:30 UTC. The clocks changed on 8 March 2026, so that week holds both.
        ("2026-07-06T13:30", Interval.D1, "2026-07-06T13:30", "2026-07-06T20:00"),
        ("2026-03-11T15:00", Interval.MO1, "2026-03-02T14:30", "2026-03-31T20:00"),
        # The day after Thanksgiving closes at 13:00 New York; Thursday is a holiday.
        ("2025-11-28T17:59", Interval.D1, "2025-11-28T14:30", "2025-11-28T18:00"),
        ("2025-11-28T17:59", Interval.W1, "2025-11-24T14:30", "2025-11-28T18:00"),
        ("2025-11-28T17:59", Interval.H4, "2025-11-28T14:30", "2025-11-28T18:00"),
    ],
)
def test_new_york_bars_restart_at_the_open_and_are_cut_at_the_close(moment, interval, start, end):
    assert span("NASDAQ:AAPL", interval, moment) == (start, end)


@pytest.mark.parametrize("moment", ["2026-01-05T14:29", "2026-01-05T21:00", "2025-11-28T18:00", "2025-11-27T16:00"])
def test_outside_the_session_there_is_no_bar(moment):
    """Before the open, at the close (the end is not included), after a half day, and on a holiday."""
    assert span("NYSE:IBM", Interval.M1, moment) is None


def test_a_lunch_break_restarts_intraday_bars_but_not_the_day():
    """Tokyo trades 09:00-11:30 and 12:30-15:30 (since November 2024), nine hours ahead of UTC."""
    assert span("TSE:7203", Interval.H2, "2026-02-02T02:29") == ("2026-02-02T02:00", "2026-02-02T02:30")
    assert span("TSE:7203", Interval.H2, "2026-02-02T03:00") is None
    assert span("TSE:7203", Interval.H2, "2026-02-02T03:30") == ("2026-02-02T03:30", "2026-02-02T05:30")
    assert span("TSE:7203", Interval.D1, "2026-02-02T03:30") == ("2026-02-02T00:00", "2026-02-02T06:30")


def test_extended_hours_run_from_four_to_eight_in_new_york():
    assert span("NASDAQ:AAPL", Interval.D1, "2026-01-05T09:00", extended=True) == (
        "2026-01-05T09:00",
        "2026-01-06T01:00",
    )
    with pytest.raises(DeskError, match="LSE:VOD has no extended hours"):
        calendar_for(parse_symbol("LSE:VOD"), extended=True)


def test_currencies_rest_at_the_weekend():
    assert span("FX:EURUSD", Interval.W1, "2026-01-07T12:00") == ("2026-01-05T00:00", "2026-01-10T00:00")
    assert span("FX:EURUSD", Interval.M1, "2026-01-10T12:00") is None


def test_an_exchange_that_the_map_does_not_hold_is_an_error():
    with pytest.raises(UnknownExchangeError, match="exchange NOWHERE of NOWHERE:X has no session calendar"):
        bounds(parse_symbol("NOWHERE:X"), Interval.M1, 0)


def test_a_date_alone_means_its_session():
    apple = calendar_for(parse_symbol("NASDAQ:AAPL"))
    monday = ns("2026-01-05T14:30") // MINUTE_NS
    assert apple.bounds_of_date(Interval.D1, date(2026, 1, 5)) == (monday, monday + 390)
    assert apple.bounds_of_date(Interval.D1, date(2026, 1, 4)) is None


@pytest.mark.parametrize("name", sorted(set(EXCHANGES.values())))
def test_every_calendar_of_the_map_can_be_built(name):
    """Sessions are in order, do not overlap, and lie within their day, week and month."""
    made = calendar(name)
    assert (made.open < made.close).all()
    assert (made.close[:-1] <= made.open[1:]).all()
    for start, end in ((made.day_start, made.day_end), (made.week_start, made.week_end)):
        assert (start <= made.open).all()
        assert (made.close <= end).all()


@given(MINUTES_OF_TWO_DECADES, st.sampled_from(["24/7", "24/5", "XNYS", "XTKS", "XNYS+extended"]))
def test_bars_of_an_interval_tile_the_sessions(minute, name):
    """A bar holds its own minute, its neighbours begin where it ends, and no bar crosses its day's bounds."""
    made = calendar(name)
    day = made.bounds(Interval.D1, minute)
    for interval in INTERVALS:
        found = made.bounds(interval, minute)
        assert (found is None) == (day is None)
        if found is None:
            continue
        start, end = found
        assert start <= minute < end
        assert made.bounds(interval, start) == found
        assert made.bounds(interval, end - 1) == found
        assert made.bounds(interval, end) != found
        if interval.intraday:
            assert day[0] <= start < end <= day[1]
            assert end - start <= interval.minutes


@given(st.dates(date(2007, 1, 1), date(2026, 6, 30)))
def test_new_york_agrees_with_the_library_day_by_day(day):
    """`exchange_calendars` is asked directly, with bounds of its own choosing."""
    import exchange_calendars

    oracle = exchange_calendars.get_calendar("XNYS")
    label = day.isoformat()
    found = calendar("XNYS").bounds_of_date(Interval.D1, day)
    if label < str(oracle.first_session)[:10] or not oracle.is_session(label):
        assert found is None or label < str(oracle.first_session)[:10]
    else:
        expected = [int(edge.timestamp()) // 60 for edge in oracle.session_open_close(label)]
        assert list(found) == expected


def test_sundays_and_mondays_are_told_apart():
    """A week begins on Monday 00:00 UTC: checked on each day of one week."""
    for offset in range(7):
        moment = datetime(2026, 1, 5, 23, 59, tzinfo=UTC) + timedelta(days=offset)
        week = calendar("24/7").bounds(Interval.W1, int(moment.timestamp()) // 60)
        assert week == (ns("2026-01-05T00:00") // MINUTE_NS, ns("2026-01-12T00:00") // MINUTE_NS)


def test_boundaries_cannot_be_altered_by_a_reader():
    with pytest.raises(ValueError, match="read-only"):
        calendar("24/7").open[0] = np.int64(0)
