"""Corporate actions: what they can be."""

from datetime import date
from math import inf, nan

import pytest

from market.actions import Action, ActionError, ActionKind, dividend, split
from market.symbols import Symbol

AAPL = Symbol("NASDAQ", "AAPL")
DAY = date(2020, 8, 31)


def test_a_split_has_a_ratio_and_a_dividend_an_amount():
    """Neither can be taken for the other."""
    four, cash = split(AAPL, DAY, 4.0, "massive"), dividend(AAPL, DAY, 0.82, "USD", "massive")

    assert (four.ratio, four.amount, four.currency) == (4.0, None, "")
    assert (cash.ratio, cash.amount, cash.currency) == (None, 0.82, "USD")


@pytest.mark.parametrize("value", [0.0, -1.0, nan, inf])
@pytest.mark.parametrize("kind", list(ActionKind))
def test_a_value_that_cannot_be_is_refused_by_name(kind, value):
    """A ratio of zero would wipe out all prices before it."""
    with pytest.raises(ActionError, match=r"NASDAQ:AAPL on 2020-08-31: the (ratio|amount) must be above 0"):
        Action(AAPL, DAY, kind, value, "", "file")


def test_actions_sort_by_symbol_and_date():
    """Which is how a reader goes through them."""
    late, early = split(AAPL, DAY, 4.0, "massive"), dividend(AAPL, date(2020, 8, 7), 0.82, "USD", "massive")

    assert sorted([late, early]) == [early, late]
