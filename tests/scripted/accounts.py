"""Accounts for tests: bars of a few numbers, decisions by the row, and what came of them."""

import numpy as np

from market.bars import BarState
from trading import step
from trading.jit import njit
from trading.opening import Conditions, open_account
from trading.records import NEVER, ORDER, VIEW

MINUTE = 60_000_000_000
FOREVER = int(NEVER)


def bars(*prices, symbol=0, volume=1_000.0, first=0, length=MINUTE, state=BarState.CLOSED):
    """Minute bars of (open, high, low, close), or of a lone price for a tick, one after another."""
    made = np.zeros(len(prices), VIEW)
    for row, price in enumerate(prices):
        tick = isinstance(price, int | float)
        opened, high, low, close = (price,) * 4 if tick else price
        start = first + row * length
        made[row] = (
            start, start if tick else start + length, opened, high, low, close, volume, volume * close, 1, symbol, 0,
            state, 0,
        )  # fmt: skip
    return made


def account(cash=10_000.0, symbols=("NASDAQ:ACME",), *, working=16, room=256, **conditions):
    """An account that trades in whole units without costs, unless told otherwise."""
    return open_account(symbols, Conditions(**conditions), cash, working=working, room=room)


def run(book, views, decide, sessions=None):
    """Take an account over bars; `decide(row, orders)` is asked on each close for the number of its requests.

    Returns the equity after each bar, in currency units.
    """
    orders = np.zeros(16, ORDER)
    equity = []
    for row, view in enumerate(views):
        step.advance(book.account, view, row, FOREVER if sessions is None else sessions[row])
        assert book.account.fault == 0, f"fault {book.account.fault} at row {row}"
        step.submit(book.account, view, row, orders, decide(row, orders) or 0)
        equity.append(book.account.equity / 1e8)
    return equity


def once(row, asked):
    """Requests on the close of one row only: `asked(orders)` writes them."""
    return lambda now, orders: asked(orders) if now == row else 0


def logged(book):
    """The logs as arrays: orders that ended, fills, trades."""
    account = book.account
    return book.done[: account.done], book.fills[: account.fills], book.trades[: account.trades]


__all__ = ["FOREVER", "MINUTE", "account", "bars", "logged", "njit", "once", "run"]
