"""Hit rate, slippage and calibration, by hand."""

import numpy as np
import pytest
from ran.records import fills, trades

from backtest.buckets import FORECAST_LEAST, calibration, hit_rates, slippages
from market.symbols import Symbol
from trading.records import Side

SYMBOLS = (Symbol("SIM", "A"), Symbol("SIM", "B"))


def test_hit_rate_is_told_by_symbol_side_weekday_and_time_held():
    """A Monday's long of A wins; a Tuesday's short of B loses, and one held for a week wins."""
    made = trades((5, 0.05, 0, 1, Side.BUY, 0), (-3, -0.03, 1, 2, Side.SELL, 1), (1, 0.01, 1, 9, Side.SELL, 1))
    found = {(row.dimension, row.bucket): (row.trades, row.hit_rate, row.pnl) for row in hit_rates(made, SYMBOLS)}

    assert found == {
        ("symbol", "SIM:A"): (1, 1.0, 5.0),
        ("symbol", "SIM:B"): (2, 0.5, -2.0),
        ("side", "long"): (1, 1.0, 5.0),
        ("side", "short"): (2, 0.5, -2.0),
        ("weekday of entry", "Monday"): (1, 1.0, 5.0),
        ("weekday of entry", "Tuesday"): (2, 0.5, -2.0),
        ("time held", "under 1 week"): (2, 0.5, 2.0),
        ("time held", "under 4 weeks"): (1, 1.0, 1.0),
    }


def test_slippage_is_told_by_side_and_hour_in_money_and_basis_points():
    made = fills((10, 100.0, 0.1, 0.0, Side.BUY, 9), (20, 50.0, 0.05, 0.0, Side.SELL, 10))
    found = {(row.dimension, row.bucket): (row.fills, row.cost, row.bps) for row in slippages(made, SYMBOLS)}

    assert found[("symbol", "SIM:A")] == (2, 2.0, pytest.approx(10.0))
    assert found[("side", "buy")] == (1, 1.0, pytest.approx(10.0))
    assert found[("side", "sell")] == (1, 1.0, pytest.approx(10.0))
    assert {bucket for dimension, bucket in found if dimension == "hour"} == {"09:00", "10:00"}
    assert not any(dimension == "weekday" for dimension, _ in found)


def test_no_trades_and_no_fills_have_no_buckets():
    assert hit_rates(trades(), SYMBOLS) == []
    assert slippages(fills(), SYMBOLS) == []
    assert calibration(trades()).buckets == ()


def test_a_forecast_uses_no_trade_that_had_not_ended():
    """All are open at once: there is never anything to expect from."""
    made = trades(*((1, 0.01, 0, 100 + place) for place in range(50)))

    assert calibration(made).buckets == ()


def test_trades_that_return_what_those_before_them_did_are_without_bias():
    made = trades(*((1, 0.01),) * 40)
    found = calibration(made)

    assert sum(bucket.trades for bucket in found.buckets) == 40 - FORECAST_LEAST
    assert found.bias == pytest.approx(0.0, abs=1e-15)
    assert all(bucket.realised == pytest.approx(bucket.expected) for bucket in found.buckets)


def test_an_edge_that_dies_shows_as_a_bias():
    """Ten trades at 2 %, then thirty at nothing: each forecast is 0.2 over the trades so far."""
    made = trades(*((2, 0.02),) * 10, *((0, 0.0),) * 30)
    found = calibration(made)

    assert found.bias == pytest.approx(-np.mean([0.2 / before for before in range(10, 40)]))
    assert [bucket.trades for bucket in found.buckets] == [6] * 5
    assert found.buckets[0].expected < found.buckets[-1].expected


def test_each_symbol_and_side_is_expected_from_its_own_kind():
    """A wins what B loses, in turns; one forecast for both would expect nothing."""
    rows = [
        (1, 0.01, place, place + 1, Side.BUY, 0) if place % 2 else (-1, -0.01, place, place + 1, Side.BUY, 1)
        for place in range(60)
    ]
    found = calibration(trades(*rows))

    assert found.slope == pytest.approx(1.0)


def test_a_trade_that_began_before_another_ended_knows_nothing_of_it():
    """Ten trades of 1 % end a day each; the eleventh, of 50 %, ends after the twelfth began."""
    rows = (
        [(1, 0.01)] * 10 + [(50, 0.5, 10, 12), (1, 0.01, 11, 13)] + [(1, 0.01, day, day + 1) for day in range(13, 21)]
    )
    found = calibration(trades(*rows))

    # The eleventh and the twelfth expect 1 %, and only those after them know of the 50 %.
    assert sum(bucket.trades for bucket in found.buckets) == 10
    assert found.buckets[0].expected == pytest.approx(0.01)
