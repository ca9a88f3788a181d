"""The working orders of one symbol over one bar: what happens next, until nothing does."""

from math import isnan, nan
from typing import Any

from trading.assumptions import fills
from trading.assumptions.fees import pass_days
from trading.assumptions.fills import INSIDE, TESTED, TRIGGERED
from trading.assumptions.lots import units_of
from trading.assumptions.minimum import too_small
from trading.assumptions.slippage import fillable, impacted, slipped
from trading.book import order_at, position_at
from trading.filling import fill
from trading.jit import apart, compiles
from trading.ledger import Fault
from trading.links import end, ended, filled, live, nothing_to_close
from trading.records import Kind, Liquidity, OrderFlag, Phase, Reason, Side, Sizing, State, Tif
from trading.sizing import REDUCE_ONLY, refuse, sign, sized

SIZED = int(OrderFlag.SIZED)
STOP_LOSS = int(OrderFlag.STOP_LOSS)
_NOT_INSIDE = 0xFF ^ INSIDE


@compiles
def why(order: Any) -> int:
    """The reason that a fill of an order has."""
    if order.reason != Reason.NONE:
        # The step's own orders, which flatten an account, say why from the beginning.
        return int(order.reason)
    if order.kind == Kind.MARKET:
        return Reason.SIGNAL.value
    if order.kind == Kind.LIMIT:
        return Reason.LIMIT.value
    if order.kind == Kind.STOP:
        return Reason.STOP_LOSS.value if order.flag & STOP_LOSS else Reason.STOP.value
    if order.kind == Kind.STOP_LIMIT:
        return Reason.STOP_LIMIT.value
    if order.kind == Kind.TRAILING_STOP:
        return Reason.TRAILING_STOP.value
    return Reason.TAKE_PROFIT.value


@compiles
def capped(order: Any, price: float) -> float:
    """A price that is never beyond the order's limit."""
    if isnan(order.limit):
        return price
    return float(min(price, order.limit) if order.side == Side.BUY else max(price, order.limit))


@compiles
def execute(
    account: Any, place: int, volume: float, time: int, row: int, raw: float, liquidity: int, phase: int
) -> None:
    """Fill an order at a price of the market, as far as it can be; or end it, with the reason."""
    apart()
    order = order_at(account, place)
    position = position_at(account, order.symbol)
    pass_days(account, position, time)
    held = position.lots
    own = order.reason
    price = raw
    if order.flag & SIZED == 0:
        side = order.side
        if side == Side.NONE:
            # Which side it is follows from the size; the price of that side is the better guess of the two.
            enlarging = order.sizing == Sizing.TARGET and order.amount != 0.0
            side = sign(order.amount) if enlarging else -sign(held)
        if liquidity == Liquidity.TAKER:
            price = capped(order, impacted(position, side, raw, slipped(position, side, raw), 0, volume))
        order.reason = Reason.NONE
        change = sized(account, position, order, price)
        if change != 0 and position.impact > 0.0 and liquidity == Liquidity.TAKER:
            # The size moves the price, and the price the size: what is paid for is the smaller one.
            price = impacted(position, side, raw, slipped(position, side, raw), abs(change), volume)
            change = sized(account, position, order, capped(order, price))
        if change == 0:
            done = order.reason in (Reason.POSITION_CLOSED, Reason.ALREADY_DONE)
            end(account, place, State.CANCELLED.value if done else State.REJECTED.value, order.reason, time)
            return
        order.reason = own
        order.side = Side.BUY if change > 0 else Side.SELL
        order.lots = abs(change)
        order.units = units_of(position, order.lots)
        order.flag |= SIZED
        if too_small(position, change, price):
            refuse(order, Reason.MINIMUM_NOTIONAL.value, abs(change) * position.lot * price, position.minimum)
            end(account, place, State.REJECTED.value, order.reason, time)
            return
    before = order.lots_done
    rest = order.lots - before
    if rest <= 0:
        # The other exit, or a split, has left it nothing.
        end(account, place, State.CANCELLED.value, Reason.POSITION_CLOSED.value, time)
        return
    lots = rest
    if order.flag & REDUCE_ONLY:
        lots = min(lots, abs(held)) if held * int(order.side) < 0 else 0
        if lots <= 0:
            end(account, place, State.CANCELLED.value, Reason.POSITION_CLOSED.value, time)
            return
    if phase != Phase.CLOSE:
        lots = min(lots, account.available)
        if lots <= 0:
            return
        account.available -= lots
    slippage = 0.0
    if liquidity == Liquidity.TAKER:
        price = slipped(position, order.side, raw)
        price = capped(order, impacted(position, order.side, raw, price, lots, volume))
        slippage = abs(price - raw)
    else:
        price = raw
    reason = why(order)
    if not fill(account, position, order, int(order.side) * lots, price, slippage, time, row, reason, liquidity, phase):
        return
    if before == 0:
        order.average = price
    else:
        order.average = (order.average * before + price * lots) / (before + lots)
    order.lots_done = before + lots
    order.filled = units_of(position, order.lots_done)
    if lots == rest:
        order.state = State.FILLED
        order.reason = reason
        # What fills at the close that it was decided on is done then, in a bar that began before.
        order.done_at = max(time, order.placed_at)
    else:
        order.state = State.PARTIALLY_FILLED
    if account.working > 1:
        filled(account, position, place, lots, price, phase == Phase.INSIDE, time)
    if held != 0 and sign(position.lots) != sign(held):
        nothing_to_close(account, order.symbol, sign(held), time)


@compiles
def eligible(order: Any, bar: Any) -> bool:
    """Whether an order is in the market of this bar: of its symbol, and placed before it began."""
    return order.symbol == bar.symbol and live(order) and order.placed_at <= bar.start


@compiles
def first_stop(account: Any, bar: Any) -> tuple[int, float]:
    """The first order whose stop the bar reaches inside, and the price; place -1 if none."""
    for place in range(account.working):
        order = order_at(account, place)
        if eligible(order, bar) and fills.waits_for_stop(order):
            price = fills.stop_inside(order, bar)
            if not isnan(price):
                order.flag |= TRIGGERED
                if order.kind != Kind.STOP_LIMIT:
                    return place, price
                order.flag |= INSIDE
                if fills.better(order.side, order.limit, price, False):
                    return place, price
    return -1, nan


@compiles
def first_limit(account: Any, bar: Any, through: bool) -> int:
    """The first order whose limit fills inside the bar, -1 if none."""
    for place in range(account.working):
        order = order_at(account, place)
        resting = order.kind in (Kind.LIMIT, Kind.TAKE_PROFIT, Kind.STOP_LIMIT)
        if (
            resting
            and eligible(order, bar)
            and not fills.waits_for_stop(order)
            and fills.limit_inside(order, bar, through)
        ):
            return place
    return -1


@compiles
def first_trail(account: Any, bar: Any) -> tuple[int, float]:
    """The first trailing stop that the bar's own best price moves beyond its close, and the price; -1 if none."""
    for place in range(account.working):
        order = order_at(account, place)
        if order.kind == Kind.TRAILING_STOP and eligible(order, bar) and fills.waits_for_stop(order):
            price = fills.trailed_inside(order, bar)
            if not isnan(price):
                order.flag |= TRIGGERED
                return place, price
    return -1, nan


@compiles
def over_the_bar(account: Any, bar: Any, row: int, session_end: int) -> None:
    """Fill, expire and advance a symbol's working orders over one bar."""
    apart()
    position = position_at(account, bar.symbol)
    through = position.through != 0
    account.available = fillable(position, bar.volume)

    for place in range(account.working):
        order = order_at(account, place)
        if order.symbol == bar.symbol and not ended(order):
            if order.tif == Tif.DAY and order.expires_at == 0 and order.placed_at <= bar.start:
                order.expires_at = session_end
            if order.expires_at != 0 and order.expires_at <= bar.start:
                expire(account, place, order.expires_at)

    place = 0
    while place < account.working and account.fault == Fault.NONE:
        order = order_at(account, place)
        if eligible(order, bar) and fills.at_open(order, bar, through):
            resting = order.flag & TESTED != 0 and order.kind in (Kind.LIMIT, Kind.TAKE_PROFIT)
            liquidity = Liquidity.MAKER.value if resting else Liquidity.TAKER.value
            execute(account, place, bar.volume, bar.start, row, bar.open, liquidity, Phase.OPEN.value)
        place += 1
    if account.working == 1 and ended(order_at(account, 0)):
        return

    # A tick is over at its open.
    while bar.high > bar.low and account.fault == Fault.NONE:
        place, price = first_stop(account, bar)
        liquidity = Liquidity.TAKER.value
        if place < 0:
            place = first_limit(account, bar, through) if account.available > 0 else -1
            if place >= 0:
                price = order_at(account, place).limit
                liquidity = Liquidity.MAKER.value
            else:
                place, price = first_trail(account, bar)
        if place < 0:
            break
        execute(account, place, bar.volume, bar.start, row, price, liquidity, Phase.INSIDE.value)

    for place in range(account.working):
        order = order_at(account, place)
        if not eligible(order, bar):
            continue
        if order.kind == Kind.TRAILING_STOP:
            extreme = bar.low if order.side == Side.BUY else bar.high
            order.best = fills.followed(order, bar.close if order.flag & INSIDE else extreme)
        order.flag = (order.flag | TESTED) & _NOT_INSIDE
        if order.expires_at != 0 and order.expires_at <= bar.end:
            expire(account, place, order.expires_at)


@compiles
def expire(account: Any, place: int, time: int) -> None:
    """End an order whose time is over."""
    reason = Reason.DAY_OVER.value if order_at(account, place).tif == Tif.DAY else Reason.TIME_OVER.value
    end(account, place, State.EXPIRED.value, reason, time)
