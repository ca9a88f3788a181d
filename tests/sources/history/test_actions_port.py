"""What all providers of corporate actions share."""

from datetime import date

import pytest

from market.actions import dividend, split
from market.errors import DeskError
from market.symbols import Symbol
from sources.history.actions import make_actions_provider, one_a_day
from sources.history.provider import BadAnswer, Means

AAPL = Symbol("NASDAQ", "AAPL")
DAY = date(2024, 2, 9)


def test_a_regular_and_a_special_dividend_of_a_day_are_one_of_their_sum():
    """A reader that adjusts takes off what was paid in all; other currencies stay apart."""
    paid = [
        dividend(AAPL, DAY, 2.0, "USD", "x"),
        dividend(AAPL, DAY, 0.25, "USD", "x"),
        dividend(AAPL, DAY, 1, "CAD", "x"),
    ]

    assert one_a_day(paid) == [dividend(AAPL, DAY, 1, "CAD", "x"), dividend(AAPL, DAY, 2.25, "USD", "x")]


def test_a_split_told_twice_happened_once():
    """Taken twice it would divide all earlier prices by sixteen."""
    assert one_a_day([split(AAPL, DAY, 4.0, "x"), split(AAPL, DAY, 4.0, "x")]) == [split(AAPL, DAY, 4.0, "x")]


def test_two_different_splits_of_a_day_are_a_bad_answer():
    """Either would be a guess."""
    with pytest.raises(BadAnswer, match="two splits of NASDAQ:AAPL on 2024-02-09, 4 and 7 for 1"):
        one_a_day([split(AAPL, DAY, 4.0, "x"), split(AAPL, DAY, 7.0, "x")])


def test_a_provider_without_actions_is_named_with_those_that_have_them():
    """The user's next step is in the sentence."""
    means = Means(now_ns=lambda: 0, sleep=lambda _: None, ask=lambda weight=1: None)

    with pytest.raises(DeskError, match="'kraken' has no corporate actions; those that have are massive alpaca"):
        make_actions_provider("kraken", means)
