"""Counting slots without listing them agrees with listing them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from history.slot_numbers import next_slot, slot_number, slot_start, slots_back, slots_between
from market.intervals import INTERVALS
from market.sessions import calendar
from market.slots import slots

NAMES = ["24/7", "24/5", "XNYS", "XHKG"]
FROM = int(datetime(2025, 10, 20, tzinfo=UTC).timestamp())
UPTO = int(datetime(2026, 1, 10, tzinfo=UTC).timestamp())
YEAR = 366 * 86_400 * 10**9

moments = st.integers(FROM * 10**9, UPTO * 10**9) | st.integers(FROM // 60, UPTO // 60).map(lambda m: m * 60 * 10**9)


@given(st.sampled_from(NAMES), st.sampled_from(INTERVALS), moments, moments)
def test_as_many_slots_lie_between_two_moments_as_are_listed(name, interval, one, other):
    """Half days, lunch breaks, weekends, a change of the clocks; to the nanosecond."""
    start, end = min(one, other), max(one, other)
    listed = slots(calendar(name), interval, start, end)

    assert slots_between(calendar(name), interval, start, end) == len(listed)
    assert slots_between(calendar(name), interval, end, start) == 0
    if len(listed):
        assert next_slot(calendar(name), interval, start) == listed[0, 0]
        assert slots_back(calendar(name), interval, end, len(listed)) == listed[0, 0]
        assert slots_back(calendar(name), interval, end, 1) == listed[-1, 0]


@given(st.sampled_from(NAMES), st.sampled_from(INTERVALS), moments)
def test_a_slot_is_found_by_its_number(name, interval, moment):
    start = next_slot(calendar(name), interval, moment)

    assert start >= moment
    assert slot_start(calendar(name), interval, slot_number(calendar(name), interval, start)) == start
    assert slot_number(calendar(name), interval, start + 1) == slot_number(calendar(name), interval, start) + 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("interval", INTERVALS)
def test_beyond_the_calendars_ends_there_is_its_first_or_last_slot(name, interval):
    cal = calendar(name)
    first, last = slot_start(cal, interval, 0), slot_start(cal, interval, 1 << 60)

    assert slots_back(cal, interval, first + 1, 999) == first
    assert slot_number(cal, interval, first) == slot_number(cal, interval, 0) == 0
    assert next_slot(cal, interval, last + 50 * YEAR) == last
