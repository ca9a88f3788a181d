"""The loop of an account: bars fill its orders and mark its positions, decisions become its orders.

Decisions are worked out beforehand, a chunk at a time: a strategy sees bars and never its account, so what it decides
does not depend on what became of its orders. So this loop is the same for all strategies and compiled once; it is
plain Python as well, in which a short run is over before a compiler is done.
"""

from typing import Any

from backtest.curve import Numbers, Times
from backtest.stream import RATE, SPLIT
from strategies.interface import REQUESTS_MAX
from trading.assumptions.corporate_actions import apply_dividend, apply_split
from trading.book import QUANTA, currency_at
from trading.jit import compiles
from trading.ledger import gross, set_rate
from trading.records import Records
from trading.step import advance, submit, want


@compiles
def run_alone(
    accounts: Records,
    views: Records,
    sessions: Times,
    exposures: Numbers,
    first: int,
    row: int,
    last: int,
    equity: Numbers,
    cash: Numbers,
    exposure: Numbers,
) -> int:
    """Take an account over bars of one series on which exposures were decided; returns the row to go on from.

    It stops before `last` where the account's logs have to be emptied or a fault was found.

    Args:
        accounts: The account, one record.
        views: All bars as traded, by row.
        sessions: End of the session of each.
        exposures: Decided on the rows from `first` on; NaN keeps what is wanted.
        first: Row of the first of these.
        row: To begin with.
        last: Row after the last.
        equity: By row, written.
        cash: By row, written.
        exposure: By row, written.
    """
    account = accounts[0]
    home = currency_at(account, 0)
    # Cash changes with fills, which are few: the division by quanta is worth a comparison.
    counted, spendable = home.cash, home.cash / QUANTA
    while row < last:
        bar = views[row]
        advance(account, bar, row, sessions[row])
        want(account, bar, row, exposures[row - first])
        if home.cash != counted:
            counted, spendable = home.cash, home.cash / QUANTA
        value = float(account.equity)
        equity[row] = value / QUANTA
        cash[row] = spendable
        exposure[row] = abs(float(account.marked)) / value if account.marked != 0 else 0.0
        row += 1
        if account.full != 0 or account.fault != 0:
            break
    return row


@compiles
def run_together(
    accounts: Records,
    views: Records,
    own: Any,
    sessions: Times,
    changes: Records,
    exposures: Numbers,
    requests: Records,
    counts: Any,
    begins: Any,
    first: int,
    row: int,
    last: int,
    at: Any,
    equity: Numbers,
    cash: Numbers,
    exposure: Numbers,
) -> int:
    """Take an account over bars of several series, or on which orders were asked for; as `run_alone`.

    All bars that end together are gone over before any decision on them becomes an order.

    Args:
        accounts: The account, one record.
        views: All bars as traded, by row.
        own: Whether a bar fills and marks.
        sessions: End of the session of each.
        changes: `CHANGE`, by row.
        exposures: Decided on the rows from `first` on; empty where orders were asked for.
        requests: `ORDER`: those asked for on the rows from `first` on.
        counts: How many on each row from `first` on; more than `REQUESTS_MAX` were not written, and all are refused.
        begins: Place in `requests` of the first of each row.
        first: Row of the first decision in hand.
        row: To begin with: the first of those that end together.
        last: Row after the last, which ends with others of its moment.
        at: Two places that it goes on from: of the changes, and of the marks.
        equity: By mark, written.
        cash: By mark, written.
        exposure: By mark, written.
    """
    account = accounts[0]
    home = currency_at(account, 0)
    while row < last:
        end = views[row].end
        after = row
        marked = False
        while after < last and views[after].end == end:
            while at[0] < len(changes) and changes[at[0]].row <= after:
                change = changes[at[0]]
                if change.kind == RATE:
                    set_rate(account, change.place, change.value)
                elif change.kind == SPLIT:
                    apply_split(account, change.place, change.value, change.time, after)
                else:
                    apply_dividend(account, change.place, change.value)
                at[0] += 1
            if own[after]:
                marked = True
                advance(account, views[after], after, sessions[after])
            after += 1
        for place in range(row, after):
            if len(exposures) > 0:
                want(account, views[place], place, exposures[place - first])
            elif counts[place - first] > 0:
                begin = begins[place - first]
                wanted = counts[place - first]
                submit(account, views[place], place, requests[begin : begin + min(wanted, REQUESTS_MAX)], wanted)
        if marked:
            value = float(account.equity)
            equity[at[1]] = value / QUANTA
            cash[at[1]] = home.cash / QUANTA
            exposure[at[1]] = gross(account) / value if account.marked != 0 else 0.0
            at[1] += 1
        row = after
        if account.full != 0 or account.fault != 0:
            break
    return row
