"""A run is the same however it is cut, compiled or not; and splits, dividends and several series are in order."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from ran.running import loops

from backtest import simulating
from backtest.account_kernels import PLAIN, compiled_loops
from backtest.simulating import Decisions, simulate
from backtest.stream import stream
from market.actions import dividend, split
from market.adjustment import Adjust, cuts
from market.bars import BAR, BarState
from market.errors import DeskError
from market.intervals import MINUTE_NS, Interval
from market.sessions import calendar_for
from market.slots import slots
from market.symbols import Symbol
from strategies.loader.files import find, from_source
from trading.assumptions.lots import Lots
from trading.opening import Conditions, Terms
from trading.records import Reason, State

BTC, ETH, GOOG = Symbol("SIM", "BTCUSD"), Symbol("SIM", "ETHUSD"), Symbol("NASDAQ", "GOOG")
YEAR = 1_704_067_200 * 10**9
HOUR = 60 * MINUTE_NS

HEAD = '''"""Written for a test."""

import numpy as np
from pydantic import BaseModel

from strategies.interface import KEEP, Needs
from trading.records import Sizing
from trading.requests import limit, market, stop


class Parameters(BaseModel):
    """None."""


def needs(p):
    return Needs()


def begin(p):
    return (np.zeros(4),)


'''


def walk(count, seed, *, interval=Interval.H1, symbol=BTC):
    """Bars of a random walk, by the symbol's calendar."""
    rng = np.random.default_rng(seed)
    bounds = slots(calendar_for(symbol), interval, YEAR, YEAR + 10 * count * HOUR * (1 if interval.intraday else 24))
    prices = np.round(100 * np.exp(np.cumsum(rng.normal(0, 0.01, count + 1))), 2)
    made = np.zeros(count, BAR)
    made["start"], made["end"] = bounds[:count, 0], bounds[:count, 1]
    made["open"], made["close"] = prices[:-1], prices[1:]
    made["high"], made["low"] = np.maximum(prices[:-1], prices[1:]) + 0.3, np.minimum(prices[:-1], prices[1:]) - 0.3
    made["volume"], made["interval"], made["state"] = 1000.0, interval, BarState.CLOSED
    return made


def alone(bars, symbol=BTC, **options):
    """The stream of one series."""
    interval = Interval(int(bars["interval"][0]))
    return stream({(symbol, interval): bars}, [symbol], interval, {symbol: calendar_for(symbol)}, **options)


def ran(shown, name="sma-cross", *, code=None, loops_of=PLAIN, conditions=None, first=0, **parameters):
    """Run a strategy of ours, or one of these lines."""
    strategy = find(name) if code is None else from_source("written", Path("written.py"), HEAD + code)
    interval = Interval(int(shown.views["interval"][shown.own][0]))
    decisions = Decisions(
        strategy, strategy.read_parameters(parameters), [str(symbol) for symbol in shown.symbols], interval, loops()
    )
    return simulate(shown, decisions, conditions or Conditions(), 10_000.0, "USD", first=first, loops=loops_of)


def same(one, other):
    """Whether two runs are the same to the last bit."""
    for name in ("trades", "orders", "fills"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name
    for mine, theirs in zip(one.curve, other.curve, strict=True):
        assert mine.tobytes() == theirs.tobytes()


ORDERS = """def decide(state, bar, p, orders):
    state[0][0] += 1
    n = 0
    if state[0][0] % 7 == 1:
        n = limit(orders, n, bar.symbol, 1, 3.0, bar.close - 0.5)
    if state[0][0] % 5 == 2:
        n = stop(orders, n, bar.symbol, -1, 2.0, bar.close - 0.7)
    if state[0][0] % 11 == 3:
        n = market(orders, n, bar.symbol, -1, 0.25, Sizing.FRACTION)
    return n
"""


@pytest.mark.parametrize("code", [None, ORDERS])
def test_a_compiled_loop_and_plain_python_come_to_the_same(code):
    shown = alone(walk(600, 1))

    same(ran(shown, code=code, fast=3, slow=8) if code is None else ran(shown, code=code),
         ran(shown, code=code, loops_of=compiled_loops(), **({} if code else {"fast": 3, "slow": 8})))  # fmt: skip


@pytest.mark.parametrize("code", [None, ORDERS])
@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_it_does_not_matter_in_which_chunks_decisions_are_made(monkeypatch, chunk, code):
    shown = alone(walk(300, 2))
    whole = ran(shown, code=code)
    monkeypatch.setattr(simulating, "CHUNK", chunk)

    same(whole, ran(shown, code=code))


def test_logs_that_are_emptied_on_the_way_lose_nothing(monkeypatch):
    """Hundreds of orders through logs that hold some dozens of them."""
    shown = alone(walk(2_000, 3))
    whole = ran(shown, code=ORDERS, loops_of=compiled_loops())
    monkeypatch.setattr(simulating, "ROOM_MOST", 1)

    same(whole, ran(shown, code=ORDERS, loops_of=compiled_loops()))
    assert len(whole.orders) > 800


def test_orders_are_by_id_and_those_still_working_among_them():
    found = ran(alone(walk(300, 4)), code=ORDERS)

    assert found.orders["id"].tolist() == list(range(1, len(found.orders) + 1))
    assert set(found.orders["state"].tolist()) >= {State.FILLED, State.WORKING}


def test_a_run_on_more_bars_begins_as_the_run_on_fewer_does():
    """No fill, order or mark of the first half knows of the second."""
    shown = alone(walk(400, 5))
    whole, half = ran(shown, code=ORDERS), ran(shown.until(200), code=ORDERS)

    assert whole.fills[: len(half.fills)].tobytes() == half.fills.tobytes()
    assert whole.curve.equity[:200].tolist() == half.curve.equity.tolist()


def test_bars_before_the_first_traded_one_are_only_shown():
    shown = alone(walk(300, 6))
    found = ran(shown, fast=3, slow=8, first=100)

    assert len(found.curve.time) == 200
    assert found.curve.time[0] == shown.views["end"][100]
    assert found.fills["row"].min() > 100
    # Its averages were warm: it trades as the whole run does, from the first cross on.
    whole = ran(shown, fast=3, slow=8)
    assert set(found.fills["row"].tolist()) == {row for row in whole.fills["row"].tolist() if row > 100}


def test_equity_is_cash_and_positions_at_their_last_prices_with_several_symbols():
    """Two symbols, one of which lacks bars: marked at each moment at which any closes."""
    eth = np.delete(walk(200, 8), [3, 50, 51, 120])
    shown = stream(
        {(BTC, Interval.H1): walk(200, 7), (ETH, Interval.H1): eth}, [BTC, ETH], Interval.H1,
        {symbol: calendar_for(symbol) for symbol in (BTC, ETH)},
    )  # fmt: skip
    found = ran(shown, "pair", length=10, enter=1.0)
    held, cash, price, expected, at = {0: 0.0, 1: 0.0}, 10_000.0, {0: 0.0, 1: 0.0}, [], 0
    fills = found.fills[np.argsort(found.fills["row"], kind="stable")]
    for row, view in enumerate(shown.views):
        while at < len(fills) and fills["row"][at] == row:
            fill = fills[at]
            held[int(fill["symbol"])] += fill["side"] * fill["units"]
            cash -= fill["side"] * fill["units"] * fill["price"]
            at += 1
        price[int(view["symbol"])] = view["close"]
        if row + 1 == len(shown.views) or shown.views["end"][row + 1] != view["end"]:
            expected.append(cash + sum(held[symbol] * price[symbol] for symbol in held))

    assert len(found.trades) > 4
    assert len(found.curve.time) == 200
    np.testing.assert_allclose(found.curve.equity, expected, atol=1e-6)


def test_a_longer_bar_is_seen_after_it_closed_and_before_the_shorter_one_that_closed_with_it():
    days = walk(5, 9, interval=Interval.D1)
    shown = stream(
        {(BTC, Interval.H1): walk(120, 9), (BTC, Interval.D1): days}, [BTC], Interval.H1, {BTC: calendar_for(BTC)}
    )
    order = [(int(view["end"]), int(view["interval"])) for view in shown.views]

    assert len(order) == 125
    assert order == sorted(order, key=lambda one: (one[0], -one[1]))
    assert shown.own.sum() == 120
    # The first day is the 24th thing seen: after 23 hours, before the hour that ends with it.
    assert order[23] == (int(days["end"][0]), Interval.D1)
    assert ran(shown, "trend-cross", fast=2, slow=5, trend=2).curve.time.tolist() == walk(120, 9)["end"].tolist()


def actions(bars, *made):
    """Cuts of corporate actions on daily bars, for what is seen and for what is dealt with."""

    def before(time):
        place = int(np.searchsorted(bars["end"], time, side="right")) - 1
        return float(bars["close"][place]) if place >= 0 else None

    found = cuts(made, calendar_for(GOOG), Adjust.ALL, before, int(bars["end"][-1]))
    return {"cuts": {GOOG: found}, "dealt": {GOOG: found}}


def daily(closes):
    """New York's sessions of 2024 that open and close at a price each."""
    made = walk(len(closes), 1, interval=Interval.D1, symbol=GOOG)
    for name in ("open", "high", "low", "close"):
        made[name] = closes
    return made


def test_a_split_multiplies_what_is_held_and_changes_no_equity():
    """100 shares at 100 become 400 at 25: 2024-01-08 is the fifth session."""
    bars = daily([100.0] * 4 + [25.0] * 4)
    shown = alone(bars, GOOG, **actions(bars, split(GOOG, dt.date(2024, 1, 8), 4.0, "test")))
    found = ran(shown, "buy-and-hold")

    assert shown.seen["close"].tolist() == [100.0] * 8
    assert shown.seen["volume"].tolist() == [1000.0] * 4 + [250.0] * 4
    assert found.curve.equity.tolist() == [10_000.0] * 8
    assert found.trades["units"].tolist() == [400.0]
    assert found.trades["entry_price"].tolist() == [25.0]
    assert found.trades["pnl"].tolist() == [0.0]


def test_a_dividend_is_paid_to_who_is_long_and_the_strategy_sees_no_fall():
    """2 of 100 are paid on each of 100 shares, and the price opens at 98."""
    bars = daily([100.0] * 4 + [98.0] * 4)
    shown = alone(bars, GOOG, **actions(bars, dividend(GOOG, dt.date(2024, 1, 8), 2.0, "USD", "test")))
    found = ran(shown, "buy-and-hold")

    assert shown.seen["close"] == pytest.approx([100.0] * 8)
    assert found.curve.equity.tolist() == [10_000.0] * 8
    assert found.curve.cash.tolist() == [10_000.0, 0.0, 0.0, 0.0, 200.0, 200.0, 200.0, 200.0]


def test_no_bar_before_a_split_knows_of_it():
    """What is seen of the first sessions is the same whether or not a split is to come."""
    bars = daily([100.0] * 4 + [25.0] * 4)
    shown = alone(bars, GOOG, **actions(bars, split(GOOG, dt.date(2024, 1, 8), 4.0, "test")))

    assert shown.seen[:4].tobytes() == alone(bars, GOOG).seen[:4].tobytes()


def test_a_limit_that_was_meant_for_seen_prices_is_placed_at_prices_as_traded():
    """After four for one the strategy sees 100 and asks for 99: 24.75 in the market."""
    code = """def decide(state, bar, p, orders):
    state[0][0] += 1
    return limit(orders, 0, bar.symbol, 1, 10.0, bar.close - 1.0) if state[0][0] == 6 else 0
"""
    bars = daily([100.0] * 4 + [25.0] * 4)
    shown = alone(bars, GOOG, **actions(bars, split(GOOG, dt.date(2024, 1, 8), 4.0, "test")))

    assert ran(shown, code=code).orders["limit"].tolist() == [24.75]


def test_an_order_of_an_unknown_symbol_ends_the_run():
    code = """def decide(state, bar, p, orders):
    return market(orders, 0, 9, 1, 1.0)
"""
    with pytest.raises(
        DeskError, match="order of symbol 9 on the 1h bar of SIM:BTCUSD that ended 2024-01-01T01:00:00Z"
    ):
        ran(alone(walk(3, 1)), code=code)


def test_all_of_the_equity_buys_whole_lots():
    lots = Conditions(others=Terms(lots=Lots(lot=0.5)))
    found = ran(alone(daily([130.0] * 4), GOOG), "buy-and-hold", conditions=lots)

    assert found.trades["units"].tolist() == [76.5]
    assert found.trades["exit_reason"].tolist() == [Reason.END]


def test_a_position_in_another_currency_is_worth_what_the_last_known_rate_makes_of_it():
    """10,000 dollars at 2 dollars a euro buy 50 units at 100 euros; then a bar closes at 3."""
    euros = walk(6, 1)
    for name in ("open", "high", "low", "close"):
        euros[name] = 100.0
    rates = walk(7, 1)
    for name in ("start", "end"):
        rates[name] -= HOUR
    rates["close"] = [2.0] * 4 + [3.0] * 3
    conditions = Conditions(others=Terms(currency="EUR"))
    shown = alone(euros, rates={1: rates})
    found = ran(shown, "buy-and-hold", conditions=conditions)

    assert found.trades["units"].tolist() == [50.0]
    assert found.curve.equity.tolist() == [10_000.0, 10_000.0, 10_000.0, 10_000.0, 15_000.0, 15_000.0]
    assert found.trades["pnl"].tolist() == [5_000.0]


def test_orders_on_several_symbols_are_those_of_each_of_them_in_order():
    """Joined from two deciders, they are still records whose fields the plain step can change."""
    code = """def decide(state, bar, p, orders):
    return market(orders, 0, bar.symbol, 1, 1.0)
"""
    eth = walk(4, 8, symbol=ETH)
    shown = stream(
        {(BTC, Interval.H1): walk(4, 7), (ETH, Interval.H1): eth}, [BTC, ETH], Interval.H1,
        {symbol: calendar_for(symbol) for symbol in (BTC, ETH)},
    )  # fmt: skip
    plain, compiled = ran(shown, code=code), ran(shown, code=code, loops_of=compiled_loops())

    assert plain.orders["symbol"].tolist() == [0, 1] * 4
    assert plain.fills["row"].tolist() == [2, 3, 4, 5, 6, 7]
    assert plain.orders.tobytes() == compiled.orders.tobytes()
