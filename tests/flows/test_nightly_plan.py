"""The nightly backtests run at 17:00 in New York on trading days: what a cron line would get wrong."""

from datetime import UTC, date, datetime

import pytest

from flows.nightly_plan import night_of, upcoming


def ns(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def runs(now, days):
    return [
        f"{datetime.fromtimestamp(one.run_at / 1e9, UTC):%Y-%m-%d %H:%M}"
        for one in upcoming(ns(now), days * 86_400 * 10**9)
    ]


def test_weekends_and_holidays_have_none_and_half_days_the_same_hour():
    """Thanksgiving 2026 is Thursday November 26th; on the Friday New York closes at 13:00, and 17:00 is still after."""
    assert runs("2026-11-25T12:00", 6) == ["2026-11-25 22:00", "2026-11-27 22:00", "2026-11-30 22:00"]


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-10-30T12:00", ["2026-10-30 21:00", "2026-11-02 22:00"]),
        ("2026-03-06T12:00", ["2026-03-06 22:00", "2026-03-09 21:00"]),
    ],
    ids=["summer time ends", "summer time begins"],
)
def test_the_hour_is_new_yorks_whatever_the_clocks_do(now, expected):
    """On November 1st and on March 8th, 2026."""
    assert runs(now, 4) == expected


def test_a_night_is_planned_until_its_moment_and_once():
    """Its key is the day, so that planning again every six hours changes nothing."""
    assert runs("2026-11-20T22:00", 1) == ["2026-11-20 22:00"]
    assert runs("2026-11-20T22:00:01", 1) == []
    keys = [one.key for now in ("2026-11-18T00:00", "2026-11-18T23:00") for one in upcoming(ns(now))]
    assert sorted(set(keys)) == [f"nightly-backtests 2026-11-{day}" for day in (18, 19, 20, 23)]


def test_over_the_longest_weekend_one_is_planned():
    """Three days and a holiday: the UI always says when the next one is."""
    nights = [ns(f"2026-{month:02d}-{day:02d}T23:30") for month in range(1, 13) for day in range(1, 29)]
    assert all(upcoming(night) for night in nights)


def test_the_night_is_new_yorks_day():
    """A run that is made up for after midnight UTC is still of the day before."""
    assert night_of(ns("2026-11-21T04:59")) == date(2026, 11, 20)
    assert night_of(ns("2026-11-21T05:00")) == date(2026, 11, 21)
