"""Market orders, exposures and sizes: when, at which price and how many, worked out by hand."""

import math

import pytest
from scripted.accounts import account, bars, logged, once, run

from trading import requests as ask
from trading import step
from trading.assumptions.fees import Fees
from trading.assumptions.lots import Lots
from trading.assumptions.minimum import Minimum
from trading.assumptions.slippage import Slippage
from trading.limits import Limits
from trading.opening import Terms
from trading.records import Phase, Reason, Side, Sizing, State

RISE = bars((100, 101, 99, 100), (102, 105, 101, 104), (104, 110, 103, 109), (109, 112, 108, 111))


def test_a_decision_on_a_close_fills_at_the_next_open():
    """98 units at 102 cost 9,996 of 10,000; 99 would cost 10,098."""
    book = account()
    equity = run(book, RISE, once(0, lambda o: ask.target(o, 0, 0, 1.0)))
    [order], [fill], trades = logged(book)
    assert (fill.price, fill.units, fill.row, fill.time, fill.side) == (102.0, 98.0, 1, 60_000_000_000, Side.BUY)
    assert (fill.phase, fill.reason, fill.slippage, fill.fee) == (Phase.OPEN, Reason.SIGNAL, 0.0, 0.0)
    assert (order.state, order.filled, order.average, order.placed_at) == (State.FILLED, 98.0, 102.0, 60_000_000_000)
    assert len(trades) == 0
    assert equity == [10_000.0, 4 + 98 * 104, 4 + 98 * 109, 4 + 98 * 111]


def test_a_reversal_is_one_order_one_fill_and_one_trade():
    """Long 98 at 102; at 109 that is worth 10,686, which is 98 short: 196 sold."""
    book = account()
    wishes = {0: 1.0, 2: -1.0}
    equity = run(book, RISE, lambda row, o: ask.target(o, 0, 0, wishes[row]) if row in wishes else 0)
    orders, fills, [trade] = logged(book)
    assert [(f.units, f.price, f.side) for f in fills] == [(98.0, 102.0, Side.BUY), (196.0, 109.0, Side.SELL)]
    assert [o.state for o in orders] == [State.FILLED, State.FILLED]
    assert (trade.side, trade.units, trade.entry_price, trade.exit_price) == (Side.BUY, 98.0, 102.0, 109.0)
    assert (trade.entry_row, trade.exit_row, trade.entry_order, trade.exit_order) == (1, 3, 1, 2)
    assert trade.pnl == 98 * 7
    assert trade.gain == pytest.approx(7 / 102)
    assert (trade.entry_reason, trade.exit_reason) == (Reason.SIGNAL, Reason.SIGNAL)
    assert equity[-1] == 10_000 + 686 - 98 * 2


def test_a_reversal_at_an_exact_number_of_lots_leaves_the_last_one():
    """100 at 100 turned at 100: what it gets for them pays for 100 to a rounding only, so 99 are short."""
    book = account()
    wishes = {0: 1.0, 1: -1.0}
    run(
        book, bars(*[(100, 100, 100, 100)] * 3), lambda row, o: ask.target(o, 0, 0, wishes[row]) if row in wishes else 0
    )
    assert [f.units for f in logged(book)[1]] == [100.0, 199.0]


def test_an_exposure_is_acted_on_when_it_changes():
    """The same wish again is no order, NaN leaves things as they are, 0 closes."""
    book = account()
    wishes = [1.0, 1.0, math.nan, 0.0]
    for row, view in enumerate(bars(*[(100, 101, 99, 100)] * 4, (101, 101, 101, 101))):
        step.advance(book.account, view, row, 1 << 62)
        step.want(book.account, view, row, wishes[row] if row < 4 else math.nan)
    _, fills, [trade] = logged(book)
    assert [(f.row, f.units) for f in fills] == [(1, 100.0), (4, 100.0)]
    assert trade.pnl == 100.0


@pytest.mark.parametrize(
    ("size", "sizing", "units"),
    [
        (7.0, Sizing.UNITS, 7.0),
        (7.9, Sizing.UNITS, 7.0),
        (1_000.0, Sizing.CASH, 9.0),  # 1000 / 102 = 9.8
        (0.5, Sizing.FRACTION, 49.0),  # 5000 / 102 = 49.02
        (0.01, Sizing.VOLATILITY, 40.0),  # 1 % of 10,000 is 100, and a move of 2.5 on 40 units costs 100
    ],
)
def test_each_way_to_say_a_size(size, sizing, units):
    """All but units are worked out at the price of the fill, 102."""

    def asked(orders):
        n = ask.market(orders, 0, 0, Side.BUY, size, sizing)
        if sizing == Sizing.VOLATILITY:
            n = ask.risking(orders, n, 2.5)
        return n

    book = account()
    run(book, RISE[:2], once(0, asked))
    [order], [fill], _ = logged(book)
    assert (fill.units, order.units, fill.price) == (units, units, 102.0)


def test_part_of_a_position_is_closed_at_its_average_price():
    """10 at 102 and 10 at 104 average 103; 5 sold at 109 gain 30."""

    def decide(row, orders):
        if row < 2:
            return ask.market(orders, 0, 0, Side.BUY, 10.0)
        return ask.close(orders, 0, 0, 0.25) if row == 2 else 0

    book = account()
    run(book, RISE, decide)
    _, _, [trade] = logged(book)
    assert (trade.units, trade.entry_price, trade.exit_price, trade.pnl) == (5.0, 103.0, 109.0, 30.0)
    assert trade.entry_row == 1
    assert book.positions[0].lots == 15
    assert book.positions[0].cost == 15 * 103 * 10**8


def test_fees_are_kept_back_so_that_everything_is_not_too_much():
    """(10,000 - 5) / (102 x 1.001) = 97.9: 97 units, 9,894 and 5 + 9.894 fees."""
    book = account(others=Terms(fees=Fees(fixed=5, bps=10)))
    run(book, RISE[:2], once(0, lambda o: ask.target(o, 0, 0, 1.0)))
    _, [fill], _ = logged(book)
    assert (fill.units, fill.fee) == (97.0, pytest.approx(14.894))
    assert book.currencies[0].cash == round((10_000 - 97 * 102 - 14.894) * 1e8)


def test_slippage_is_paid_on_both_sides_and_told():
    """10 bps of 102 and half of 0.04: 102.122 to buy; of 109: 108.871 to sell."""
    book = account(others=Terms(slippage=Slippage(bps=10, spread=0.04)))
    wishes = {0: 0.5, 2: 0.0}
    run(book, RISE, lambda row, o: ask.target(o, 0, 0, wishes[row]) if row in wishes else 0)
    _, fills, [trade] = logged(book)
    assert [f.price for f in fills] == pytest.approx([102.122, 108.871])
    assert [f.slippage for f in fills] == pytest.approx([0.122, 0.129])
    assert trade.pnl == pytest.approx(fills[0].units * (108.871 - 102.122))


def test_more_units_than_cash_pays_for_are_refused_with_both_values():
    """100 units at 102 cost 10,200, and there are 10,000."""
    book = account()
    run(book, RISE[:2], once(0, lambda o: ask.market(o, 0, 0, Side.BUY, 100.0)))
    [order], fills, _ = logged(book)
    assert (order.state, order.reason, order.found, order.allowed) == (State.REJECTED, Reason.NO_CASH, 10_200, 10_000)
    assert len(fills) == 0


def test_less_than_a_lot_or_the_least_notional_is_refused():
    """50 in cash buys no whole unit at 102; in hundredths it buys 0.49, worth less than 100."""
    book = account()
    run(book, RISE[:2], once(0, lambda o: ask.market(o, 0, 0, Side.BUY, 50.0, Sizing.CASH)))
    assert logged(book)[0][0].reason == Reason.BELOW_LOT

    book = account(others=Terms(lots=Lots(lot=0.01), minimum=Minimum(notional=100)))
    run(book, RISE[:2], once(0, lambda o: ask.market(o, 0, 0, Side.BUY, 50.0, Sizing.CASH)))
    [order], _, _ = logged(book)
    assert (order.reason, order.found, order.allowed) == (Reason.MINIMUM_NOTIONAL, pytest.approx(0.49 * 102), 100.0)


def test_a_long_only_account_closes_where_it_was_told_to_go_short():
    """A target below 0 is 0; a sale of more than is held is a sale of all."""
    book = account(limits=Limits(shorting=False))
    wishes = {0: 1.0, 1: -1.0}
    run(book, RISE, lambda row, o: ask.target(o, 0, 0, wishes[row]) if row in wishes else 0)
    assert book.positions[0].lots == 0
    run(
        book, bars((100, 101, 99, 100), (100, 101, 99, 100), first=10**12), once(0, lambda o: ask.target(o, 0, 0, -1.0))
    )
    assert logged(book)[0][-1].reason == Reason.NO_SHORTING


def test_a_volume_share_fills_over_several_bars():
    """10 % of 300 units a bar: 30, 30 and the last 10, at three opens."""
    book = account(others=Terms(slippage=Slippage(volume_share=0.1)))
    views = bars(*[(p, p + 1, p - 1, p) for p in (100, 101, 102, 103, 104)], volume=300.0)
    states = []

    def decide(row, orders):
        if row:
            states.append(book.orders[0].state if book.account.working else None)
        return ask.market(orders, 0, 0, Side.BUY, 70.0) if row == 0 else 0

    run(book, views, decide)
    [order], fills, _ = logged(book)
    assert [(f.row, f.units, f.price) for f in fills] == [(1, 30.0, 101.0), (2, 30.0, 102.0), (3, 10.0, 103.0)]
    assert states == [State.PARTIALLY_FILLED, State.PARTIALLY_FILLED, None, None]
    assert (order.state, order.filled, order.average) == (State.FILLED, 70.0, (30 * 101 + 30 * 102 + 10 * 103) / 70)
