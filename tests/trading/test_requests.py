"""A strategy's requests are the same records in compiled and in plain code."""

import numpy as np
import pytest

from trading import requests as ask
from trading.jit import njit
from trading.records import FILL, NEVER, ORDER, TRADE, VIEW, Kind, OrderFlag, Side, Sizing, Tif


def everything(orders):
    """One of each."""
    n = ask.market(orders, 0, 3, Side.BUY, 10.0)
    n = ask.limit(orders, n, 3, Side.SELL, 0.5, 101.5, Sizing.FRACTION)
    n = ask.tagged(orders, n, 7)
    n = ask.for_the_day(orders, n)
    n = ask.stop(orders, n, 3, Side.SELL, 5.0, 95.0)
    n = ask.until(orders, n, 1_000)
    n = ask.stop_limit(orders, n, 3, Side.BUY, 1000.0, 105.0, 106.0, Sizing.CASH)
    n = ask.one_cancels_other(orders, 2, n)
    n = ask.trailing_stop(orders, n, 3, Side.SELL, 5.0, 2.5)
    n = ask.trailing_stop_fraction(orders, n, 3, Side.SELL, 5.0, 0.05)
    n = ask.take_profit(orders, n, 3, Side.SELL, 110.0)
    n = ask.stop_loss(orders, n, 3, Side.SELL, 90.0, 0.5)
    n = ask.bracket(orders, n, 3, Side.BUY, 0.25, Sizing.FRACTION, take_profit=120.0, stop_loss=80.0)
    n = ask.bracket(orders, n, 3, Side.SELL, 2.0, Sizing.UNITS, 80.0, 120.0, 99.0)
    n = ask.target(orders, n, 3, -1.0)
    n = ask.close(orders, n, 3)
    n = ask.only_closing(orders, ask.market(orders, n, 3, Side.BUY, 0.01))
    n = ask.risking(orders, n, 1.5)
    return ask.cancel(orders, n, 3, 7)


@pytest.fixture(scope="module")
def asked():
    orders = np.zeros(32, ORDER)
    return orders[: njit(everything)(orders)]


def test_compiled_and_plain_requests_are_the_same_records(asked):
    """To the byte: a strategy that cannot be compiled asks for the same."""
    orders = np.zeros(32, ORDER)
    count = everything(orders)
    assert count == len(asked)
    assert orders[:count].tobytes() == asked.tobytes()


def test_each_request_says_what_was_asked(asked):
    """Kinds, sides, sizes and prices, in the order in which they were asked for."""
    kinds = [Kind(order.kind).name for order in asked]
    assert kinds == [
        "MARKET", "LIMIT", "STOP", "STOP_LIMIT", "TRAILING_STOP", "TRAILING_STOP", "TAKE_PROFIT", "STOP",
        "MARKET", "TAKE_PROFIT", "STOP", "LIMIT", "TAKE_PROFIT", "STOP", "MARKET", "MARKET", "MARKET", "CANCEL",
    ]  # fmt: skip
    assert [order.limit for order in asked[[1, 3, 6, 9, 11, 12]]] == [101.5, 106.0, 110.0, 120.0, 99.0, 80.0]
    assert [order.stop for order in asked[[2, 3, 7, 10, 13]]] == [95.0, 105.0, 90.0, 80.0, 120.0]
    assert (asked[1].tag, asked[1].tif, asked[1].expires_at) == (7, Tif.DAY, 0)
    assert (asked[2].tif, asked[2].expires_at) == (Tif.GTD, 1_000)
    assert (asked[0].tif, asked[0].expires_at) == (Tif.GTC, NEVER)
    assert [asked[2].group, asked[3].group, asked[4].group] == [3, 3, 0]
    assert (asked[5].trail, asked[5].flag) == (0.05, OrderFlag.TRAIL_FRACTION)
    assert (asked[14].sizing, asked[14].amount, asked[14].side) == (Sizing.TARGET, -1.0, Side.NONE)
    assert (asked[15].sizing, asked[15].flag) == (Sizing.CLOSE, OrderFlag.REDUCE_ONLY)
    assert (asked[16].sizing, asked[16].volatility, asked[16].flag) == (Sizing.VOLATILITY, 1.5, OrderFlag.REDUCE_ONLY)


def test_a_brackets_exits_name_their_parent_and_each_other(asked):
    """Places are counted from 1 within the batch, so that a strategy needs no ids."""
    entry, profit, loss = asked[8:11]
    assert (profit.parent, loss.parent, entry.parent) == (9, 9, 0)
    assert profit.group == loss.group == 10
    assert (entry.side, profit.side, loss.side) == (Side.BUY, Side.SELL, Side.SELL)
    assert profit.sizing == loss.sizing == Sizing.PARENT
    assert loss.flag == OrderFlag.REDUCE_ONLY | OrderFlag.STOP_LOSS


def test_requests_beyond_the_room_are_counted_and_not_written():
    """A count above the room is how the step knows that something was asked that it cannot see."""
    orders = np.zeros(4, ORDER)
    room = orders[:2]
    n = ask.bracket(room, 0, 1, Side.BUY, 1.0, Sizing.UNITS, 2.0, 0.5)
    n = ask.tagged(room, ask.limit(room, n, 1, Side.BUY, 1.0, 1.0), 5)
    assert n == 4
    assert orders[2:].tobytes() == bytes(2 * ORDER.itemsize)


@pytest.mark.parametrize("dtype", [VIEW, ORDER, FILL, TRADE])
def test_no_field_hides_behind_an_attribute_of_every_scalar(dtype):
    """`record.size` is 1 whatever a field of that name holds, but only in plain Python."""
    assert not set(dtype.names) & set(dir(np.record))
    assert dtype.itemsize % 8 == 0
