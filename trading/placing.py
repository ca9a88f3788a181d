"""Requests become orders: held against what there is, against the rules of risk, and written to the book."""

from math import inf, nan
from typing import Any, Final

from trading import risk
from trading.assumptions.lots import on_tick
from trading.book import KEEP_ORDERS, currency_at, done_at, order_at, orders_of, position_at
from trading.jit import apart, compiles
from trading.links import end, ended, finish, live, sweep
from trading.memory import copy_record
from trading.records import Kind, Liquidity, OrderFlag, Phase, Reason, Records, Side, Sizing, State, Tif
from trading.requests import target
from trading.risk import AT_ONCE
from trading.sizing import refuse
from trading.working import execute

TRAIL_FRACTION: Final = int(OrderFlag.TRAIL_FRACTION)
_ASKABLE: Final = int(OrderFlag.REDUCE_ONLY | OrderFlag.TRAIL_FRACTION | OrderFlag.STOP_LOSS)


@compiles
def price_like(price: float) -> bool:
    """Whether a number can be a price: finite and above 0."""
    return bool(0.0 < price < inf)


@compiles
def understood(order: Any) -> bool:
    """Whether a request asks for something that there is; the request notes what is wrong."""
    apart()
    sided = order.side in (Side.BUY, Side.SELL)
    sideless = order.sizing in (Sizing.TARGET, Sizing.CLOSE)
    if (
        order.kind > Kind.CANCEL
        or order.sizing > Sizing.PARENT
        or order.tif > Tif.GTD
        or (order.side != Side.NONE and not sided)
        or (order.side == Side.NONE and not (sideless and order.kind == Kind.MARKET) and order.kind != Kind.CANCEL)
        or (order.sizing == Sizing.TARGET and order.kind != Kind.MARKET)
        or ((order.sizing == Sizing.PARENT) != (order.parent != 0))
    ):
        refuse(order, Reason.BAD_REQUEST.value, nan, nan)
        return False
    if order.kind == Kind.CANCEL:
        return True
    sane = abs(order.amount) < inf if order.sizing == Sizing.TARGET else price_like(order.amount)
    if not sane or (order.sizing == Sizing.VOLATILITY and not price_like(order.volatility)):
        refuse(order, Reason.BAD_SIZE.value, order.volatility if sane else order.amount, 0.0)
        return False
    limited = order.kind in (Kind.LIMIT, Kind.STOP_LIMIT, Kind.TAKE_PROFIT)
    stopping = order.kind in (Kind.STOP, Kind.STOP_LIMIT)
    price = 1.0
    if limited and not price_like(order.limit):
        price = order.limit
    if stopping and not price_like(order.stop):
        price = order.stop
    if order.kind == Kind.TRAILING_STOP:
        fraction = order.flag & TRAIL_FRACTION != 0
        if not price_like(order.trail) or (fraction and order.trail >= 1.0):
            price = order.trail
            if price_like(price):
                refuse(order, Reason.BAD_PRICE.value, price, 1.0)
                return False
    if not price_like(price):
        refuse(order, Reason.BAD_PRICE.value, price, 0.0)
        return False
    return True


@compiles
def acceptable(account: Any, bar: Any, order: Any) -> bool:
    """Whether a request becomes an order, by the account's state and the rules of risk; the request notes why not."""
    apart()
    if risk.untrusted(account, bar, order):
        return False
    closes = risk.only_closes(order)
    if account.killed or (not closes and risk.stopped(account, order)):
        risk.stopped(account, order)
        return False
    # A place for each symbol is kept for the orders that flatten it.
    room = account.places - account.symbols
    if account.working >= room:
        refuse(order, Reason.TOO_MANY_ORDERS.value, account.working + 1, room)
        return False
    position = position_at(account, order.symbol)
    rate = currency_at(account, position.currency).rate
    if not price_like(rate):
        refuse(order, Reason.NO_RATE.value, rate, nan)
        return False
    if closes or order.sizing == Sizing.PARENT:
        return True
    if risk.too_many(account, bar.end, order):
        return False
    price = order.limit if price_like(order.limit) else position.price
    if price_like(order.stop):
        price = order.stop
    return not risk.too_large(account, position, order, price)


@compiles
def log_refused(account: Any, order: Any, time: int, state: int) -> None:
    """Write a request that becomes no order to the log."""
    apart()
    finish(order, state, order.reason, time)
    if account.keep & KEEP_ORDERS and account.done < account.room:
        copy_record(done_at(account, account.done), order)
        account.done += 1


@compiles
def cancel_tagged(account: Any, symbol: int, tag: int, time: int) -> None:
    """Cancel a symbol's orders with this tag, all of them if it is 0."""
    for place in range(account.working):
        order = order_at(account, place)
        if order.symbol == symbol and not ended(order) and (not tag or order.tag == tag):
            end(account, place, State.CANCELLED.value, Reason.CANCELLED.value, time)


@compiles
def replace_target(account: Any, symbol: int, time: int) -> None:
    """Cancel what an older decision on the exposure in a symbol has left working."""
    for place in range(account.working):
        order = order_at(account, place)
        if order.symbol == symbol and order.sizing == Sizing.TARGET and live(order):
            end(account, place, State.CANCELLED.value, Reason.REPLACED.value, time)


@compiles
def parent_works(account: Any, parent: int) -> bool:
    """Whether the order with this id is working, and has no parent of its own."""
    for place in range(account.working):
        order = order_at(account, place)
        if order.id == parent:
            return bool(order.parent == 0 and not ended(order))
    return False


@compiles
def begin(account: Any, bar: Any, row: int, order: Any) -> None:
    """Give a request its id, and take away what only the step may say."""
    order.id = account.next_id
    account.next_id += 1
    order.placed_at = bar.end
    order.row = row
    order.lots = 0
    order.lots_done = 0
    order.filled = 0.0
    order.fees = 0.0
    order.units = nan
    order.average = nan
    order.found = nan
    order.allowed = nan
    order.done_at = 0
    order.reason = Reason.NONE
    order.flag &= _ASKABLE


@compiles
def place_one(account: Any, bar: Any, row: int, order: Any, first_id: int) -> bool:
    """Turn one request into an order; False if it was refused, or was no order."""
    apart()
    time = bar.end
    begin(account, bar, row, order)
    if order.symbol >= account.symbols:
        refuse(order, Reason.UNKNOWN_SYMBOL.value, order.symbol, account.symbols - 1)
    elif understood(order) and order.kind == Kind.CANCEL:
        cancel_tagged(account, order.symbol, order.tag, time)
        return False
    if order.reason == Reason.NONE:
        acceptable(account, bar, order)
    if order.reason != Reason.NONE:
        log_refused(account, order, time, State.REJECTED.value)
        return False
    if order.parent != 0:
        order.parent += first_id - 1
        if not parent_works(account, order.parent):
            order.reason = Reason.PARENT
            log_refused(account, order, time, State.CANCELLED.value)
            return False
    if order.group != 0:
        order.group += first_id - 1
    if order.sizing == Sizing.TARGET:
        replace_target(account, order.symbol, time)
    # Prices that lie between two ticks are moved against the order.
    position = position_at(account, order.symbol)
    order.limit = on_tick(position, order.limit, order.side == Side.SELL)
    order.stop = on_tick(position, order.stop, order.side == Side.BUY)
    copy_record(order_at(account, account.working), order)
    put(account, account.working)
    return True


@compiles
def put(account: Any, place: int) -> None:
    """Let the order that was written to the next free place work."""
    order = order_at(account, place)
    position = position_at(account, order.symbol)
    order.reference = position.price
    order.best = position.price
    order.state = State.NEW if order.parent != 0 else State.WORKING
    account.working = place + 1
    position.orders += 1
    position.wake = AT_ONCE


@compiles
def place_all(account: Any, bar: Any, row: int, requests: Records, n: int) -> None:
    """Place the requests `[0, n)` that were decided on a bar's close; what is refused is logged with its reason."""
    apart()
    first_id = account.next_id
    for place in range(min(n, requests.size)):
        order = requests[place]
        if n > requests.size:
            order.id = account.next_id
            account.next_id += 1
            order.placed_at = bar.end
            order.row = row
            refuse(order, Reason.TOO_MANY_ORDERS.value, n, requests.size)
            log_refused(account, order, bar.end, State.REJECTED.value)
            continue
        before = account.working
        if place_one(account, bar, row, order, first_id) and account.at_close and order.symbol == bar.symbol:
            at_this_close(account, bar, row, before)
    sweep(account)


@compiles
def at_this_close(account: Any, bar: Any, row: int, place: int) -> None:
    """Fill a market order at the close on which it was decided, where the fill rule is that."""
    order = order_at(account, place)
    if order.kind == Kind.MARKET and live(order):
        execute(account, place, bar.volume, bar.start, row, bar.close, Liquidity.TAKER.value, Phase.CLOSE.value)


@compiles
def place_target(account: Any, bar: Any, row: int, exposure: float) -> int:
    """Place one request for an exposure; the reason if it was refused, 0 if not."""
    apart()
    place = account.working
    # The next free place of the book is where the request is written: it becomes the order where it stands.
    target(orders_of(account, place, 1), 0, bar.symbol, exposure)
    order = order_at(account, place)
    begin(account, bar, row, order)
    if not abs(exposure) < inf:
        refuse(order, Reason.BAD_SIZE.value, exposure, 0.0)
    elif acceptable(account, bar, order):
        if place > 0:
            replace_target(account, bar.symbol, bar.end)
        put(account, place)
        if account.at_close:
            at_this_close(account, bar, row, place)
        if account.at_close or place > 0:
            sweep(account)
        return 0
    reason = int(order.reason)
    log_refused(account, order, bar.end, State.REJECTED.value)
    return reason
