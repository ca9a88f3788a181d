"""Trades drawn anew: chances worked out by hand, and what holds whatever was traded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ran.records import trades

from backtest.monte_carlo import LEAST, PERCENTILES, STEPS_MAX, growths, monte_carlo, said

CASH = 1_000.0
MANY = 20_000

pnls = st.lists(st.integers(-900, 900), min_size=LEAST, max_size=60)


def made_of(factors):
    """Trades that multiply the account by these, one after the other."""
    equity = CASH * np.cumprod(factors)
    return trades(*((pnl, 0.0) for pnl in np.diff(equity, prepend=CASH)))


def drawn(factors, simulations=MANY, seed=1):
    return monte_carlo(made_of(factors), CASH, simulations, seed)


def test_one_trade_in_ten_that_halves_the_account_is_drawn_as_often_as_the_binomial_has_it():
    """0.9^10 = 34.9 % never draw it, 38.7 % once, 19.4 % twice, 7 % three times or more; below 5 % four times."""
    found = drawn([1, 1, 1, 1, 0.5, 1, 1, 1, 1, 1])

    assert PERCENTILES == (5, 25, 50, 75, 95)
    assert found.total_return.percentiles == pytest.approx((-0.875, -0.75, -0.5, 0, 0), abs=1e-9)
    assert found.drawdown.percentiles == pytest.approx((0, 0, 0.5, 0.75, 0.875), abs=1e-9)
    assert found.losses == pytest.approx(1 - 0.9**10, abs=0.01)
    assert found.total_return.actual == pytest.approx(-0.5)


@pytest.mark.parametrize(("order", "fall", "deeper"), [([0.5, 2, 0.5], 0.5, 1), ([2, 0.5, 0.5], 0.75, 2 / 3)])
def test_another_order_falls_as_deep_as_all_orders_by_hand(order, fall, deeper):
    """Of 2, 0.5 and 0.5 the double comes first, second and last alike: falls of 3/4, 1/2 and 3/4."""
    found = drawn([*order, *[1] * 8])

    assert found.shuffled.actual == pytest.approx(fall)
    assert found.deeper == pytest.approx(deeper, abs=0.015)
    assert set(np.round(found.shuffled.percentiles, 9)) == {0.5, 0.75}


def test_a_trade_that_loses_all_ends_the_account():
    """A tenth of all trades: 1 - 0.9^10 of the accounts are ruined, and nothing after it brings them back."""
    found = monte_carlo(trades(*[(0, 0.0)] * 9, (-CASH - 1, 0.0)), CASH, MANY)

    assert found.ruins == found.losses == pytest.approx(1 - 0.9**10, abs=0.01)
    assert found.total_return.percentiles[0] == -1
    assert found.total_return.actual == -1
    assert "would have lost everything" in said(found)


@given(pnls, st.integers(0, 2**32))
def test_undrawn_trades_are_the_run_and_fractions_stay_what_they_can_be(pnl, seed):
    """Each trade's part of the account at its time puts the run together again, as far as it lived."""
    found = monte_carlo(trades(*((value, 0.0) for value in pnl)), CASH, 50, seed)
    after = CASH + np.cumsum(pnl)
    alive = (after > 0).all()

    assert found.path[0] == CASH
    assert found.path[-1] == pytest.approx(after[-1] if alive else 0, abs=1e-6)
    assert (found.steps == np.arange(len(pnl) + 1)).all()
    for spread in (found.drawdown, found.shuffled):
        assert 0 <= spread.percentiles[0] <= spread.percentiles[-1] <= 1
        assert list(spread.percentiles) == sorted(spread.percentiles)
    assert (np.diff(found.fan, axis=0) >= 0).all()
    assert (found.fan[:, 0] == CASH).all()
    assert 0 <= found.ruins <= found.losses <= 1


@given(pnls)
def test_growths_multiply_to_what_the_run_came_to(pnl):
    after = CASH + np.cumsum(pnl)
    factors = growths(np.array(pnl, float), CASH)

    assert CASH * factors.prod() == pytest.approx(after[-1] if (after > 0).all() else 0, abs=1e-6)


def test_after_its_ruin_an_account_never_grows_again():
    """100 falls to -50; that the sum is at 50 and 60 afterwards makes nobody whole."""
    assert growths(np.array([-150.0, 100.0, 10.0]), 100.0).tolist() == [0, 0, 0]


def test_the_same_seed_draws_the_same():
    factors = [1.02, 0.99, 1.01, 0.97, 1.05] * 4

    assert str(drawn(factors, 300, 5)) == str(drawn(factors, 300, 5))
    assert drawn(factors, 300, 5).total_return != drawn(factors, 300, 6).total_return


def test_too_few_trades_or_no_simulations_say_nothing():
    assert monte_carlo(trades(*[(1, 0.1)] * (LEAST - 1)), CASH) is None
    assert monte_carlo(trades(*[(1, 0.1)] * LEAST), CASH, 0) is None


def test_of_very_many_trades_fewer_accounts_are_drawn_and_a_fan_has_a_bound():
    found = monte_carlo(trades(*[(0.01, 0.1)] * 20_000), CASH)

    assert found.simulations == 500
    assert len(found.steps) == STEPS_MAX + 1
    assert (found.steps[0], found.steps[-1]) == (0, 20_000)


def test_the_sentence_has_the_figures():
    words = said(drawn([1.02, 0.99, 1.01, 0.97, 1.05] * 4, 500))

    assert words.startswith("Had other trades like these 20 come instead (drawn from them 500 times), nine of ten runs")
    assert "everything" not in words
