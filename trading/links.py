"""What the end or a fill of one order means for others: brackets, groups, and exits that have nothing left to close."""

from typing import Any

from trading.assumptions.lots import units_of
from trading.book import KEEP_ORDERS, done_at, order_at, position_at
from trading.jit import apart, compiles
from trading.memory import copy_record
from trading.records import OrderFlag, Reason, Sizing, State
from trading.sizing import REDUCE_ONLY

INSIDE = int(OrderFlag.INSIDE)
SIZED = int(OrderFlag.SIZED)


@compiles
def ended(order: Any) -> bool:
    """Whether an order is filled, cancelled, rejected or expired."""
    return bool(order.state >= State.FILLED)


@compiles
def live(order: Any) -> bool:
    """Whether an order is in the market."""
    return bool(order.state in (State.WORKING, State.PARTIALLY_FILLED))


@compiles
def finish(order: Any, state: int, reason: int, time: int) -> None:
    """End one order, without regard to others."""
    order.state = state
    order.reason = reason
    order.done_at = time


@compiles
def end(account: Any, place: int, state: int, reason: int, time: int) -> None:
    """End an order; the exits of an entry that never filled end with it."""
    apart()
    order = order_at(account, place)
    finish(order, state, reason, time)
    if order.filled > 0.0:
        return
    for other in range(place + 1, account.working):
        child = order_at(account, other)
        if child.parent == order.id and child.state == State.NEW:
            finish(child, State.CANCELLED.value, Reason.PARENT.value, time)


@compiles
def filled(account: Any, position: Any, place: int, lots: int, price: float, inside: bool, time: int) -> None:
    """Carry a fill of an order over to its exits, its entry and its group."""
    apart()
    order = order_at(account, place)
    complete = order.state == State.FILLED
    for other in range(account.working):
        linked = order_at(account, other)
        if other == place or ended(linked):
            continue
        if linked.parent == order.id:
            if linked.state == State.NEW:
                linked.state = State.WORKING
                linked.reference = price
                linked.best = price
                linked.lots = 0
                if inside:
                    linked.flag |= INSIDE
            if linked.sizing == Sizing.PARENT:
                linked.lots += lots
                linked.units = units_of(position, linked.lots)
                linked.flag |= SIZED
        elif order.group != 0 and linked.group == order.group:
            if complete or linked.flag & REDUCE_ONLY == 0:
                end(account, other, State.CANCELLED.value, Reason.OCO.value, time)
            elif linked.flag & SIZED:
                # A part of the exit is done, and only the rest is left for the other one to close.
                linked.lots -= lots
                linked.units = units_of(position, linked.lots)
        elif complete and order.parent != 0 and linked.id == order.parent:
            # The exit is done: what has not been entered yet must not be.
            end(account, other, State.CANCELLED.value, Reason.OCO.value, time)


@compiles
def nothing_to_close(account: Any, symbol: int, side: int, time: int) -> None:
    """Cancel the exits that would have closed a position of this side, which is no more."""
    apart()
    for place in range(account.working):
        order = order_at(account, place)
        if order.symbol == symbol and live(order) and order.flag & REDUCE_ONLY and int(order.side) * side < 0:
            end(account, place, State.CANCELLED.value, Reason.POSITION_CLOSED.value, time)


@compiles
def cancel_all(account: Any, reason: int, time: int) -> None:
    """Cancel every working order of the account."""
    for place in range(account.working):
        if not ended(order_at(account, place)):
            end(account, place, State.CANCELLED.value, reason, time)


@compiles
def sweep(account: Any) -> None:
    """Move the orders that have ended to the log, and close the ranks."""
    apart()
    kept = 0
    for place in range(account.working):
        order = order_at(account, place)
        if ended(order):
            position_at(account, order.symbol).orders -= 1
            if account.keep & KEEP_ORDERS:
                copy_record(done_at(account, account.done), order)
                account.done += 1
        else:
            if kept != place:
                copy_record(order_at(account, kept), order)
            kept += 1
    account.working = kept
