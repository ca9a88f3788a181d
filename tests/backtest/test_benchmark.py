"""Buy and hold, by hand."""

import numpy as np
from ran.report import GOOG, bars
from ran.running import shown_of

from backtest.benchmark import buy_and_hold
from backtest.curve import Curve
from backtest.reading import Series
from market.intervals import Interval


def made(closes, rates=None):
    """The equity of 1,000 in bars that open at 10 and close at these."""
    one = bars(len(closes))
    one["interval"], one["open"], one["close"] = Interval.D1, 10.0, closes
    shown = shown_of(Series(GOOG, Interval.D1, one, "test"))
    nothing = np.zeros(len(closes))
    held = None
    if rates is not None:
        known = one.copy()
        # The first is known before the first bar starts.
        known["end"] = np.concatenate([[one["start"][0] - 1], one["end"][:-1]])
        known["close"] = rates
        held = {0: known}
    return buy_and_hold(shown, Curve(one["end"], nothing, nothing, nothing), 1_000.0, 0, held).equity.tolist()


def test_everything_is_bought_at_the_first_open_and_marked_at_the_closes():
    assert made([11.0, 8.0, 20.0]) == [1_100.0, 800.0, 2_000.0]


def test_in_another_currency_it_is_worth_what_the_last_known_rate_makes_of_it():
    assert made([10.0, 10.0, 20.0], [2.0, 2.0, 3.0]) == [1_000.0, 1_000.0, 3_000.0]
