"""Random accounts for properties: what they trade on, what is asked of them, and a loop for compiled and plain code."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from scripted.accounts import MINUTE

from trading import requests as ask
from trading import step
from trading.assumptions.borrow import Borrow
from trading.assumptions.fees import Fees
from trading.assumptions.fills import Fills
from trading.assumptions.lots import Lots
from trading.assumptions.minimum import Minimum
from trading.assumptions.session_end import SessionEnd
from trading.assumptions.slippage import Slippage
from trading.jit import njit
from trading.ledger import set_rate
from trading.limits import Limits
from trading.opening import Conditions, Terms, open_account
from trading.records import ORDER, VIEW, Side, Sizing

SYMBOLS = ("A:X", "B:Y")
ROOM = 12


class Script(NamedTuple):
    """A run without its account."""

    conditions: Conditions
    views: np.ndarray
    sessions: np.ndarray
    requests: np.ndarray
    """(rows, ROOM) `ORDER`."""
    counts: np.ndarray
    exposures: np.ndarray
    """By row, NaN where nothing is wanted anew."""

    def __repr__(self):
        return f"Script of {len(self.views)} bars, {int(self.counts.sum())} requests, {self.conditions}"

    def open(self):
        """A new account for it; the second symbol's currency is worth 1.25 of the account's."""
        book = open_account(SYMBOLS, self.conditions, 10_000.0, room=4_096)
        if len(book.currencies) > 1:
            set_rate(book.account, 1, 1.25)
        return book


def replay(accounts, views, sessions, requests, counts, exposures, equity, first, last):
    """Rows [first, last); stops at a fault."""
    account = accounts[0]
    for row in range(first, last):
        bar = views[row]
        step.advance(account, bar, row, sessions[row])
        if account.fault != 0:
            return row
        step.want(account, bar, row, exposures[row])
        step.submit(account, bar, row, requests[row], counts[row])
        equity[row] = account.equity
    return last


compiled_replay = njit(replay)


def run(script, book, loop=replay, first=0, last=None, equity=None):
    """Take a book over some rows; the equity by row, quanta."""
    rows = len(script.views)
    equity = np.zeros(rows, np.int64) if equity is None else equity
    # The step writes into requests as it takes them.
    asked = script.requests.copy()
    loop(
        book.accounts, script.views, script.sessions, asked, script.counts, script.exposures, equity, first,
        rows if last is None else last,
    )  # fmt: skip
    return equity


TERMS = st.builds(
    Terms,
    currency=st.sampled_from(["USD", "EUR"]),
    lots=st.builds(Lots, lot=st.sampled_from([1.0, 0.01, 1e-8, 100.0]), tick=st.sampled_from([0.0, 0.01, 0.25])),
    minimum=st.builds(Minimum, notional=st.sampled_from([0.0, 0.0, 500.0])),
    fees=st.builds(
        Fees,
        fixed=st.sampled_from([0.0, 1.0]),
        bps=st.sampled_from([0.0, 10.0]),
        maker_bps=st.sampled_from([None, -2.0]),
        per_unit=st.sampled_from([0.0, 0.005]),
        venue=st.sampled_from(["", "", "okx"]),
    ),
    slippage=st.builds(
        Slippage,
        bps=st.sampled_from([0.0, 5.0]),
        spread=st.sampled_from([0.0, 0.1]),
        impact=st.sampled_from([0.0, 0.2]),
        volume_share=st.sampled_from([0.0, 0.1]),
    ),
    borrow=st.builds(Borrow, short_percent=st.sampled_from([0.0, 20.0]), funding_percent=st.sampled_from([0.0, 0.01])),
    session_end=st.builds(SessionEnd, flat=st.booleans()),
)
CONDITIONS = st.builds(
    Conditions,
    terms=st.fixed_dictionaries(dict.fromkeys(SYMBOLS, TERMS)),
    fills=st.builds(Fills, at=st.sampled_from(["open", "open", "close"]), touch=st.booleans()),
    limits=st.builds(
        Limits,
        leverage=st.sampled_from([1.0, 1.0, 3.0]),
        shorting=st.booleans(),
        position=st.sampled_from([None, 0.5]),
        exposure=st.sampled_from([None, 1.5]),
        daily_loss=st.sampled_from([None, 0.02]),
        drawdown=st.sampled_from([None, 0.05]),
        flatten=st.booleans(),
        orders=st.sampled_from([0, 5]),
        interest_percent=st.sampled_from([0.0, 8.0]),
    ),
)
SMALL = st.integers(-8, 8)
MOVES = st.tuples(st.integers(0, 1), SMALL, SMALL, st.integers(0, 6), st.integers(0, 6), st.integers(0, 3))
WISHES = st.tuples(st.integers(0, 11), st.integers(0, 1), st.booleans(), st.integers(1, 6), SMALL)


@st.composite
def scripts(draw, most=24):
    """Bars and ticks of two symbols, each with up to two requests or a wish on its close."""
    moves = draw(st.lists(MOVES, min_size=8, max_size=most))
    wishes = draw(st.lists(st.lists(WISHES, max_size=2), min_size=len(moves), max_size=len(moves)))
    views = np.zeros(len(moves), VIEW)
    prices = [100.0, 40.0]
    for row, (symbol, gap, move, up, down, quiet) in enumerate(moves):
        opened = max(prices[symbol] + 0.25 * gap, 1.0)
        closed = max(opened + 0.25 * move, 1.0)
        high, low = max(opened, closed) + 0.25 * up, max(min(opened, closed) - 0.25 * down, 0.5)
        start = (row + 1) * MINUTE
        tick = quiet == 3
        if tick:
            closed = high = low = opened
        views[row] = (
            start, start + (0 if tick else MINUTE), opened, high, low, closed, 300.0 * quiet, 0.0, 0, symbol, 0, 1, 0,
        )  # fmt: skip
        prices[symbol] = closed
    sessions = (views["start"] // (7 * MINUTE) + 1) * (7 * MINUTE)
    requests = np.zeros((len(moves), ROOM), ORDER)
    counts = np.zeros(len(moves), np.int64)
    exposures = np.full(len(moves), np.nan)
    for row, asked in enumerate(wishes):
        for wish in asked:
            counts[row] = _ask(requests[row], int(counts[row]), views[row], wish, exposures, row)
    return Script(draw(CONDITIONS), views, sessions, requests, counts, exposures)


def _ask(orders, n, view, wish, exposures, row):
    """One wish, by its number."""
    kind, symbol, buys, size, away = wish
    side = Side.BUY if buys else Side.SELL
    near = (view["close"] if view["symbol"] == symbol else (100.0, 40.0)[symbol]) + 0.25 * away
    near = max(near, 0.25)
    units = 5.0 * size
    if kind == 0:
        exposures[row] = (1 if buys else -1) * size / 5
        return n
    if kind == 1:
        return ask.market(orders, n, symbol, side, units)
    if kind == 2:
        return ask.limit(orders, n, symbol, side, 0.1 * size, near, Sizing.FRACTION)
    if kind == 3:
        return ask.for_the_day(orders, ask.stop(orders, n, symbol, side, units, near))
    if kind == 4:
        return ask.stop_limit(orders, n, symbol, side, 300.0 * size, near, near + 0.25 * (size - 3), Sizing.CASH)
    if kind == 5:
        return ask.trailing_stop(orders, n, symbol, side, units, 0.25 * size)
    if kind == 6:
        return ask.bracket(orders, n, symbol, side, units, Sizing.UNITS, near + side * 0.5, max(near - side * 0.5, 0.2))
    if kind == 7:
        entry = max(near - side * 0.5, 0.2)
        return ask.bracket(orders, n, symbol, side, 0.2, Sizing.FRACTION, near + side, max(near - side, 0.2), entry)
    if kind == 8:
        return ask.cancel(orders, n, symbol)
    if kind == 9:
        return ask.close(orders, n, symbol, size / 5)
    if kind == 10:
        n = ask.stop(orders, n, symbol, Side.BUY, units, near + 0.5)
        n = ask.stop(orders, n, symbol, Side.SELL, units, max(near - 0.5, 0.2))
        return ask.one_cancels_other(orders, n - 2, n)
    return ask.target(orders, n, symbol, (1 if buys else -1) * size / 6)
