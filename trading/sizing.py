"""From an order's size to lots: what was wanted, and what cash, leverage and limits leave of it."""

from math import nan
from typing import Any

from trading.assumptions.fees import fee_fraction
from trading.assumptions.lots import whole_lots
from trading.book import LOTS_MAX, QUANTA, currency_at
from trading.jit import apart, compiles
from trading.ledger import gross
from trading.records import Liquidity, OrderFlag, Reason, Sizing

REDUCE_ONLY = int(OrderFlag.REDUCE_ONLY)
TURNED = 1.0 - 2.0**-52


@compiles
def sign(number: float) -> int:
    """-1, 0 or 1."""
    return int(number > 0) - int(number < 0)


@compiles
def refuse(order: Any, reason: int, found: float, allowed: float) -> None:
    """Note why an order cannot be; whoever asked ends it."""
    order.reason = reason
    order.found = found
    order.allowed = allowed


@compiles
def equity_at(account: Any, position: Any, price: float) -> float:
    """Equity with one position valued at a price of its own, quanta of the account's currency."""
    rest = currency_at(account, 0).cash + account.marked - position.value
    if position.lots == 0:
        return float(rest)
    return float(rest + position.lots * position.lot_quanta * price * currency_at(account, position.currency).rate)


@compiles
def lot_value(account: Any, position: Any, price: float) -> float:
    """Value of one lot, quanta of the account's currency."""
    return float(position.lot_quanta * price * currency_at(account, position.currency).rate)


@compiles
def lot_cost(account: Any, position: Any, value: float) -> float:
    """What one more lot of this value takes, fees by size included, quanta."""
    fraction = max(fee_fraction(account, position, Liquidity.TAKER.value), 0.0)
    by_unit = position.fee_unit * position.lot_quanta * currency_at(account, position.currency).rate
    return float(value * (1.0 + fraction) + by_unit)


@compiles
def once(account: Any, position: Any) -> float:
    """What an order costs whatever its size, quanta."""
    least = max(position.fee_fixed, position.fee_least)
    return float(least * QUANTA * currency_at(account, position.currency).rate)


@compiles
def equity_free(account: Any, position: Any, price: float, side: int) -> float:
    """Equity that an order has to spend, quanta: at its price, less what it costs once and to close the other side."""
    equity = equity_at(account, position, price) - once(account, position)
    if position.lots * side < 0:
        value = lot_value(account, position, price)
        equity -= abs(position.lots) * (lot_cost(account, position, value) - value)
        # What turns a position spends what it gets for it in the same moment, to a rounding: of an exact number of
        # lots the last one is left.
        equity *= TURNED
    return float(equity)


@compiles
def wanted(account: Any, position: Any, order: Any, price: float) -> int:
    """Lots to be held after an order, below 0 if short, were there no limits: its size in lots, with what is held.

    Fees are kept back, so that all of the equity buys what it can pay for.
    """
    apart()
    held = position.lots
    if order.sizing == Sizing.CLOSE:
        closing = abs(held) if order.amount >= 1.0 else whole_lots(abs(held) * order.amount)
        return int(held - sign(held) * closing)
    if order.sizing == Sizing.UNITS:
        # Half a billionth of a lot is the error of a division, not a size.
        return int(held + int(order.side) * whole_lots(order.amount / position.lot + 5e-10))
    value = lot_value(account, position, price)
    if order.sizing == Sizing.TARGET:
        if order.amount == 0.0:
            return 0
        side = sign(order.amount)
        free = equity_free(account, position, price, side)
        return int(side * whole_lots(abs(order.amount) * free / lot_cost(account, position, value)))
    if order.sizing == Sizing.VOLATILITY:
        risked = order.amount * equity_at(account, position, price)
        lots = whole_lots(risked / lot_value(account, position, order.volatility))
    elif order.sizing == Sizing.CASH:
        spent = order.amount * QUANTA - once(account, position)
        lots = whole_lots(spent / lot_cost(account, position, value))
    else:
        free = equity_free(account, position, price, order.side)
        lots = whole_lots(order.amount * free / lot_cost(account, position, value))
    return int(held + int(order.side) * lots)


@compiles
def limited(account: Any, position: Any, order: Any, price: float, after: int) -> int:
    """Lots, at most `after`, that may be held on its side by cash, leverage and limits; the order notes what binds."""
    apart()
    value = lot_value(account, position, price)
    cost = lot_cost(account, position, value)
    others = 0.0 if account.symbols == 1 else float(gross(account) - abs(position.value))
    allowed = account.leverage * equity_free(account, position, price, sign(after)) - others
    room = whole_lots(allowed / cost)
    if abs(after) > room:
        refuse(order, Reason.NO_CASH.value, abs(after) * cost / QUANTA, allowed / QUANTA)
    if account.limited:
        equity = equity_at(account, position, price)
        allowed = min(account.position_max * equity, account.position_value_max * QUANTA)
        lots = whole_lots(allowed / value)
        if abs(after) > lots and lots < room:
            refuse(order, Reason.MAX_POSITION.value, abs(after) * value / QUANTA, allowed / QUANTA)
            room = lots
        allowed = account.exposure_max * equity
        lots = whole_lots((allowed - others) / value)
        if abs(after) > lots and lots < room:
            refuse(order, Reason.MAX_EXPOSURE.value, (abs(after) * value + others) / QUANTA, allowed / QUANTA)
            room = lots
    return int(sign(after) * min(abs(after), room))


@compiles
def within(account: Any, order: Any) -> bool:
    """Whether an order's own size keeps it within cash and limits: a target of the one symbol that there is."""
    alone = account.symbols == 1 and account.limited == 0
    return bool(alone and order.sizing == Sizing.TARGET and abs(order.amount) <= account.leverage)


@compiles
def sized(account: Any, position: Any, order: Any, price: float) -> int:
    """Lots to be traded now, below 0 to sell; 0 if none, with the reason in the order.

    What is sized by money is cut to what cash, leverage and limits leave; a number of units is refused as a whole.
    """
    apart()
    held = position.lots
    after = wanted(account, position, order, price)
    if order.flag & REDUCE_ONLY:
        if held == 0 or int(order.side) * held > 0 or abs(after) > abs(held):
            refuse(order, Reason.POSITION_CLOSED.value, 0.0, 0.0)
            return 0
        if sign(after) != sign(held):
            after = 0
    if after < 0 and account.shorting == 0:
        after = 0
        if held == 0:
            refuse(order, Reason.NO_SHORTING.value, 0.0, 0.0)
            return 0
    if (abs(after) > abs(held) or sign(after) * sign(held) < 0) and not within(account, order):
        cut = limited(account, position, order, price, after)
        if cut != after:
            kept = held if sign(held) == sign(after) else 0
            after = held if order.sizing == Sizing.UNITS else sign(after) * max(abs(cut), abs(kept))
            if after == held:
                return 0
            order.reason = Reason.NONE
            order.found = nan
            order.allowed = nan
    change = after - held
    if change == 0:
        if held != 0 or (order.sizing == Sizing.TARGET and order.amount == 0.0):
            done = Reason.ALREADY_DONE.value if order.sizing == Sizing.TARGET else Reason.BELOW_LOT.value
            refuse(order, done, nan, nan)
        else:
            refuse(order, Reason.BELOW_LOT.value, 0.0, position.lot)
    elif abs(change) > LOTS_MAX or abs(after) > LOTS_MAX:
        refuse(order, Reason.TOO_LARGE.value, abs(after) * position.lot, LOTS_MAX * position.lot)
        change = 0
    return int(change)
