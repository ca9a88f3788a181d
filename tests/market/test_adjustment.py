"""Adjusted prices: by hand, and as properties."""

import csv
import datetime as dt
from math import inf, prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.actions import Action, ActionKind, dividend, split
from market.adjustment import Adjust, Cut, cuts, ex_time, factors, straddled
from market.errors import DeskError
from market.intervals import MINUTE_NS, Interval
from market.sessions import calendar_for
from market.symbols import Symbol

AAPL = Symbol("NASDAQ", "AAPL")
CALENDAR = calendar_for(AAPL)
DAY_NS = 1440 * MINUTE_NS
NEVER = 2**62


def opening(day: str) -> int:
    """The start of a session's daily bar, ns."""
    found = CALENDAR.bounds_of_date(Interval.D1, dt.date.fromisoformat(day))
    assert found is not None
    return found[0] * MINUTE_NS


def test_a_split_halves_what_came_before_it_and_doubles_its_volume():
    """Two for one on 28 February 2005: that session's bar already trades split."""
    made = cuts([split(AAPL, dt.date(2005, 2, 28), 2.0, "file")], CALENDAR, Adjust.SPLITS, lambda _: None, NEVER)

    price, volume = factors(np.array([opening("2005-02-25"), opening("2005-02-28")]), made)

    assert price.tolist() == [0.5, 1.0]
    assert volume.tolist() == [2.0, 1.0]


def test_a_dividend_takes_its_part_of_the_close_before_it():
    """2.65 paid from a close of 622.55: 1 - 2.65 / 622.55."""
    paid = dividend(AAPL, dt.date(2012, 8, 9), 2.65, "USD", "file")
    made = cuts([paid], CALENDAR, Adjust.ALL, {opening("2012-08-09"): 622.55}.get, NEVER)

    price, volume = factors(np.array([opening("2012-08-08")]), made)

    assert price.tolist() == [pytest.approx(0.99574331379, abs=1e-11)]
    assert volume.tolist() == [1.0]
    assert cuts([paid], CALENDAR, Adjust.SPLITS, lambda _: 600.0, NEVER) == []


def test_an_ex_date_without_a_session_takes_effect_at_the_next_open():
    """A vendor may stamp a Saturday."""
    assert ex_time(split(AAPL, dt.date(2005, 2, 26), 2.0, "file"), CALENDAR) == opening("2005-02-28")


def test_an_action_that_is_only_announced_changes_nothing_yet():
    until = opening("2005-02-25")
    assert cuts([split(AAPL, dt.date(2005, 2, 28), 2.0, "file")], CALENDAR, Adjust.ALL, lambda _: 1.0, until) == []


def test_a_dividend_as_large_as_the_price_is_refused_by_name():
    """It would make prices zero or negative."""
    paid = dividend(AAPL, dt.date(2012, 8, 9), 30.0, "USD", "file")
    with pytest.raises(DeskError, match=r"dividend of NASDAQ:AAPL on 2012-08-09: 30 is not below the close before it"):
        cuts([paid], CALENDAR, Adjust.ALL, lambda _: 20.0, NEVER)


def test_only_a_bar_with_prices_from_both_sides_straddles():
    made = [Cut(100, 0.5, 2.0, split(AAPL, dt.date(2005, 2, 28), 2.0, "file"))]
    starts, ends = np.array([50, 90, 100, 90]), np.array([100, 101, 150, 100])
    assert straddled(starts, ends, made).tolist() == [False, True, False, False]


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.floats(0.01, 1.5), st.floats(0.1, 20)), max_size=8),
    st.lists(st.integers(-10, 1010), max_size=20),
)
def test_a_bar_gets_every_factor_of_the_cuts_after_its_start(found, starts):
    """The obvious rule, bar by bar; and after the last cut nothing changes, to the bit."""
    action = Action(AAPL, dt.date(2005, 2, 28), ActionKind.SPLIT, 2.0, "", "file")
    made = [Cut(time, price, volume, action) for time, price, volume in sorted(found)]

    price, volume = factors(np.array(starts, np.int64), made)

    for place, start in enumerate(starts):
        after = [cut for cut in made if cut.time > start]
        assert price[place] == pytest.approx(prod(cut.price for cut in after))
        assert volume[place] == pytest.approx(prod(cut.volume for cut in after))
        if not after:
            assert (price[place], volume[place]) == (1.0, 1.0)


def test_two_splits_and_a_dividend_give_the_adjusted_close_of_record(recorded):
    """Apple 2000-2012, whose file has closes as traded and the vendor's adjusted ones (rounded to cents)."""
    with (recorded / "daily" / "AAPL.csv").open() as file:
        rows = {row["Date"]: (float(row["Close"]), float(row["Adj Close"])) for row in csv.DictReader(file)}
    actions = [
        split(AAPL, dt.date(2000, 6, 21), 2.0, "file"),
        split(AAPL, dt.date(2005, 2, 28), 2.0, "file"),
        dividend(AAPL, dt.date(2012, 8, 9), 2.65, "USD", "file"),
        dividend(AAPL, dt.date(2012, 11, 7), 2.65, "USD", "file"),
    ]
    days = sorted(day for day in rows if day <= "2012-12-31")

    def close_before(time: int) -> float | None:
        return rows[max(day for day in days if opening(day) < time)][0]

    made = cuts(actions, CALENDAR, Adjust.ALL, close_before, opening("2012-12-31"))
    starts = np.array([opening(day) for day in days])
    price, _ = factors(starts, made)

    worst = -inf
    base = rows["2012-12-31"][1] / rows["2012-12-31"][0]
    for factor, day in zip(price, days, strict=True):
        close, vendors = rows[day]
        worst = max(worst, abs(close * factor * base - vendors) - 0.0051 - 2e-4 * vendors)
    assert worst <= 0
