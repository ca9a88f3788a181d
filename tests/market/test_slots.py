"""The bars that a calendar has room for are those that its own rule, minute by minute, finds."""

import doctest
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import market.slots
from market.intervals import INTERVALS, MINUTE_NS, Interval
from market.sessions import calendar
from market.slots import slots


def ns(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def by_the_minute(cal, interval, start, end):
    """The slow rule: ask the calendar for the bar of each minute, and keep those that start in the span."""
    reach = 40 * 1440 if not interval.intraday else 1440
    found = set()
    for minute in range(start // MINUTE_NS - reach, -(-end // MINUTE_NS) + 1):
        bounds = cal.bounds(interval, minute)
        if bounds is not None and start <= bounds[0] * MINUTE_NS < end:
            found.add(bounds)
    return np.array(sorted(found), dtype=np.int64).reshape(-1, 2) * MINUTE_NS


@given(
    st.sampled_from(["24/7", "24/5", "XNYS", "XHKG"]),
    st.sampled_from([one for one in INTERVALS if one.intraday]),
    st.integers(ns("2025-10-20") // 10**9, ns("2025-12-01") // 10**9),
    st.integers(0, 2 * 86_400),
)
def test_they_are_what_the_calendar_says_of_each_minute(name, interval, start_s, length_s):
    """Half days, lunch breaks, weekends and a change of the clocks included; spans need not lie on a minute."""
    start = start_s * 10**9
    end = start + length_s * 10**9

    np.testing.assert_array_equal(
        slots(calendar(name), interval, start, end), by_the_minute(calendar(name), interval, start, end)
    )


@pytest.mark.parametrize("name", ["24/7", "XNYS"])
@pytest.mark.parametrize("interval", [Interval.D1, Interval.W1, Interval.MO1])
def test_days_weeks_and_months_too(name, interval):
    start, end = ns("2025-12-20"), ns("2026-01-10")

    np.testing.assert_array_equal(
        slots(calendar(name), interval, start, end), by_the_minute(calendar(name), interval, start, end)
    )


def test_a_day_after_thanksgiving_is_short():
    """New York closes at 13:00: seven half hours, by hand."""
    start = ns("2025-11-28")

    found = slots(calendar("XNYS"), Interval.M30, start, start + 1440 * MINUTE_NS)

    assert len(found) == 7
    assert found[0, 0] == ns("2025-11-28T14:30")
    assert found[-1, 1] == ns("2025-11-28T18:00")


def test_an_empty_span_has_none():
    assert slots(calendar("24/7"), Interval.M1, 60, 60).shape == (0, 2)
    assert slots(calendar("XNYS"), Interval.H1, ns("2026-01-03"), ns("2026-01-05")).shape == (0, 2)


def test_its_examples_are_true():
    assert doctest.testmod(market.slots).failed == 0
