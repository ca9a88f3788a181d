"""Stamps of files of bars: forms, zones, days, and the hour that a clock takes twice."""

from calendar import timegm
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.bar_files.stamps import BarStamps
from sources.stamps import StampError

NEW_YORK = ZoneInfo("America/New_York")
SECOND = 10**9
JANUARY_2 = 1_767_312_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-02T03:04:05Z", JANUARY_2 + 11_045),
        ("2026-01-02 03:04:05", JANUARY_2 + 11_045),
        ("2026-01-02T03:04:05.000000000Z", JANUARY_2 + 11_045),
        ("2026-01-02 03:04", JANUARY_2 + 11_040),
        ("2026/01/02 03:04", JANUARY_2 + 11_040),
        ("2026.01.02 03:04", JANUARY_2 + 11_040),
        ("2026-01-02T03:04:05+05:30", JANUARY_2 + 11_045 - 19_800),
        ("20260102T030405", JANUARY_2 + 11_045),
        (" 2026-01-02 ", JANUARY_2),
        ("20260102", JANUARY_2),
        ("1767323045", JANUARY_2 + 11_045),
        ("1767323045000", JANUARY_2 + 11_045),
        ("1767323045000000", JANUARY_2 + 11_045),
        ("1767323045000000000", JANUARY_2 + 11_045),
        ("951894000", 951_894_000),
    ],
)
def test_a_stamp_is_read_in_any_of_its_forms(text, seconds):
    assert BarStamps(UTC).read(text).time_ns == seconds * SECOND


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no time such as 2026-01-02"),
        ("01/02/2026", "is no time such as"),
        ("2026-02-31", "is no time such as"),
        ("soon", "is no time such as"),
        ("12345", "9 to 19 digits"),
        ("99999999999999999999", "9 to 19 digits"),
        ("9999999999999999999", "beyond 2261"),
        ("1950-01-01", "outside 1970 to 2261"),
        ("2300-01-01", "outside 1970 to 2261"),
    ],
)
def test_what_is_no_stamp_is_said(text, says):
    with pytest.raises(StampError, match=says):
        BarStamps(UTC).read(text)


@pytest.mark.parametrize(
    ("text", "zone", "day"),
    [
        ("2026-01-02", UTC, date(2026, 1, 2)),
        ("2026-01-02 00:00:00", UTC, date(2026, 1, 2)),
        ("2026-01-02T00:00:00Z", UTC, date(2026, 1, 2)),
        ("1767312000", UTC, date(2026, 1, 2)),
        ("2026-01-02 00:00:00", NEW_YORK, date(2026, 1, 2)),
        ("2026-01-02T05:00:00Z", NEW_YORK, date(2026, 1, 2)),
        ("2026-07-02T04:00:00Z", NEW_YORK, date(2026, 7, 2)),
        ("2026-01-02T05:00:00Z", UTC, None),
        ("2026-01-02 09:30", NEW_YORK, None),
    ],
)
def test_midnight_in_the_files_own_zone_is_a_day(text, zone, day):
    """Alpaca and Massive stamp days by New York's midnight, 04:00 or 05:00 UTC."""
    assert BarStamps(zone).read(text).day == day


def test_the_hour_that_comes_twice_is_told_by_the_order():
    """2025-11-02 in New York: at 02:00 the clock goes back to 01:00, so a file of half hours has two of 01:30."""
    stamps = BarStamps(NEW_YORK)
    times = [
        stamps.read(f"2025-11-02 {text}").time_ns // SECOND for text in ("01:00", "01:30", "01:00", "01:30", "02:00")
    ]
    assert [later - times[0] for later in times] == [0, 1800, 3600, 5400, 7200]


def test_a_time_that_the_clock_skips_is_none():
    with pytest.raises(StampError, match="does not exist in America/New_York: the clock was put forward over it"):
        BarStamps(NEW_YORK).read("2026-03-08 02:30")


@given(st.datetimes(datetime(1970, 1, 2), datetime(2261, 12, 31)))  # noqa: DTZ001  # Hypothesis wants them so.
def test_any_moment_reads_back(moment):
    moment = moment.replace(microsecond=0)
    assert BarStamps(UTC).read(moment.isoformat()).time_ns == timegm(moment.timetuple()) * SECOND
