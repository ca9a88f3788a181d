"""Risk: which decisions become orders, what loss stops an account, and the kill switch."""

from math import nan
from typing import Any, Final

from market.bars import BarState
from trading.book import QUANTA, order_at, orders_of, position_at
from trading.jit import apart, compiles
from trading.ledger import gross
from trading.links import cancel_all, sweep
from trading.records import NEVER, Reason, Sizing, State
from trading.requests import close
from trading.sizing import REDUCE_ONLY, equity_at, lot_value, refuse, sign, wanted

NEVER_REACHED: Final = int(NEVER)
AT_ONCE: Final = -NEVER_REACHED
"""A position that wakes here is looked at on every bar."""


@compiles
def only_closes(order: Any) -> bool:
    """Whether an order can do nothing but make a position smaller; no rule but the data's stands in its way."""
    nothing = order.sizing == Sizing.TARGET and order.amount == 0.0
    return bool(nothing or order.sizing == Sizing.CLOSE or order.flag & REDUCE_ONLY != 0)


@compiles
def untrusted(account: Any, bar: Any, order: Any) -> bool:
    """Whether the bar that an order was decided on is forming, partial or late; the order notes which."""
    if bar.state == BarState.FORMING:
        refuse(order, Reason.BAR_FORMING.value, nan, nan)
        return True
    if bar.state == BarState.PARTIAL and account.partial_allowed == 0:
        refuse(order, Reason.BAR_PARTIAL.value, nan, nan)
        return True
    if 0 <= account.late_max < bar.late:
        refuse(order, Reason.BAR_LATE.value, bar.late, account.late_max)
        return True
    return False


@compiles
def too_many(account: Any, time: int, order: Any) -> bool:
    """Whether the window of the order-rate limit is full; counts the order if not. Windows are the clock's."""
    if account.orders_max <= 0:
        return False
    window = time // account.orders_window
    if window != account.window:
        account.window = window
        account.window_orders = 0
    if account.window_orders >= account.orders_max:
        refuse(order, Reason.ORDER_RATE.value, account.window_orders + 1, account.orders_max)
        return True
    account.window_orders += 1
    return False


@compiles
def too_large(account: Any, position: Any, order: Any, price: float) -> bool:
    """Whether an order would leave a position or an exposure above its limit, at the price of the decision."""
    apart()
    if account.limited == 0 or not price > 0.0:
        return False
    after = wanted(account, position, order, price)
    if abs(after) <= abs(position.lots) and sign(after) * sign(position.lots) >= 0:
        return False
    equity = equity_at(account, position, price)
    value = abs(after) * lot_value(account, position, price)
    allowed = min(account.position_max * equity, account.position_value_max * QUANTA)
    if value > allowed:
        refuse(order, Reason.MAX_POSITION.value, value / QUANTA, allowed / QUANTA)
        return True
    value += gross(account) - abs(position.value)
    allowed = account.exposure_max * equity
    if value > allowed:
        refuse(order, Reason.MAX_EXPOSURE.value, value / QUANTA, allowed / QUANTA)
        return True
    return False


@compiles
def stopped(account: Any, order: Any) -> bool:
    """Whether the account takes no new risk: killed, or a loss limit was reached."""
    if account.killed:
        refuse(order, Reason.KILLED.value, nan, nan)
        return True
    if account.tripped == Reason.MAX_DAILY_LOSS:
        refuse(order, account.tripped, 1.0 - account.equity / account.day_equity, account.daily_loss_max)
        return True
    if account.tripped == Reason.MAX_DRAWDOWN:
        refuse(order, account.tripped, 1.0 - account.equity / account.peak, account.drawdown_max)
        return True
    if account.tripped == Reason.MARGIN_CALL:
        refuse(order, Reason.MARGIN_CALL.value, account.equity / QUANTA, 0.0)
        return True
    return False


@compiles
def set_floor(account: Any) -> None:
    """Work out at which equity the step has to look: nothing is left, a loss limit is reached, or a peak is new."""
    floor = 0.0
    if account.tripped == Reason.NONE:
        if account.daily_loss_max < 1.0:
            floor = max(floor, account.day_equity * (1.0 - account.daily_loss_max))
        if account.drawdown_max < 1.0:
            floor = max(floor, account.peak * (1.0 - account.drawdown_max))
    account.floor = int(floor)
    account.ceiling = account.peak if account.drawdown_max < 1.0 else NEVER_REACHED


@compiles
def new_day(account: Any, session_end: int) -> None:
    """A session begins: the daily loss counts from the equity now, and a day stopped by it is over."""
    account.session_end = session_end
    account.day_equity = account.equity
    if account.tripped == Reason.MAX_DAILY_LOSS:
        account.tripped = Reason.NONE
    set_floor(account)


@compiles
def look(account: Any, time: int, row: int) -> None:
    """Hold the equity against the loss limits, after a mark."""
    apart()
    account.peak = max(account.peak, account.equity)
    if account.equity <= 0:
        if account.tripped != Reason.MARGIN_CALL:
            account.tripped = Reason.MARGIN_CALL
            stop_trading(account, Reason.MARGIN_CALL.value, True, time, row)
    elif account.tripped == Reason.NONE:
        reached = Reason.NONE.value
        if account.equity < account.day_equity * (1.0 - account.daily_loss_max):
            reached = Reason.MAX_DAILY_LOSS.value
        if account.equity < account.peak * (1.0 - account.drawdown_max):
            reached = Reason.MAX_DRAWDOWN.value
        if reached != Reason.NONE:
            account.tripped = reached
            if account.flattens:
                stop_trading(account, reached, True, time, row)
    set_floor(account)


@compiles
def flatten(account: Any, reason: int, time: int, row: int) -> None:
    """Close every position at the next price: orders of the step's own, which no limit refuses."""
    for place in range(account.symbols):
        position = position_at(account, place)
        flatten_one(account, position, reason, time, row)


@compiles
def flatten_one(account: Any, position: Any, reason: int, time: int, row: int) -> None:
    """Close one position at the next price, if anything is held."""
    apart()
    place = account.working
    if position.lots == 0 or place >= account.places:
        return
    close(orders_of(account, place, 1), 0, position.symbol)
    order = order_at(account, place)
    order.id = account.next_id
    order.placed_at = time
    order.row = row
    order.reference = position.price
    order.state = State.WORKING
    order.reason = reason
    account.next_id += 1
    account.working = place + 1
    position.orders += 1
    position.wake = AT_ONCE


@compiles
def stop_trading(account: Any, reason: int, closes: bool, time: int, row: int) -> None:
    """Cancel all that works and, if asked for, close all that is held."""
    apart()
    cancel_all(account, reason, time)
    sweep(account)
    if closes:
        flatten(account, reason, time, row)


@compiles
def kill(account: Any, closes: bool, time: int, row: int) -> None:
    """Turn the kill switch on: nothing works any more, and no decision becomes an order until `revive`.

    Args:
        account: The account.
        closes: Close every position at the next price.
        time: ns.
        row: The caller's number of the moment.
    """
    account.killed = 1
    cancel_all(account, Reason.KILLED.value, time)
    sweep(account)
    if closes:
        flatten(account, Reason.KILL_SWITCH.value, time, row)


@compiles
def revive(account: Any) -> None:
    """Turn the kill switch off, and forget a loss limit that was reached: losses count from the equity now."""
    account.killed = 0
    account.tripped = Reason.NONE
    account.peak = account.equity
    account.day_equity = account.equity
    set_floor(account)
