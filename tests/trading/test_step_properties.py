"""What holds for any account on any bars, whatever is asked of it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted.replays import compiled_replay, run, scripts

from trading.book import QUANTA
from trading.filling import at_end
from trading.ledger import Fault, balance, equity_now
from trading.records import Kind, Liquidity, Phase, Side, State
from trading.snapshot import drained, from_bytes, to_bytes


def everything(book):
    """All that an account has come to, as bytes."""
    logs = drained(book)
    return tuple(log.tobytes() for log in logs), to_bytes(book)


def marked(book):
    """Value of the positions at their last prices, worked out anew."""
    total = 0
    for position in book.positions:
        if position.lots:
            rate = book.currencies[position.currency].rate
            total += int(np.rint(position.lots * position.lot_quanta * rate * position.price))
    return total


@given(scripts())
def test_the_ledger_sums_to_zero_and_equity_is_cash_and_positions(script):
    """After each step, to the quantum, in each currency."""
    book = script.open()
    equity = None
    for row in range(len(script.views)):
        equity = run(script, book, first=row, last=row + 1, equity=equity)
        assert book.account.fault == Fault.NONE
        assert [balance(currency) for currency in book.currencies] == [0] * len(book.currencies)
        assert book.account.marked == marked(book)
        assert book.account.equity == equity_now(book.account) == book.currencies[0].cash + marked(book)
        assert equity[row] == book.account.equity


@given(scripts())
def test_positions_are_what_was_filled_and_trades_what_was_gained(script):
    """Units by fills; profit, cash flows and what is still open by trades."""
    book = script.open()
    run(script, book)
    for symbol, position in enumerate(book.positions):
        mine = book.fills[: book.account.fills]
        mine = mine[mine["symbol"] == symbol]
        held = np.sum(mine["units"] * mine["side"])
        assert abs(held - position.lots * position.lot) < 1e-6
    at_end(book.account, len(script.views), 0)
    gained = np.sum(book.trades[: book.account.trades]["pnl"])
    # Interest on debt belongs to no trade; each trade rounds its fees and carry to whole quanta.
    if not script.conditions.limits.interest_percent:
        assert abs(gained - (book.account.equity / QUANTA - 10_000)) < 1e-4


@given(scripts())
def test_no_fill_is_outside_its_bar_or_beyond_its_limit(script):
    """Slippage aside, at a price that the bar had; at the open or the close where it says so."""
    book = script.open()
    run(script, book)
    orders = {int(order.id): order for order in (*book.done[: book.account.done], *book.orders[: book.account.working])}
    for fill in book.fills[: book.account.fills]:
        bar, order = script.views[fill.row], orders[int(fill.order)]
        traded = fill.price - fill.side * fill.slippage
        assert bar.low - 1e-9 <= traded <= bar.high + 1e-9
        if fill.phase == Phase.OPEN:
            assert abs(traded - bar.open) < 1e-9
        if fill.phase == Phase.CLOSE:
            assert abs(traded - bar.close) < 1e-9
        if fill.liquidity == Liquidity.MAKER:
            assert fill.slippage == 0
        if order.kind in {Kind.LIMIT, Kind.TAKE_PROFIT, Kind.STOP_LIMIT}:
            assert fill.price <= order.limit if fill.side == Side.BUY else fill.price >= order.limit
        assert fill.slippage >= 0
        assert order.placed_at <= bar.start or fill.phase == Phase.CLOSE


@given(scripts())
def test_orders_end_as_their_fills_say(script):
    """Filled units, averages and fees of an order are those of its fills; and no order is twice anywhere."""
    book = script.open()
    run(script, book)
    orders = [*book.done[: book.account.done], *book.orders[: book.account.working]]
    assert len({int(order.id) for order in orders}) == len(orders)
    fills = book.fills[: book.account.fills]
    for order in orders:
        mine = fills[fills["order"] == order.id]
        assert abs(np.sum(mine["units"]) - order.filled) < 1e-6
        assert abs(np.sum(mine["fee"]) - order.fees) < 1e-6
        if len(mine):
            assert abs(np.average(mine["price"], weights=mine["units"]) - order.average) < 1e-6
        assert (order.state == State.FILLED) == (order.lots > 0 and order.lots == order.lots_done)
        assert (order.state >= State.FILLED) == (order.done_at > 0)
    counted = [sum(int(order.symbol) == symbol for order in book.orders[: book.account.working]) for symbol in (0, 1)]
    assert counted == list(book.positions["orders"])


@given(scripts())
def test_a_bars_volume_is_not_exceeded_where_it_is_shared(script):
    """All orders of a bar together, but for what the step closes at a session's end."""
    book = script.open()
    run(script, book)
    fills = book.fills[: book.account.fills]
    for row in np.unique(fills["row"]):
        bar = script.views[row]
        share = script.conditions.of(("A:X", "B:Y")[bar.symbol]).slippage.volume_share
        mine = fills[(fills["row"] == row) & (fills["phase"] != Phase.CLOSE) & (fills["reason"] != 8)]
        if share:
            assert np.sum(mine["units"]) <= share * bar.volume + 1e-9


@given(scripts())
def test_compiled_and_plain_come_to_the_same_bytes(script):
    """Orders, fills, trades, equity and the whole account."""
    plain, compiled = script.open(), script.open()
    expected = run(script, plain)
    found = run(script, compiled, compiled_replay)
    assert np.array_equal(found, expected)
    assert everything(compiled) == everything(plain)


@given(scripts(), st.data())
def test_resuming_anywhere_changes_nothing(script, data):
    """A snapshot's bytes are all that the rest of a run depends on."""
    whole = script.open()
    expected = run(script, whole)
    cut = data.draw(st.integers(0, len(script.views)))
    before = script.open()
    equity = run(script, before, last=cut)
    first = drained(before)
    saved = to_bytes(before)
    after = from_bytes(saved)
    assert to_bytes(after) == saved
    run(script, after, first=cut, equity=equity)
    second = drained(after)
    logs, bytes_of_all = everything(whole)
    assert np.array_equal(equity, expected)
    assert to_bytes(after) == bytes_of_all
    assert tuple(a.tobytes() + b.tobytes() for a, b in zip(first, second, strict=True)) == logs


@settings(max_examples=50)
@given(scripts(), st.data())
def test_what_happens_does_not_depend_on_later_bars(script, data):
    """Other prices after a row leave all fills up to it as they were."""
    cut = data.draw(st.integers(1, len(script.views)))
    book, other = script.open(), script.open()
    run(script, book, last=cut)
    changed = script.views.copy()
    for name in ("open", "high", "low", "close"):
        changed[name][cut:] *= 3.0
    run(script._replace(views=changed), other)
    fills = other.fills[: other.account.fills]
    earlier = fills[fills["row"] < cut]
    assert earlier.tobytes() == book.fills[: book.account.fills].tobytes()
