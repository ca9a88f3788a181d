"""The one step: what a bar or a tick does to an account, and what a decision on its close asks of it.

```python
advance(account, bar, row, session_end)  # fills, expiry, session end, mark
exposure = decide(state, bar, parameters)
want(account, bar, row, exposure)  # or: submit(account, bar, row, requests, n)
```

Backtest, sweep and paper call these three and nothing else, so that the same bars and ticks in the same order come to
the same orders, fills and equity. All of it compiles with the loop that calls it, and is plain Python without Numba.
After each step the caller looks at `account.fault` (stop: the numbers cannot be trusted) and `account.full` (empty the
logs with `trading.snapshot.drained` before the next step).
"""

from math import inf, nan
from typing import Any

from numpy import rint

from trading.assumptions.borrow import YEAR_NS
from trading.assumptions.session_end import last_of_session, overstayed
from trading.book import currency_at, least_room, position_at
from trading.filling import accrue
from trading.jit import apart, compiles, compiles_inlined
from trading.ledger import Fault, audit, equity_now, mark
from trading.links import sweep
from trading.placing import place_all, place_target
from trading.records import Liquidity, Phase, Reason, Records
from trading.risk import AT_ONCE, NEVER_REACHED, flatten_one, look, new_day
from trading.working import execute, over_the_bar


@compiles_inlined
def advance(account: Any, bar: Any, row: int, session_end: int) -> None:
    """Take an account over one bar or tick of one symbol: fills, expiry, session end, mark.

    Args:
        account: The account.
        bar: `VIEW`, prices as traded; bars of one symbol come in order and do not overlap.
        row: The caller's number of the bar, which fills and trades repeat.
        session_end: End of the session that the bar is in, ns; the largest number if sessions do not matter.
    """
    position = position_at(account, bar.symbol)
    if bar.end >= position.wake:
        wake(account, bar, row, session_end)
    elif position.lots != 0:
        mark(account, position, bar.close)
        if account.equity <= account.floor or account.equity > account.ceiling:
            look(account, bar.end, row)
    else:
        position.price = bar.close


@compiles
def wake(account: Any, bar: Any, row: int, session_end: int) -> None:
    """Take the whole of a step: for bars on which more may happen than a mark."""
    apart()
    position = position_at(account, bar.symbol)
    if not 0.0 < bar.low <= bar.high < inf:
        account.fault = Fault.PRICE
        return
    if account.session_end <= bar.start:
        new_day(account, session_end)
    if overstayed(position, bar):
        close_now(account, bar, row, bar.open, Phase.OPEN.value)
    position.session_end = session_end
    if position.orders > 0:
        over_the_bar(account, bar, row, session_end)
        sweep(account)
    if last_of_session(position, bar, session_end):
        close_now(account, bar, row, bar.close, Phase.CLOSE.value)
    mark(account, position, bar.close)
    if bar.end >= session_end:
        accrue(account, position, bar.end)
        charge_interest(account, bar.end)
    if account.equity <= account.floor or account.equity > account.ceiling:
        look(account, bar.end, row)
    audit(account)
    account.time = bar.end
    if position.orders > 0 or (position.daily and bar.end >= session_end):
        position.wake = AT_ONCE
    else:
        position.wake = session_end if position.daily else NEVER_REACHED
    check_room(account)


@compiles
def close_now(account: Any, bar: Any, row: int, price: float, phase: int) -> None:
    """Close a position because its session is over, whatever volume there is; the strategy may enter it anew."""
    place = account.working
    position = position_at(account, bar.symbol)
    flatten_one(account, position, Reason.SESSION_END.value, bar.start, row)
    if account.working > place:
        account.available = position.lots if position.lots > 0 else -position.lots
        execute(account, place, bar.volume, bar.start, row, price, Liquidity.TAKER.value, phase)
        sweep(account)
    position.want = 0.0


@compiles
def check_room(account: Any) -> None:
    """Say when the logs could not hold all of another step."""
    least = least_room(account.places)
    full = account.done > account.room - least or account.fills > account.room - least
    account.full = full or account.trades > account.room - least


@compiles_inlined
def want(account: Any, bar: Any, row: int, exposure: float) -> None:
    """Hold an exposure from the next price on, if the strategy has changed its mind.

    Args:
        account: The account.
        bar: The closed bar that it was decided on.
        row: The caller's number of it.
        exposure: Fraction of the equity, below 0 for short; NaN leaves everything as it is.
    """
    # NaN is unequal to all, itself included.
    if exposure != position_at(account, bar.symbol).want and exposure == exposure:  # noqa: PLR0124
        change(account, bar, row, exposure)


@compiles
def change(account: Any, bar: Any, row: int, exposure: float) -> None:
    """Place the order for a new exposure. Where only the bar was not to be trusted, the next one is asked again."""
    apart()
    position = position_at(account, bar.symbol)
    reason = place_target(account, bar, row, exposure)
    untrusted = reason in (Reason.BAR_FORMING, Reason.BAR_PARTIAL, Reason.BAR_LATE)
    position.want = nan if untrusted else exposure
    check_room(account)


@compiles
def submit(account: Any, bar: Any, row: int, requests: Records, n: int) -> None:
    """Place the orders that a strategy asked for on a bar's close.

    Args:
        account: The account.
        bar: The closed bar that they were decided on.
        row: The caller's number of it.
        requests: `ORDER` records by `trading.requests`, overwritten; no more room than `Book.orders` has.
        n: How many it asked for; more than there is room for refuses them all.
    """
    if n > 0:
        place_all(account, bar, row, requests, n)
        check_room(account)


@compiles
def charge_interest(account: Any, time: int) -> None:
    """Charge a year's interest on negative cash for the time since it was last charged."""
    home = currency_at(account, 0)
    if account.interest > 0.0 and home.cash < 0 and account.interest_to < time:
        owed = int(rint(-home.cash * account.interest * (float(time - account.interest_to) / YEAR_NS)))
        home.cash -= owed
        home.carry += owed
        account.equity = equity_now(account)
    account.interest_to = time
