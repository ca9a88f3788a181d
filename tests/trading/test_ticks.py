"""An account over ticks: what a tick fills, worked out by hand; compiled, plain and cut anywhere it is the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted.accounts import FOREVER, account, logged
from scripted.replays import run, scripts

from market.ticks import TICK
from trading import requests as ask
from trading import step
from trading.assumptions.session_end import SessionEnd
from trading.assumptions.slippage import Slippage
from trading.limits import Limits
from trading.opening import Terms
from trading.records import ORDER, Phase, Reason, Side, State
from trading.snapshot import drained, to_bytes
from trading.ticks import compiled_over_ticks, over_ticks, tick_views

SECOND = 1_000_000_000


def ticks(*prices, size=1_000.0, first=0, symbols=0):
    """Views of ticks a second apart, from `first` on."""
    made = np.zeros(len(prices), TICK)
    made["received_time"] = first + SECOND * np.arange(len(prices))
    made["event_time"] = made["received_time"] - SECOND // 10
    made["price"], made["size"], made["count"] = prices, size, 1
    return tick_views(made, np.broadcast_to(symbols, len(prices)))


def over(book, views, seqs=None, sessions=FOREVER, kernel=over_ticks):
    """All of them, the logs with room for everything."""
    rows = np.arange(len(views)) if seqs is None else np.array(seqs)
    ends = np.broadcast_to(np.int64(sessions), len(views)).copy()
    assert kernel(book.accounts, views, ends, rows, 0, len(views)) == len(views)
    assert book.account.fault == 0


def placed(book, view, *asks, row=0):
    """Requests on a close."""
    orders = np.zeros(8, ORDER)
    n = 0
    for one in asks:
        n = one(orders, n)
    step.submit(book.account, view, row, orders, n)


def test_a_tick_is_a_bar_of_one_price_at_the_time_that_we_received_it():
    """The venue's own stamp is a tenth of a second older: nobody could have acted then."""
    [view] = ticks(100.5, size=3.0, first=7 * SECOND, symbols=1)
    assert (view.start, view.end, view.symbol) == (7 * SECOND, 7 * SECOND, 1)
    assert (view.open, view.high, view.low, view.close) == (100.5,) * 4
    assert (view.volume, view.notional, view.trades, view.late) == (3.0, 301.5, 1, 0)


def test_a_market_order_fills_at_the_first_tick_and_notes_its_journal_row():
    """99 units at 101 cost 9,999 of 10,000; marked at 103 they have gained 198."""
    book = account()
    bar, *_ = ticks(100.0)
    placed(book, bar, lambda o, n: ask.target(o, n, 0, 1.0), row=40)
    over(book, ticks(101.0, 102.0, 103.0, first=SECOND), [42, 42, 45])
    [order], [fill], _ = logged(book)
    assert (fill.price, fill.units, fill.row, fill.time, fill.phase) == (101.0, 99.0, 42, SECOND, Phase.OPEN)
    assert (order.row, order.state) == (40, State.FILLED)
    assert book.account.equity == 10_198 * 100_000_000


def test_a_limit_and_a_trailing_stop_fill_where_a_tick_is_beyond_them():
    """The limit rests while 99 is only reached, and is passed at 98.5; the trailing stop, 2 below 103, sells at 101."""
    book = account()
    bar, *_ = ticks(100.0)
    placed(book, bar, lambda o, n: ask.limit(o, n, 0, Side.BUY, 10.0, 99.0))
    over(book, ticks(99.5, 99.0, 98.5, first=SECOND))
    [fill] = logged(book)[1]
    assert (fill.price, fill.time, fill.reason) == (98.5, 3 * SECOND, Reason.LIMIT)
    bar, *_ = ticks(98.5, first=3 * SECOND)
    placed(book, bar, lambda o, n: ask.trailing_stop(o, n, 0, Side.SELL, 10.0, 2.0))
    over(book, ticks(100.0, 103.0, 101.5, 101.0, 100.0, first=4 * SECOND))
    [_, fill], [trade] = logged(book)[1:]
    assert (fill.price, fill.time, fill.reason) == (101.0, 7 * SECOND, Reason.TRAILING_STOP)
    assert trade.pnl == 25.0


def test_a_tick_fills_no_more_than_its_size_allows():
    """A tenth of 50, of 300 and of 10,000 units: 5, 30, and the rest of 60."""
    book = account(others=Terms(slippage=Slippage(volume_share=0.1)))
    bar, *_ = ticks(100.0)
    placed(book, bar, lambda o, n: ask.market(o, n, 0, Side.BUY, 60.0))
    views = ticks(100.0, 100.0, 100.0, first=SECOND)
    views["volume"] = (50.0, 300.0, 10_000.0)
    over(book, views)
    assert [fill.units for fill in logged(book)[1]] == [5.0, 30.0, 25.0]


def test_a_position_that_is_not_held_overnight_goes_with_the_first_tick_after_the_session():
    """Ticks have no last one of a session; what is received after its end says that it is over."""
    book = account(others=Terms(session_end=SessionEnd(flat=True)))
    bar, *_ = ticks(100.0)
    placed(book, bar, lambda o, n: ask.market(o, n, 0, Side.BUY, 10.0))
    over(book, ticks(100.0, 101.0, first=SECOND), sessions=10 * SECOND)
    assert book.positions[0].lots == 10
    over(book, ticks(104.0, first=20 * SECOND), sessions=90 * SECOND)
    [trade] = logged(book)[2]
    assert (trade.exit_price, trade.exit_reason, trade.pnl) == (104.0, Reason.SESSION_END, 40.0)


def test_a_loss_limit_is_reached_between_two_decisions():
    """10,000 in the market at 100; at 89 more than a tenth is gone, and all is sold at the tick after."""
    book = account(limits=Limits(daily_loss=0.1, flatten=True))
    bar, *_ = ticks(100.0)
    placed(book, bar, lambda o, n: ask.target(o, n, 0, 1.0))
    over(book, ticks(100.0, 91.0, 89.0, 88.0, 95.0, first=SECOND))
    assert [(fill.price, fill.reason) for fill in logged(book)[1]][1:] == [(88.0, Reason.MAX_DAILY_LOSS)]


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
def test_it_stops_where_the_logs_are_full_and_goes_on_from_there(compiled):
    """An order that a unit of is filled at each tick: no fill is lost, and no tick is taken twice."""
    book = account(cash=100_000.0, room=60, working=2, others=Terms(slippage=Slippage(volume_share=0.1)))
    kernel = compiled_over_ticks() if compiled else over_ticks
    bar, *_ = ticks(100.0)
    placed(book, bar, lambda o, n: ask.market(o, n, 0, Side.BUY, 600.0))
    views, rows, sessions = ticks(*[100.0] * 400, size=10.0, first=SECOND), np.arange(400) + 7, np.full(400, FOREVER)
    fills, places = [], [0]
    while places[-1] < 400:
        places.append(kernel(book.accounts, views, sessions, rows, places[-1], 400))
        fills.append(drained(book).fills)
    assert len(places) > 5
    made = np.concatenate(fills)
    assert made["seq"].tolist() == list(range(1, 401))
    assert made["row"].tolist() == rows.tolist()


@settings(max_examples=60)
@given(scripts(), st.sets(st.integers(0, 24), max_size=6))
def test_in_portions_compiled_and_plain_it_is_the_step_tick_by_tick(script, cuts):
    """Orders of all kinds, conditions of all kinds: the same bytes of the account and of what it logged."""
    whole = script.open()
    run(script, whole)
    expected = bytes_of(whole)
    assert bytes_of(in_portions(script, over_ticks, cuts)) == expected
    assert bytes_of(in_portions(script, compiled_over_ticks(), cuts)) == expected


def in_portions(script, kernel, cuts):
    """The script's account, taken over what lies between two decisions and cuts at once."""
    book = script.open()
    orders = script.requests.copy()
    asked = set(np.flatnonzero((script.counts > 0) | ~np.isnan(script.exposures)).tolist())
    rows, first = np.arange(len(script.views)), 0
    for stop in sorted({*asked, *(cut for cut in cuts if cut < len(rows)), len(rows) - 1}):
        assert kernel(book.accounts, script.views, script.sessions, rows, first, stop + 1) == stop + 1
        first = stop + 1
        if stop in asked:
            view = script.views[stop]
            step.want(book.account, view, stop, script.exposures[stop])
            step.submit(book.account, view, stop, orders[stop], script.counts[stop])
    return book


def bytes_of(book):
    """All that an account has come to."""
    logs = drained(book)
    return [log.tobytes() for log in logs], to_bytes(book)
