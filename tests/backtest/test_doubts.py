"""What of the bars makes a run doubtful is said, and what no run can be made of is refused."""

import datetime as dt

import numpy as np
import pytest
from ran.report import GOOG

from backtest.doubts import check_prices, gaps, jumps, notes
from backtest.reading import Series
from market.actions import split
from market.adjustment import Cut
from market.bars import BAR, BarState
from market.errors import DeskError
from market.intervals import MINUTE_NS, Interval
from market.sessions import calendar_for
from market.slots import slots

NEW_YEAR = 1_704_067_200 * 10**9


def series(*, left_out=(), prices=None, states=BarState.OFFICIAL):
    """Google's daily bars of January 2024, 21 sessions."""
    calendar = calendar_for(GOOG)
    bounds = slots(calendar, Interval.D1, NEW_YEAR, NEW_YEAR + 31 * 1440 * MINUTE_NS)
    made = np.zeros(len(bounds), BAR)
    made["start"], made["end"] = bounds[:, 0], bounds[:, 1]
    closes = np.full(len(bounds), 100.0) if prices is None else np.asarray(prices, float)
    made["open"] = made["close"] = closes
    made["high"], made["low"], made["volume"] = closes + 1, closes - 1, 1000.0
    made["interval"], made["state"] = Interval.D1, states
    return Series(GOOG, Interval.D1, np.delete(made, left_out), "store")


def test_bars_that_the_calendar_has_and_the_series_has_not_are_counted():
    found = series(left_out=[3, 4, 9])

    assert gaps(found, calendar_for(GOOG)) == 3
    assert notes(found, calendar_for(GOOG), []) == [
        "NASDAQ:GOOG 1d has gaps: 3 of 21 bars that its calendar has room for are not there."
    ]


def test_whole_bars_are_no_doubt():
    assert notes(series(), calendar_for(GOOG), []) == []


def test_partial_bars_are_counted():
    assert notes(series(states=BarState.PARTIAL), calendar_for(GOOG), []) == [
        "21 bars of NASDAQ:GOOG 1d are partial: they were built across an outage."
    ]


@pytest.mark.parametrize(("after", "ratio", "words"), [(25.5, 4.0, "4 for 1"), (1010.0, 0.1, "1 for 10")])
def test_a_jump_like_a_split_is_warned_of_unless_it_is_known(after, ratio, words):
    """100 to 25.5 is four for one and a rise of 2 %."""
    found = series(prices=[100.0] * 10 + [after] * 11)
    start = int(found.bars["start"][10])
    known = Cut(start, 1 / ratio, ratio, split(GOOG, dt.date(2024, 1, 17), ratio, "test"))

    assert jumps(found, []) == [(start, ratio)]
    assert f"as after a split of {words} that no corporate action explains" in notes(found, calendar_for(GOOG), [])[0]
    assert jumps(found, [known]) == []


@pytest.mark.parametrize("after", [80.0, 120.0, 58.0])
def test_news_is_no_split(after):
    """A fall by a fifth, a rise by a fifth, and a fall by 42 %, which is far from any ratio."""
    assert jumps(series(prices=[100.0] * 10 + [after] * 11), []) == []


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("low", 0.0, "prices must be above 0, and it has open 100 high 101 low 0 close 100"),
        ("open", -3.0, "and it has open -3"),
        ("close", float("nan"), "close nan"),
        ("high", 99.0, "open and close must lie between low and high"),
    ],
)
def test_prices_that_nothing_can_be_filled_at_are_refused_with_their_bar(field, value, words):
    found = series()
    found.bars[field][5] = value

    with pytest.raises(DeskError, match=words) as caught:
        check_prices(found)
    assert "NASDAQ:GOOG 1d bar of 2024-01-09 14:30" in str(caught.value)
