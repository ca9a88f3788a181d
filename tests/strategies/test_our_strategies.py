"""What each of our strategies decides, worked out by hand on a few bars."""

from math import isnan

import numpy as np
import pytest
from closed_bars import in_order, views

from market.intervals import Interval
from trading.records import Kind, Sizing


def wanted(decider, bars):
    """Exposures by bar, None where the position is left as it is."""
    return [None if isnan(value) else value for value in decider.exposures(bars).tolist()]


def test_sma_cross_turns_at_each_cross_and_a_tie_keeps_the_side(make):
    """Means of 1 and 2: above from bar 2 on, no position yet; a tie on bar 4; below on bar 5, above on bar 7."""
    closes = [10, 11, 12, 12, 11, 11, 12]
    assert wanted(make("sma-cross", fast=1, slow=2), views(closes)) == [None, None, None, None, -1, None, 1]


def test_sma_cross_without_shorts_is_flat_below(make):
    closes = [10, 11, 10, 11]
    assert wanted(make("sma-cross", fast=1, slow=2, shorts=False), views(closes)) == [None, None, 0, 1]


def test_macd_turns_where_the_histogram_changes_its_sign(make):
    """Of lengths 1 and 2, signal 1, the histogram is 0 throughout; of signal 2 it lags the difference."""
    closes = [10, 11, 12, 11, 10, 11, 12, 13]
    assert wanted(make("macd", fast=1, slow=2, signal=1), views(closes)) == [None] * 8
    found = wanted(make("macd", fast=1, slow=2, signal=2), views(closes))
    # Differences: 0.5, 0.5, -0.167, -0.389, 0.204, 0.401, 0.467; signals: 0.5, 0.056, -0.241, 0.056, 0.286, 0.407.
    assert found == [None, None, None, None, None, 1, None, None]


def test_macd_buys_a_lower_low_that_the_histogram_does_not_confirm(make):
    """A steep fall, a recovery, and a slower fall to a lower low; left as a close falls below that low."""
    steep = [100 - 4 * bar for bar in range(1, 7)]
    recovery = [76 + 3 * bar for bar in range(1, 6)]
    slow = [91 - 2.2 * bar for bar in range(1, 9)]
    up = [slow[-1] + bar for bar in (0.5, 1, 1.5)]
    closes = [100.0] * 8 + steep + recovery + slow + up + [70]
    found = wanted(make("macd", fast=3, slow=6, signal=3, rule="divergence", shorts=False), views(closes))
    entered = [place for place, value in enumerate(found) if value == 1]
    assert len(entered) == 1
    assert 8 + 6 + 5 + 3 <= entered[0] < len(closes) - 1
    assert found[-1] == 0
    assert [value for value in found if value is not None] == [1, 0]


def test_bollinger_reversion_buys_below_the_lower_band_and_leaves_at_the_middle(make):
    """Of 4 closes 10 10 10 6 the mean is 9 and the deviation 1.732: a width of 1.5 puts the band at 6.4."""
    closes = [10, 10, 10, 10, 6, 8, 10, 10, 14, 10]
    found = wanted(make("bollinger", length=4, width=1.5, rule="reversion"), views(closes))
    assert found == [None, None, None, None, 1, None, 0, None, -1, 0]


def test_bollinger_squeeze_follows_the_first_close_outside_of_narrow_bands(make):
    """Narrowest on bar 8, followed on bar 9, left as a close is at or below the middle; wide bands are not followed."""
    closes = [10, 12, 10, 12, 10, 11, 10.5, 10.5, 12, 13, 10]
    found = wanted(make("bollinger", length=4, width=1.0, rule="squeeze", quiet=3), views(closes))
    assert found == [None] * 8 + [1, None, 0]


def test_rsi_buys_as_it_comes_back_and_sells_as_it_weakens(make):
    """Wilder's averages of 2 after 12 11 10: 0, then 50, 75, 87.5, 43.75."""
    closes = [12, 11, 10, 11, 12, 13, 12]
    assert wanted(make("rsi", length=2), views(closes)) == [None, None, None, 1, None, None, -1]
    assert wanted(make("rsi", length=2, shorts=False), views(closes))[-1] == 0


def test_donchian_enters_beyond_the_bars_before_and_leaves_by_fewer(make):
    """The high of 3 bars before is 12; bar 5 closes above at 13; bar 7 closes below the 2-bar low of 12."""
    closes = [10, 11, 12, 11, 13, 12.5, 11.5, 9]
    highs = [10, 11, 12, 12, 13, 13, 12, 10]
    lows = [9, 10, 11, 11, 12, 12, 11, 9]
    bars = views(closes, highs=highs, lows=lows)
    assert wanted(make("donchian", enter=3, leave=2), bars) == [None] * 4 + [1, None, 0, -1]
    assert wanted(make("donchian", enter=3, leave=2, shorts=False), bars) == [None] * 4 + [1, None, 0, None]


def test_buy_and_hold_wants_the_same_all_along(make):
    """Which is bought once, on whatever bar trading begins: after a warm-up, too."""
    assert wanted(make("buy-and-hold", exposure=0.5), views([1, 2, 3])) == [0.5, 0.5, 0.5]


def test_a_cross_is_taken_only_the_way_the_longer_interval_goes(make):
    """The hour closes at minute 60, above its average from the second on; a cross before that goes nowhere."""
    minutes = views([10, 11, 10, 11, 10, 11, 10, 11], minutes=30, interval=Interval.M30)
    hours = views([11, 12, 13, 11], minutes=60, interval=Interval.H1)
    decider = make("trend-cross", interval=Interval.M30, fast=1, slow=2, trend_interval="1h", trend=2)
    bars = in_order(hours, minutes)
    found = [value for value, bar in zip(wanted(decider, bars), bars, strict=True) if bar["interval"] == Interval.M30]
    # Crosses on bars 3 to 8; the trend is up as of the hour that ends with bar 4, down as of the one with bar 8.
    assert found == [None, None, 0, 1, 0, 1, 0, 0]


def test_a_longer_bar_that_has_not_closed_is_not_seen(make):
    """Whatever the hours that end later say, the decisions before are the same."""
    minutes = views([10, 11, 10, 11, 10, 11], minutes=30, interval=Interval.M30)
    found = []
    for last in (5, 500):
        hours = views([11, 12, last], minutes=60, interval=Interval.H1)
        bars = in_order(hours, minutes)[:-2]
        found.append(
            wanted(make("trend-cross", interval=Interval.M30, fast=1, slow=2, trend_interval="1h", trend=2), bars)
        )
    assert found[0] == found[1]


def test_the_pair_sells_the_dear_one_and_buys_the_cheap_one_once_both_have_closed(make):
    """The ratio jumps on the fifth bar and is back on the sixth."""
    first, second = [10, 11, 10, 11, 16, 10.5], [10, 11, 11, 11, 10, 10.5]
    bars = in_order(views(first, symbol=0), views(second, symbol=1))
    found = make("pair", length=4, enter=1.5).requests(bars)
    assert found.counts.tolist() == [0] * 9 + [2, 0, 2]
    orders = [(one.symbol, one.kind, one.sizing, one.amount) for one in found.orders]
    target = (Kind.MARKET, Sizing.TARGET)
    assert orders == [(0, *target, -0.5), (1, *target, 0.5), (0, *target, 0), (1, *target, 0)]


@pytest.mark.parametrize("name", ["sma-cross", "macd", "bollinger", "rsi", "donchian", "trend-cross"])
def test_nothing_is_decided_on_a_market_that_stands_still(make, name):
    assert np.isnan(make(name).exposures(views([7.1] * 200))).all()


def test_warm_up_is_what_a_strategy_asks_for(make):
    """No decision can come before, and with these bars one comes with it or after."""
    rng = np.random.default_rng(5)
    closes = 100 + rng.standard_normal(400).cumsum()
    for name in ("sma-cross", "macd", "bollinger", "rsi", "donchian"):
        decider = make(name)
        found = decider.exposures(views(closes, highs=closes + 0.1, lows=closes - 0.1))
        first = np.flatnonzero(~np.isnan(found))[0]
        assert first >= decider.needs.warm_up - 1, name
