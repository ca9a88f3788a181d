"""The thirteen intervals are a closed set."""

import pytest

from market.intervals import INTERVALS, NAMES, Interval, IntervalError, parse_interval


def test_there_are_thirteen_in_order_of_length():
    assert " ".join(map(str, INTERVALS)) == "1m 3m 5m 15m 30m 45m 1h 2h 3h 4h 1d 1w 1M"
    minutes = [interval.minutes for interval in INTERVALS if interval.intraday]
    assert minutes == [1, 3, 5, 15, 30, 45, 60, 120, 180, 240]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_reads_back(name):
    assert str(parse_interval(name)) == name


def test_case_matters_only_between_a_minute_and_a_month():
    assert parse_interval("1M") is Interval.MO1
    assert parse_interval("1m") is Interval.M1
    assert parse_interval("4H") is Interval.H4
    assert parse_interval("1D") is Interval.D1


@pytest.mark.parametrize("text", ["", "7m", "1", "m", "1mo", "60m", "1min", "1y"])
def test_any_other_name_is_an_error_that_lists_them(text):
    with pytest.raises(IntervalError, match="1m 3m 5m 15m 30m 45m 1h 2h 3h 4h 1d 1w 1M"):
        parse_interval(text)
