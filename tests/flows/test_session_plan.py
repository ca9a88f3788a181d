"""Session reports are planned by the calendars: what a cron line would get wrong."""

from datetime import UTC, datetime

import pytest

from flows.session_plan import calendars, upcoming
from history.session_report import SETTLE_NS
from market.symbols import Symbol

SHARE, COIN, TOKYO = Symbol("NASDAQ", "AAPL"), Symbol("KRAKEN", "BTCUSD"), Symbol("TSE", "7203")


def ns(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def closes(symbols, now, days=4):
    found = upcoming(calendars(symbols), ns(now), days * 86_400 * 10**9)
    return [(one.exchange, f"{datetime.fromtimestamp(one.end / 1e9, UTC):%Y-%m-%d %H:%M}") for one in found]


def test_a_holiday_has_no_close_and_a_half_day_an_early_one():
    """Thanksgiving 2026 is Thursday November 26th; the day after, New York closes at 13:00, which is 18:00 UTC."""
    assert closes([SHARE], "2026-11-25T12:00", days=6) == [
        ("NASDAQ", "2026-11-25 21:00"),
        ("NASDAQ", "2026-11-27 18:00"),
        ("NASDAQ", "2026-11-30 21:00"),
    ]


def test_the_close_moves_with_the_clocks():
    """Summer time ends in New York on November 1st, 2026."""
    assert closes([SHARE], "2026-10-30T12:00") == [("NASDAQ", "2026-10-30 20:00"), ("NASDAQ", "2026-11-02 21:00")]


def test_a_venue_that_never_closes_ends_its_day_at_midnight():
    assert closes([COIN], "2026-11-25T12:00", days=2) == [
        ("KRAKEN", "2026-11-26 00:00"),
        ("KRAKEN", "2026-11-27 00:00"),
    ]


def test_a_lunch_break_is_no_close():
    """Tokyo has two sessions a day and one report."""
    assert closes([TOKYO], "2026-11-25T00:00", days=1) == [("TSE", "2026-11-25 06:30")]


def test_exchanges_are_planned_once_each_however_many_symbols_they_have():
    symbols = [SHARE, Symbol("NASDAQ", "MSFT"), COIN]
    assert closes(symbols, "2026-11-25T12:00", days=1) == [
        ("NASDAQ", "2026-11-25 21:00"),
        ("KRAKEN", "2026-11-26 00:00"),
    ]


@pytest.mark.parametrize("now", ["2026-11-25T21:00", "2026-11-25T20:59:59"])
def test_a_close_is_planned_until_it_is_over(now):
    """What ended before the desk ran has nothing to report of it."""
    assert closes([SHARE], now, days=1) == [("NASDAQ", "2026-11-25 21:00")]
    assert closes([SHARE], "2026-11-25T21:00:01", days=1) == []


def test_a_report_runs_when_it_is_due():
    """Not before the closing auction is printed."""
    (close,) = upcoming(calendars([SHARE]), ns("2026-11-25T12:00"), 86_400 * 10**9)
    assert close.run_at > close.end + SETTLE_NS
