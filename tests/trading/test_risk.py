"""Limits, guards and the kill switch: what is refused, with which values, and what is closed."""

import numpy as np
import pytest
from scripted.accounts import FOREVER, MINUTE, account, bars, logged, once, run

from market.bars import BarState
from trading import requests as ask
from trading import risk, step
from trading.assumptions.lots import Lots
from trading.limits import Limits
from trading.opening import Terms
from trading.reasons import explained
from trading.records import Reason, Side, Sizing, State

FLAT = (100, 100, 100, 100)


def refused(book):
    """Reason and sentence of each order that was refused."""
    return [(Reason(o.reason).name, explained(o)) for o in logged(book)[0] if o.state == State.REJECTED]


def test_a_position_above_its_limit_is_refused_with_both_values():
    """60 units at 100 are 6,000, and half of the equity is 5,000."""
    book = account(limits=Limits(position=0.5))
    run(book, bars(FLAT, FLAT), once(0, lambda o: ask.market(o, 0, 0, Side.BUY, 60.0)))
    assert refused(book) == [
        ("MAX_POSITION", "refused: a position may be worth 5,000.00, and would be 6,000.00"),
    ]  # fmt: skip


def test_a_position_above_a_value_is_refused():
    """The same in money."""
    book = account(limits=Limits(position_value=2_000))
    run(book, bars(FLAT, FLAT), once(0, lambda o: ask.target(o, 0, 0, 0.5)))
    assert refused(book) == [("MAX_POSITION", "refused: a position may be worth 2,000.00, and would be 5,000.00")]


def test_all_positions_together_have_a_limit():
    """4,000 are held in one symbol; 4,000 more in another are beyond 70 % of 10,000."""
    book = account(symbols=("A:X", "A:Y"), limits=Limits(exposure=0.7))
    views = np.concatenate([bars(FLAT), bars(FLAT, symbol=1), bars(FLAT, FLAT, first=MINUTE)])

    def decide(row, orders):
        if row in {1, 2}:
            return ask.market(orders, 0, row - 1, Side.BUY, 40.0)
        return 0

    run(book, views, decide)
    assert refused(book) == [
        ("MAX_EXPOSURE", "refused: all positions may be worth 7,000.00, and would be 8,000.00"),
    ]  # fmt: skip


def test_a_gap_cuts_what_is_sized_by_money_to_the_limit():
    """Half of the equity at 100 is 50 units; filled at 100 it may be at most half, 5,000, whatever the price."""
    book = account(limits=Limits(position=0.5))
    run(book, bars(FLAT, (125, 125, 125, 125)), once(0, lambda o: ask.market(o, 0, 0, Side.BUY, 4_999.0, Sizing.CASH)))
    assert logged(book)[1][0].units == 39.0


@pytest.mark.parametrize(
    ("limits", "reason", "found", "allowed"),
    [(Limits(position=0.5), "MAX_POSITION", 5_625, 5_000), (Limits(exposure=0.5), "MAX_EXPOSURE", 5_625, 5_000)],
)
def test_a_gap_beyond_a_limit_refuses_a_number_of_units(limits, reason, found, allowed):
    """45 at 100 were within half of 10,000; at 125 they are 5,625."""
    book = account(limits=limits)
    run(book, bars(FLAT, (125, 125, 125, 125)), once(0, lambda o: ask.market(o, 0, 0, Side.BUY, 45.0)))
    [order], fills, _ = logged(book)
    assert (Reason(order.reason).name, order.found, order.allowed) == (reason, found, allowed)
    assert len(fills) == 0


def test_no_more_orders_than_the_rate_in_a_minute_of_the_clock():
    """Two a minute: the decision at second 45 is refused, and from second 60 on there are two more."""
    book = account(limits=Limits(orders=2))
    views = bars(*[FLAT] * 8, length=MINUTE // 4)
    run(book, views, lambda _, o: ask.limit(o, 0, 0, Side.BUY, 1.0, 50.0))
    assert [int(o.row) for o in logged(book)[0]] == [2, 5, 6]
    assert refused(book)[0] == ("ORDER_RATE", "refused: 2 orders may be placed in that time, and it is number 3")


def test_what_closes_passes_the_limits():
    """Neither the rate nor the size stands in the way of getting out."""
    book = account(limits=Limits(orders=1, position=0.5))
    wishes = {0: 0.5, 1: 0.0}
    run(
        book,
        bars(FLAT, FLAT, FLAT, length=MINUTE // 8),
        lambda row, o: ask.target(o, 0, 0, wishes[row]) if row in wishes else 0,
    )
    assert refused(book) == []
    assert book.positions[0].lots == 0


@pytest.mark.parametrize(
    ("state", "late", "limits", "reason"),
    [
        (BarState.FORMING, 0, Limits(), "BAR_FORMING"),
        (BarState.PARTIAL, 0, Limits(), "BAR_PARTIAL"),
        (BarState.PARTIAL, 0, Limits(partial_bars=True), None),
        (BarState.CLOSED, 5_000, Limits(late_ms=4_999), "BAR_LATE"),
        (BarState.CLOSED, 5_000, Limits(late_ms=5_000), None),
        (BarState.CLOSED, 5_000, Limits(), None),
        (BarState.HEALED, 0, Limits(late_ms=0), None),
        (BarState.OFFICIAL, 0, Limits(late_ms=0), None),
    ],
)
def test_no_order_on_a_bar_that_is_not_to_be_trusted(state, late, limits, reason):
    """Not even one that closes: what the strategy saw is not what was."""
    book = account(limits=limits)
    views = bars(FLAT, state=state)
    views["late"] = late
    run(book, views, once(0, lambda o: ask.market(o, 0, 0, Side.BUY, 1.0)))
    assert [name for name, _ in refused(book)] == ([] if reason is None else [reason])


def test_an_exposure_wanted_on_an_untrusted_bar_is_asked_for_again_on_the_next():
    """The wish is not forgotten with the order."""
    book = account()
    views = bars(FLAT, FLAT, FLAT)
    views["state"][0] = BarState.PARTIAL
    for row, view in enumerate(views):
        step.advance(book.account, view, row, FOREVER)
        step.want(book.account, view, row, 1.0)
    assert [name for name, _ in refused(book)] == ["BAR_PARTIAL"]
    assert [int(f.row) for f in logged(book)[1]] == [2]


def day_of_loss(**limits):
    """10 units bought at 100 by an account of 1,000, then 100, 94 and 97, each at the end of a session of two bars."""
    book = account(cash=1_000.0, limits=Limits(**limits))
    views = bars(FLAT, FLAT, (100, 100, 94, 94), (94, 94, 94, 94), (97, 97, 97, 97), (97, 97, 97, 97))
    sessions = [2 * MINUTE, 2 * MINUTE, 4 * MINUTE, 4 * MINUTE, 6 * MINUTE, 6 * MINUTE]
    decided = []

    def decide(row, orders):
        decided.append(int(book.account.tripped))
        if row == 0:
            return ask.target(orders, 0, 0, 1.0)
        return ask.limit(orders, 0, 0, Side.BUY, 1.0, 50.0) if row in {2, 4} else 0

    run(book, views, decide, sessions)
    return book, decided


def test_a_days_loss_refuses_new_risk_until_the_next_session():
    """60 of 1,000 are more than 5 %."""
    book, tripped = day_of_loss(daily_loss=0.05)
    assert tripped == [0, 0, Reason.MAX_DAILY_LOSS, Reason.MAX_DAILY_LOSS, 0, 0]
    assert refused(book) == [("MAX_DAILY_LOSS", "refused: the session's loss may be 5.00%, and is 6.00%")]
    assert (book.positions[0].lots, book.account.working) == (10, 1)


def test_a_drawdown_refuses_new_risk_from_then_on():
    """It is not over with the session, nor with a recovery."""
    book, tripped = day_of_loss(drawdown=0.05)
    assert tripped[2:] == [Reason.MAX_DRAWDOWN] * 4
    assert [text for _, text in refused(book)] == [
        "refused: the drawdown may be 5.00%, and is 6.00%",
        "refused: the drawdown may be 5.00%, and is 3.00%",
    ]


def test_a_loss_limit_may_close_everything_at_the_next_price():
    """Sold at 94, the open of the next bar."""
    book, _ = day_of_loss(drawdown=0.05, flatten=True)
    _, fills, [trade] = logged(book)
    assert (fills[1].row, fills[1].price, trade.exit_reason) == (3, 94.0, Reason.MAX_DRAWDOWN)
    assert book.positions[0].lots == 0


def test_losing_everything_closes_everything():
    """Short 100 at 100 with 10,000: at 200 nothing is left, and what is owed at the next open is owed."""
    book = account()
    equity = run(
        book, bars(FLAT, FLAT, (150, 200, 150, 200), (201, 201, 201, 201)), once(0, lambda o: ask.target(o, 0, 0, -1.0))
    )
    _, fills, [trade] = logged(book)
    assert (fills[1].price, trade.exit_reason, equity[-1]) == (201.0, Reason.MARGIN_CALL, -100.0)
    assert book.account.tripped == Reason.MARGIN_CALL
    run(book, bars(FLAT, first=10 * MINUTE), once(0, lambda o: ask.target(o, 0, 0, 1.0)))
    assert refused(book) == [("MARGIN_CALL", "refused: nothing is left of the equity: -100.00")]


def test_the_kill_switch_cancels_closes_and_refuses():
    """It stays on whatever the prices do, and comes off by hand."""
    book = account()
    views = bars(*[FLAT] * 6)

    def buy(orders):
        return ask.limit(orders, ask.target(orders, 0, 0, 0.5), 0, Side.BUY, 1.0, 50.0)

    run(book, views[:2], once(0, buy))
    risk.kill(book.account, True, int(views[1].end), 1)
    run(book, views[2:4], once(0, lambda o: ask.target(o, 0, 0, 1.0)))
    orders, fills, [trade] = logged(book)
    assert {int(o.id): Reason(o.reason).name for o in orders} == {
        1: "SIGNAL", 2: "KILLED", 3: "KILL_SWITCH", 4: "KILLED",
    }  # fmt: skip
    assert (fills[1].price, trade.exit_reason) == (100.0, Reason.KILL_SWITCH)
    assert refused(book) == [("KILLED", "refused: the kill switch is on")]
    risk.revive(book.account)
    run(book, views[4:], once(0, lambda o: ask.target(o, 0, 0, 1.0)))
    assert book.positions[0].lots == 100


def test_more_lots_than_can_be_counted_are_refused():
    """Five thousand million at 100 are 5e15 lots of 1e-8, and 2^50 are 1.1e15."""
    book = account(cash=5e9, others=Terms(lots=Lots(lot=1e-8)))
    run(book, bars(FLAT, FLAT), once(0, lambda o: ask.target(o, 0, 0, 1.0)))
    assert refused(book) == [
        (
            "TOO_LARGE",
            "refused: the ledger counts at most 11,258,999 units of this lot: take a larger one (--lot)",
        ),
    ]  # fmt: skip


def test_leverage_is_what_the_account_allows():
    """Twice 10,000 at 100."""
    book = account(limits=Limits(leverage=2))
    run(book, bars(FLAT, FLAT), once(0, lambda o: ask.target(o, 0, 0, 3.0)))
    assert book.positions[0].lots == 200


def test_more_orders_than_there_is_room_for_are_refused():
    """Sixteen may work; one place more is the step's own."""
    book = account(working=16)

    def many(orders):
        n = 0
        for _ in range(16):
            n = ask.limit(orders, n, 0, Side.BUY, 1.0, 50.0)
        return n

    run(book, bars(FLAT, FLAT), lambda _, o: many(o))
    assert book.account.working == 16
    assert [name for name, _ in refused(book)] == ["TOO_MANY_ORDERS"] * 16
    assert refused(book)[0][1] == "refused: there is room for 16 orders, and with it there are 17"


def test_a_batch_beyond_the_room_for_requests_is_refused_whole():
    """Nothing of it is placed, as some of it was never seen."""
    book = account()
    run(book, bars(FLAT, FLAT), once(0, lambda o: ask.market(o, 0, 0, Side.BUY, 1.0) + 16))
    orders, fills, _ = logged(book)
    assert len(orders) == 16
    assert {(Reason(o.reason).name, o.found, o.allowed) for o in orders} == {("TOO_MANY_ORDERS", 17.0, 16.0)}
    assert len(fills) == 0


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (lambda o: ask.market(o, 0, 5, Side.BUY, 1.0), "UNKNOWN_SYMBOL"),
        (lambda o: ask.market(o, 0, 0, Side.BUY, 0.0), "BAD_SIZE"),
        (lambda o: ask.market(o, 0, 0, Side.BUY, float("nan")), "BAD_SIZE"),
        (lambda o: ask.target(o, 0, 0, float("inf")), "BAD_SIZE"),
        (lambda o: ask.limit(o, 0, 0, Side.BUY, 1.0, -1.0), "BAD_PRICE"),
        (lambda o: ask.stop(o, 0, 0, Side.SELL, 1.0, float("nan")), "BAD_PRICE"),
        (lambda o: ask.trailing_stop_fraction(o, 0, 0, Side.SELL, 1.0, 1.5), "BAD_PRICE"),
        (lambda o: ask.market(o, 0, 0, Side.NONE, 1.0), "BAD_REQUEST"),
        (lambda o: ask.market(o, 0, 0, 7, 1.0), "BAD_REQUEST"),
        (lambda o: ask.risking(o, ask.market(o, 0, 0, Side.BUY, 0.1), 0.0), "BAD_SIZE"),
        (lambda o: ask.market(o, 0, 0, Side.BUY, 1e18), "NO_CASH"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(asked, reason):
    """With the value that was found, and without touching the account."""
    book = account()
    run(book, bars(FLAT, FLAT), once(0, asked))
    assert [name for name, _ in refused(book)] == [reason]
    assert book.currencies[0].cash == 10_000 * 10**8
    assert (book.account.working, book.positions[0].orders) == (0, 0)
