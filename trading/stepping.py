"""The parts of a step that do more than a mark: a bar on which orders work, and a decision that becomes orders."""

from math import inf, nan
from typing import Any

from numpy import rint

from trading.assumptions.borrow import YEAR_NS
from trading.assumptions.session_end import last_of_session, overstayed
from trading.book import currency_at, least_room, position_at
from trading.filling import accrue
from trading.jit import apart, compiles
from trading.ledger import Fault, audit, equity_now, mark
from trading.links import sweep
from trading.placing import place_all, place_target
from trading.records import Liquidity, Phase, Reason, Records
from trading.risk import AT_ONCE, NEVER_REACHED, flatten_one, look, new_day
from trading.working import execute, over_the_bar


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
    if position.session_end <= bar.start:
        # Ticks have no last one of a session: what it cost to hold through it is paid on the next one's first.
        accrue(account, position, bar.start)
        charge_interest(account, bar.start)
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


@compiles
def charge_interest(account: Any, time: int) -> None:
    """Charge a year's interest on negative cash for the time since it was last charged."""
    home = currency_at(account, 0)
    if account.interest_to == AT_ONCE:
        account.interest_to = time
    if account.interest > 0.0 and home.cash < 0 and account.interest_to < time:
        owed = int(rint(-home.cash * account.interest * (float(time - account.interest_to) / YEAR_NS)))
        home.cash -= owed
        home.carry += owed
        account.equity = equity_now(account)
    account.interest_to = time


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
def place(account: Any, bar: Any, row: int, requests: Records, n: int) -> None:
    """Place what a strategy asked for."""
    apart()
    place_all(account, bar, row, requests, n)
    check_room(account)
