"""Trades, fills and curves for tests of what is made of them."""

import numpy as np

from backtest.curve import DAY_NS, Curve
from trading.records import FILL, TRADE, Reason, Side

START = 19_723 * DAY_NS
"""2024-01-01, a Monday."""


def curve(equity, *, start=START, step=DAY_NS, exposure=None, cash=None):
    """A mark at the end of each bar of one length."""
    equity = np.asarray(equity, float)
    time = start + step * np.arange(1, len(equity) + 1)
    held = np.ones(len(equity)) if exposure is None else np.asarray(exposure, float)
    return Curve(time, equity, np.zeros(len(equity)) if cash is None else cash, held)


def trades(*rows):
    """Trades of (pnl, return) or (pnl, return, entry day, exit day[, side[, symbol]]); one a day unless told."""
    made = np.zeros(len(rows), TRADE).view(np.recarray)
    for place, row in enumerate(rows):
        pnl, gain, entered, left, side, symbol = (*row, *(None,) * (6 - len(row)))
        made[place].pnl, made[place].gain = pnl, gain
        made[place].entry_time = START + (place if entered is None else entered) * DAY_NS
        made[place].exit_time = START + (place + 1 if left is None else left) * DAY_NS
        made[place].side = Side.BUY if side is None else side
        made[place].symbol = symbol or 0
        made[place].units, made[place].entry_price, made[place].exit_price = 1.0, 100.0, 100.0 + pnl
        made[place].entry_rate = made[place].exit_rate = 1.0
        made[place].entry_reason = made[place].exit_reason = Reason.SIGNAL
    return made


def fills(*rows):
    """Fills of (units, price, slippage, fee[, side[, hour]]), on one day."""
    made = np.zeros(len(rows), FILL).view(np.recarray)
    for place, row in enumerate(rows):
        units, price, slippage, fee, side, hour = (*row, *(None,) * (6 - len(row)))
        made[place].seq = made[place].order = place + 1
        made[place].units, made[place].price, made[place].rate = units, price, 1.0
        made[place].slippage, made[place].fee = slippage, fee
        made[place].side = Side.BUY if side is None else side
        made[place].time = START + (hour or 0) * DAY_NS // 24
        made[place].reason = Reason.SIGNAL
    return made
