"""The ledger: what fees, dividends, splits, borrow, funding, interest, sessions and currencies do to it, by hand."""

import numpy as np
import pytest
from scripted.accounts import FOREVER, MINUTE, account, bars, logged, once, run

from market.errors import DeskError
from trading import requests as ask
from trading.assumptions.borrow import Borrow
from trading.assumptions.corporate_actions import apply_dividend, apply_split
from trading.assumptions.fees import Fees
from trading.assumptions.lots import Lots
from trading.assumptions.session_end import SessionEnd
from trading.assumptions.slippage import Slippage
from trading.assumptions.venue_fees import VENUES
from trading.book import MONEY_MAX
from trading.filling import at_end
from trading.ledger import Fault, balance, set_rate
from trading.limits import Limits
from trading.opening import Terms, currency_places, open_account
from trading.records import Phase, Reason, Side
from trading.statement import statement
from trading.step import advance, want

FLAT = (100, 100, 100, 100)
DAY = 1_440 * MINUTE


def quanta(amount):
    return round(amount * 1e8)


def balances(book, currency=0):
    """A currency's balances in units, those that are not 0."""
    row = book.currencies[currency]
    assert balance(row) == 0
    return {name: row[name] / 1e8 for name in row.dtype.names[1:] if row[name]}


def test_every_amount_is_posted_twice():
    """Ten bought at 100 with a fee of 1, four sold at 110 with another."""
    book = account(others=Terms(fees=Fees(fixed=1)))
    views = bars(FLAT, FLAT, (110, 110, 110, 110))
    asked = {0: (Side.BUY, 10.0), 1: (Side.SELL, 4.0)}
    run(book, views, lambda row, o: ask.market(o, 0, 0, *asked[row]) if row in asked else 0)
    assert balances(book) == {
        "cash": 10_000 - 1_000 - 1 + 440 - 1, "holdings": 600.0, "capital": -10_000.0, "realised": -40.0, "fees": 2.0,
    }  # fmt: skip
    _, _, [trade] = logged(book)
    # The exit's fee, and four tenths of the entry's.
    assert (trade.fees, trade.pnl) == (1.4, 40 - 1.4)
    assert book.account.equity == quanta(10_000 - 2 + 100)


def test_a_statement_adds_up():
    """Four of ten sold with a gain of 40, six held with a gain of 60, two fees of 1 and a dividend of 3."""
    book = account(others=Terms(fees=Fees(fixed=1)))
    views = bars(FLAT, FLAT, (110, 110, 110, 110))
    asked = {0: (Side.BUY, 10.0), 1: (Side.SELL, 4.0)}
    run(book, views, lambda row, o: ask.market(o, 0, 0, *asked[row]) if row in asked else 0)
    apply_dividend(book.account, 0, 0.5)
    got = statement(book)
    assert (got.equity, got.cash, got.paid_in, got.fees, got.carry) == (10_101.0, 9_441.0, 10_000.0, 2.0, 3.0)
    assert (got.realised, got.unrealised, got.gross, got.net, got.balanced) == (40.0, 60.0, 660.0, 660.0, True)
    [held] = got.holdings
    assert (held.symbol, held.units, held.entry_price, held.price, held.value) == (0, 6.0, 100.0, 110.0, 660.0)
    assert (held.unrealised, held.carry) == (60.0, 3.0)


def test_what_is_open_at_the_end_is_listed_last_and_not_sold():
    """At the last close, without a fee for an exit that did not happen."""
    book = account(others=Terms(fees=Fees(fixed=1)))
    run(book, bars(FLAT, FLAT, (110, 110, 110, 110)), once(0, lambda o: ask.market(o, 0, 0, Side.BUY, 10.0)))
    before = balances(book)
    at_end(book.account, 2, 2 * MINUTE)
    _, fills, [trade] = logged(book)
    assert (trade.exit_reason, trade.exit_row, trade.exit_price, trade.pnl, trade.fees) == (
        Reason.END, 2, 110.0, 99.0, 1.0,
    )  # fmt: skip
    assert len(fills) == 1
    assert balances(book) == before


def test_a_venues_tiers_go_by_what_was_traded_in_thirty_days():
    """Kraken: 0.40 % to take below 10,000 dollars in 30 days, 0.35 % from there; after 30 quiet days 0.40 % again."""
    assert VENUES["kraken"][0].taker_bps == 40
    assert VENUES["kraken"][1] == (10_000, 20, 35)
    book = account(cash=100_000.0, others=Terms(fees=Fees(venue="kraken")))
    asked = {0: 60.0, 1: 60.0, 2: 60.0, 33: 60.0}
    views = bars(*[FLAT] * 35, length=DAY)
    run(book, views, lambda row, o: ask.market(o, 0, 0, Side.BUY, asked[row]) if row in asked else 0)
    _, fills, _ = logged(book)
    # 6,000, then 12,000 are in the books when the third order fills.
    assert [f.fee for f in fills] == pytest.approx([24.0, 24.0, 21.0, 24.0])


def test_a_broker_charges_by_share_with_bounds():
    """0.005 a share, at least 1 an order and at most 1 % of it."""
    book = account(cash=1_000_000.0, others=Terms(fees=Fees(per_unit=0.005, least=1, most_bps=100)))
    asked = {0: 10.0, 1: 1_000.0}
    views = bars((1, 1, 1, 1), (1, 1, 1, 1), FLAT)
    run(book, views, lambda row, o: ask.market(o, 0, 0, Side.BUY, asked[row]) if row in asked else 0)
    assert [f.fee for f in logged(book)[1]] == [0.1, 5.0]


def test_a_maker_may_get_a_rebate():
    """1 bps of 980 back."""
    book = account(others=Terms(fees=Fees(bps=5, maker_bps=-1)))
    run(book, bars(FLAT, (100, 100, 97, 98)), once(0, lambda o: ask.limit(o, 0, 0, Side.BUY, 10.0, 98.0)))
    assert logged(book)[1][0].fee == -0.098
    assert balances(book)["cash"] == 10_000 - 980 + 0.098


@pytest.mark.parametrize(("side", "paid"), [(Side.BUY, 5.0), (Side.SELL, -5.0)])
def test_a_dividend_is_paid_to_the_long_and_by_the_short(side, paid):
    """0.50 on ten units; the trade that it belongs to tells it."""
    book = account()
    views = bars(FLAT, FLAT, (99.5, 99.5, 99.5, 99.5), (99.5, 99.5, 99.5, 99.5))
    run(book, views[:2], once(0, lambda o: ask.market(o, 0, 0, side, 10.0)))
    apply_dividend(book.account, 0, 0.5)
    run(book, views[2:], once(0, lambda o: ask.target(o, 0, 0, 0.0)))
    _, _, [trade] = logged(book)
    assert (trade.carry, trade.pnl) == (paid, -side * 5.0 + paid)
    assert book.account.equity == quanta(10_000)
    assert balances(book)["carry"] == -paid


def test_a_split_multiplies_lots_and_divides_prices():
    """Four for one, with a stop and a limit that wait."""

    def asked(orders):
        n = ask.market(orders, 0, 0, Side.BUY, 10.0)
        n = ask.stop(orders, n, 0, Side.SELL, 10.0, 80.0)
        return ask.limit(orders, n, 0, Side.SELL, 10.0, 120.0)

    book = account()
    run(book, bars(FLAT, FLAT), once(0, asked))
    apply_split(book.account, 0, 4.0, 2 * MINUTE, 2)
    position = book.positions[0]
    assert (position.lots, position.entry_price, position.price, position.cost) == (40, 25.0, 25.0, quanta(1_000))
    assert book.account.equity == quanta(10_000)
    assert (book.orders[0].stop, book.orders[0].amount) == (20.0, 40.0)
    assert (book.orders[1].limit, book.orders[1].amount) == (30.0, 40.0)
    run(book, bars((30.5, 31, 30, 31), first=2 * MINUTE), lambda *_: 0)
    _, fills, [trade] = logged(book)
    assert (fills[1].units, fills[1].price, trade.pnl) == (40.0, 30.5, 40 * 5.5)


def test_an_order_filled_in_part_is_split_in_both_of_its_parts():
    """Of 50 units 30 are filled: after two for one it is 60 of 100, and the next bar's 30 leave 10."""
    book = account(others=Terms(slippage=Slippage(volume_share=0.1)))
    run(book, bars(FLAT, FLAT, volume=300.0), once(0, lambda o: ask.market(o, 0, 0, Side.BUY, 50.0)))
    apply_split(book.account, 0, 2.0, 2 * MINUTE, 2)
    order = book.orders[0]
    assert (order.units, order.filled, order.average) == (100.0, 60.0, 50.0)
    run(book, bars((50, 50, 50, 50), first=2 * MINUTE, volume=300.0), lambda *_: 0)
    assert (book.orders[0].filled, book.positions[0].lots) == (90.0, 90)


def test_the_fraction_of_a_lot_that_a_split_leaves_is_paid_out():
    """Three for two of 5 units at 100: 7 at 66.67, and half a unit in cash."""
    book = account()
    run(book, bars(FLAT, FLAT), once(0, lambda o: ask.market(o, 0, 0, Side.BUY, 5.0)))
    apply_split(book.account, 0, 1.5, 2 * MINUTE, 2)
    _, _, [trade] = logged(book)
    assert (trade.units, trade.exit_reason, trade.pnl) == (0.5, Reason.SPLIT, pytest.approx(0, abs=1e-7))
    assert trade.exit_price == pytest.approx(100 / 1.5)
    assert book.positions[0].lots == 7
    assert balances(book)["cash"] == pytest.approx(9_500 + 50 / 1.5)
    assert book.account.equity == pytest.approx(quanta(10_000), abs=2)


def test_a_reverse_split_may_leave_nothing():
    """One for ten of 5 units."""
    book = account()
    run(book, bars(FLAT, FLAT), once(0, lambda o: ask.market(o, 0, 0, Side.SELL, 5.0)))
    apply_split(book.account, 0, 0.1, 2 * MINUTE, 2)
    assert book.positions[0].lots == 0
    assert balances(book) == {"cash": 10_000.0, "capital": -10_000.0}


def test_short_shares_are_borrowed_by_the_day():
    """36.5 % a year on 1,000 is 1 a day: three sessions' ends, and the last half day when it is bought back."""
    book = account(others=Terms(borrow=Borrow(short_percent=36.5)))
    views = bars(*[FLAT] * 5, length=DAY)
    sessions = views["end"]

    def decide(row, orders):
        return ask.market(orders, 0, 0, Side.SELL, 10.0) if row == 0 else ask.close(orders, 0, 0) if row == 3 else 0

    run(book, views, decide, sessions)
    _, _, [trade] = logged(book)
    assert (trade.carry, trade.pnl) == (-3.0, -3.0)
    assert balances(book)["carry"] == 3.0


def test_funding_is_paid_at_its_hours_by_the_long():
    """0.01 % of 1,000 at 08:00, 16:00 and 24:00 of a day."""
    book = account(others=Terms(borrow=Borrow(funding_percent=0.01)))
    views = bars(FLAT, FLAT, length=DAY)
    run(book, views, once(0, lambda o: ask.market(o, 0, 0, Side.BUY, 10.0)), views["end"])
    assert balances(book)["carry"] == pytest.approx(0.3)


def test_borrowed_money_costs_interest():
    """200 units at 100 with 10,000: 10,000 borrowed at 36.5 % a year, 10 a day."""
    book = account(limits=Limits(leverage=2, interest_percent=36.5))
    views = bars(*[FLAT] * 3, length=DAY)
    run(book, views, once(0, lambda o: ask.target(o, 0, 0, 2.0)), views["end"])
    # The first day in debt costs 10, the next 10 and a day's interest on them.
    assert balances(book)["carry"] == pytest.approx(10 + 10.01)


def test_on_ticks_a_session_is_paid_for_when_the_next_one_begins():
    """A day and a half after the sale the second session's first tick is there: 1.5 days at 1 a day."""
    book = account(others=Terms(borrow=Borrow(short_percent=36.5)))
    ticks = bars(100, 100, 100, first=DAY // 4, length=DAY // 4)
    late = bars(100, first=2 * DAY)
    sessions = [DAY] * 3 + [3 * DAY]
    run(book, np.concatenate([ticks, late]), once(0, lambda o: ask.market(o, 0, 0, Side.SELL, 10.0)), sessions)
    assert balances(book)["carry"] == 1.5


def test_nothing_is_held_overnight_where_that_is_the_rule():
    """Closed at the session's last close; wanted again, it is bought at the next open."""
    book = account(others=Terms(session_end=SessionEnd(flat=True)))
    views = bars(FLAT, FLAT, (100, 104, 99, 103), (105, 106, 104, 105))
    sessions = [3 * MINUTE] * 3 + [5 * MINUTE]
    run(book, views, lambda row, o: ask.target(o, 0, 0, 1.0) if row in {0, 2} else 0, sessions)
    _, fills, [trade] = logged(book)
    assert [(f.row, f.price, f.side, Phase(f.phase)) for f in fills] == [
        (1, 100.0, Side.BUY, Phase.OPEN), (2, 103.0, Side.SELL, Phase.CLOSE), (3, 105.0, Side.BUY, Phase.OPEN),
    ]  # fmt: skip
    assert (trade.exit_reason, trade.pnl) == (Reason.SESSION_END, 300.0)


def test_who_still_wants_a_position_after_the_session_enters_the_next_one():
    """The wish is 1 on every close: bought at the next open, sold at the session's last close, and again."""
    book = account(others=Terms(session_end=SessionEnd(flat=True)))
    for row, view in enumerate(bars(*[FLAT] * 6)):
        advance(book.account, view, row, (row // 3 + 1) * 3 * MINUTE)
        want(book.account, view, row, 1.0)
    assert [(int(f.row), Side(f.side).name) for f in logged(book)[1]] == [
        (1, "BUY"), (2, "SELL"), (3, "BUY"), (5, "SELL"),
    ]  # fmt: skip


def test_where_the_sessions_last_bar_is_missing_the_next_open_closes():
    """A gap: nobody could know that it was the last bar."""
    book = account(others=Terms(session_end=SessionEnd(flat=True)))
    views = bars(FLAT, FLAT, (90, 91, 89, 90))
    run(book, views, once(0, lambda o: ask.target(o, 0, 0, 1.0)), [int(1.9 * MINUTE)] * 2 + [5 * MINUTE])
    _, fills, _ = logged(book)
    # The session of the first two bars ends before the second does: it is that session's last.
    assert [(f.row, f.price, Phase(f.phase)) for f in fills] == [(1, 100.0, Phase.OPEN), (1, 100.0, Phase.CLOSE)]

    book = account(others=Terms(session_end=SessionEnd(flat=True)))
    late = bars((90, 91, 89, 90), first=10 * MINUTE)
    run(
        book,
        np.concatenate([views[:2], late]),
        once(0, lambda o: ask.target(o, 0, 0, 1.0)),
        [5 * MINUTE] * 2 + [20 * MINUTE],
    )
    _, fills, _ = logged(book)
    assert [(f.row, f.price, Phase(f.phase)) for f in fills][1] == (2, 90.0, Phase.OPEN)


def euros():
    """An account in dollars that trades one symbol in euros."""
    return account(others=Terms(currency="EUR"))


def test_nothing_is_traded_before_its_rate_is_known():
    """The currency of the symbol has none yet."""
    book = euros()
    assert currency_places(["NASDAQ:ACME"], euros_conditions()) == {"USD": 0, "EUR": 1}
    run(book, bars(FLAT, FLAT), once(0, lambda o: ask.market(o, 0, 0, Side.BUY, 10.0)))
    assert [Reason(o.reason).name for o in logged(book)[0]] == ["NO_RATE"]


def euros_conditions():
    from trading.opening import Conditions

    return Conditions(others=Terms(currency="EUR"))


def test_each_currency_balances_by_itself():
    """10 at 100 euros for 1.10 dollars each; 110 euros at 1.20 make 1,320 dollars of the 1,100."""
    book = euros()
    set_rate(book.account, 1, 1.1)
    views = bars(FLAT, FLAT, (110, 110, 110, 110), (110, 110, 110, 110))
    run(book, views[:2], once(0, lambda o: ask.market(o, 0, 0, Side.BUY, 10.0)))
    assert balances(book) == {"cash": 8_900.0, "capital": -10_000.0, "exchange": 1_100.0}
    assert balances(book, 1) == {"holdings": 1_000.0, "exchange": -1_000.0}
    set_rate(book.account, 1, 1.2)
    assert book.account.equity == quanta(8_900 + 1_200)
    run(book, views[2:], once(0, lambda o: ask.target(o, 0, 0, 0.0)))
    _, fills, [trade] = logged(book)
    assert (trade.pnl, trade.entry_rate, trade.exit_rate) == (pytest.approx(220.0), 1.1, 1.2)
    assert trade.gain == pytest.approx(0.2)
    assert balances(book, 1) == {"realised": -100.0, "exchange": 100.0}
    assert book.account.equity == quanta(10_220)
    assert [f.rate for f in fills] == [1.1, 1.2]


def test_sizes_by_money_are_in_the_accounts_currency():
    """5,000 dollars are 4,545 euros, 45 units at 100."""
    book = euros()
    set_rate(book.account, 1, 1.1)
    run(book, bars(FLAT, FLAT), once(0, lambda o: ask.target(o, 0, 0, 0.5)))
    assert book.positions[0].lots == 45


def test_fractions_are_counted_exactly():
    """0.1 and 0.2 bought and 0.3 sold leave nothing."""
    book = account(others=Terms(lots=Lots(lot=1e-8)))
    asked = {0: (Side.BUY, 0.1), 1: (Side.BUY, 0.2), 2: (Side.SELL, 0.3)}
    run(book, bars(*[FLAT] * 4), lambda row, o: ask.market(o, 0, 0, *asked[row]) if row in asked else 0)
    _, fills, [trade] = logged(book)
    assert [f.units for f in fills] == [0.1, 0.2, 0.3]
    assert (book.positions[0].lots, trade.units) == (0, 0.3)


def test_what_the_ledger_cannot_count_stops_the_account():
    """A price that makes a position worth more than 9.2e10, and one that is none."""
    book = account()
    run(book, bars(FLAT, FLAT), once(0, lambda o: ask.target(o, 0, 0, 1.0)))
    advance(book.account, bars((1e10, 1e10, 1e10, 1e10), first=2 * MINUTE)[0], 2, FOREVER)
    assert book.account.fault == Fault.MONEY

    book = account()
    advance(book.account, bars((0, 0, 0, 0))[0], 0, FOREVER)
    assert book.account.fault == Fault.PRICE


@pytest.mark.parametrize("cash", [0.5, float("nan"), MONEY_MAX / 1e8])
def test_an_account_opens_with_a_sum_that_it_can_count(cash):
    """At least one unit, and what all of it may grow to."""
    with pytest.raises(DeskError, match=r"cash must be between 1 and 5.75e\+09 USD, and is .*: give another --cash"):
        open_account(["A:X"], euros_conditions(), cash)
