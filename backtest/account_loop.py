"""The loop of an account: bars fill its orders and mark its positions, decisions become its orders.

Decisions are worked out beforehand, a chunk at a time: a strategy sees bars and never its account, so what it decides
does not depend on what became of its orders. So this loop is the same for all strategies and compiled once; it is
plain Python as well, in which a short run is over before a compiler is done.
"""

from typing import Any

from numpy import rint

from backtest.curve import Numbers, Times
from backtest.stream import RATE, SPLIT
from strategies.interface import REQUESTS_MAX
from trading.assumptions.corporate_actions import apply_dividend, apply_split
from trading.book import QUANTA, currency_at, position_at
from trading.jit import compiles, compiles_inlined
from trading.ledger import fits, gross, set_rate
from trading.records import Records
from trading.step import advance, submit, want


@compiles_inlined
def run_alone(
    accounts: Records,
    views: Records,
    sessions: Times,
    exposures: Numbers,
    first: int,
    row: int,
    last: int,
    closes: Numbers,
    ends: Times,
    begin: int,
    times: Times,
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
        closes: Room for as many as there are rows.
        ends: The same, for sessions.
        begin: Row of the first place of those that follow.
        times: By row, written.
        equity: By row, written.
        cash: By row, written.
        exposure: By row, written.
    """
    account = accounts[0]
    home = currency_at(account, 0)
    position = position_at(account, 0)
    from_row = row
    columns(views[row:last], sessions[row:last], closes, ends, times[row - begin : last - begin])
    while row < last:
        calm = before_wake(views, row, last, position.wake) - row
        calm = next_wish(exposures[row - first : row - first + calm], position.want)
        if calm > 0:
            place = row - begin
            calm = over_marks(
                account, position, closes[row - from_row : row - from_row + calm], equity[place : place + calm],
                cash[place : place + calm], exposure[place : place + calm],
            )  # fmt: skip
            row += calm
            if row == last:
                break
        bar = views[row]
        advance(account, bar, row, ends[row - from_row])
        want(account, bar, row, exposures[row - first])
        equity[row - begin] = float(account.equity)
        cash[row - begin] = home.cash / QUANTA
        exposure[row - begin] = float(account.marked)
        row += 1
        if account.full != 0 or account.fault != 0:
            break
    in_units(equity[from_row - begin : row - begin], exposure[from_row - begin : row - begin])
    return row


@compiles_inlined
def columns(views: Records, sessions: Times, closes: Numbers, ends: Times, times: Times) -> None:
    """Gather what is needed of bars in columns, in one go: a bar here and there has to be waited for each time."""
    for place in range(len(views)):
        bar = views[place]
        closes[place] = bar.close
        times[place] = bar.end
        ends[place] = sessions[place]


@compiles_inlined
def before_wake(views: Records, row: int, last: int, wake: int) -> int:
    """The first row from `row` on whose bar ends at the moment `wake` (ns) or later; `last` if none does."""
    if views[row].end >= wake:
        return row
    if views[last - 1].end < wake:
        return last
    while row < last:
        middle = (row + last) // 2
        if views[middle].end < wake:
            row = middle + 1
        else:
            last = middle
    return last


@compiles_inlined
def next_wish(exposures: Numbers, want: float) -> int:
    """Place of the first exposure that is not what is wanted already; NaN keeps it. Their number if there is none."""
    for place in range(len(exposures)):
        # NaN is unequal to all, itself included.
        if exposures[place] == exposures[place] and exposures[place] != want:
            return place
    return len(exposures)


@compiles_inlined
def over_marks(account: Any, position: Any, closes: Numbers, equity: Numbers, cash: Numbers, exposure: Numbers) -> int:
    """Mark an account at closes on which nothing else happens; how many there are before one on which it does.

    They come to the same as one by one in `trading.step.passed`. Equity and the value of what is held are written in
    quanta. Without a way out of its loop, a processor does eight at a time.
    """
    bars = len(closes)
    counted = currency_at(account, 0).cash
    spendable = counted / QUANTA
    if position.lots == 0:
        total, value = float(account.equity), float(account.marked)
        for place in range(bars):
            equity[place] = total
            exposure[place] = value
    else:
        bars = marked(closes, position.factor, counted, account.floor, account.ceiling, equity, exposure)
        if bars == 0:
            return 0
        position.value = int(rint(position.factor * closes[bars - 1]))
        account.marked = position.value
        account.equity = counted + position.value
    for place in range(bars):
        cash[place] = spendable
    position.price = closes[bars - 1]
    return bars


@compiles_inlined
def marked(
    closes: Numbers, factor: float, counted: int, floor: int, ceiling: int, equity: Numbers, exposure: Numbers
) -> int:
    """Write equity and value at each close; how many there are before one at which the account has to be looked at."""
    calm = True
    for place in range(len(closes)):
        value = rint(factor * closes[place])
        total = counted + int(value)
        equity[place] = float(total)
        exposure[place] = value
        calm &= fits(2.0 * value) & (floor < total) & (total <= ceiling)
    if calm:
        return len(closes)
    for place in range(len(closes)):
        value = rint(factor * closes[place])
        if not (fits(2.0 * value) and floor < counted + int(value) <= ceiling):
            return place
    return len(closes)


@compiles_inlined
def in_units(equity: Numbers, exposure: Numbers) -> None:
    """Turn quanta into currency units, and the value that is held into a fraction of the equity; eight at a time."""
    for place in range(len(equity)):
        total, held = equity[place], abs(exposure[place])
        exposure[place] = held / total if held > 0.0 and total != 0.0 else 0.0
        equity[place] = total / QUANTA


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
