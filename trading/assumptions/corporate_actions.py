"""Corporate actions: what splits and dividends do to a position and to the orders that wait for a price."""

from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from trading.assumptions.lots import units_of
from trading.book import currency_at, order_at, position_at
from trading.filling import close_lots, pay
from trading.jit import compiles
from trading.ledger import audit, mark
from trading.links import ended
from trading.records import OrderFlag, Reason
from trading.sizing import sign

SIZED = int(OrderFlag.SIZED)
TRAIL_FRACTION = int(OrderFlag.TRAIL_FRACTION)


class CorporateActions(BaseModel):
    """How a run deals with splits and dividends: strategies see adjusted bars, and orders fill at prices as traded."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    signals: Literal["all", "splits", "none"] = "all"
    """Which actions are taken out of the bars that strategies see, as known at each decision."""
    apply: bool = True
    """Whether positions are split and dividends paid; not where the prices of fills are adjusted already."""

    def __str__(self) -> str:
        seen = {"all": "splits and dividends", "splits": "splits", "none": "nothing"}[self.signals]
        done = "positions are split and dividends paid on the ex-date" if self.apply else "nothing is done to positions"
        return f"strategies see bars adjusted for {seen}, orders fill at prices as traded; {done}"


@compiles
def apply_dividend(account: Any, symbol: int, amount: float) -> None:
    """Pay an amount a unit (the symbol's currency) to who is long before the ex-date's open; who is short pays it."""
    position = position_at(account, symbol)
    if position.lots != 0:
        units = sign(position.lots) * units_of(position, abs(position.lots))
        pay(account, position, units * amount, currency_at(account, position.currency).rate)
        audit(account)


@compiles
def apply_split(account: Any, symbol: int, ratio: float, time: int, row: int) -> None:
    """Exchange each unit for `ratio` units before the ex-date's open.

    Working orders move with it: prices are divided, sizes in units multiplied. A fraction of a lot is paid out at the
    last price, and ends as a trade of its own.
    """
    position = position_at(account, symbol)
    before = position.price
    position.price = before / ratio
    if position.lots != 0:
        side = sign(position.lots)
        exact = abs(position.lots) * ratio
        # A whole number that a ratio such as 1.1 misses by an ulp is meant to be whole.
        after = int(np.rint(exact)) if abs(exact - np.rint(exact)) < 1e-6 else int(exact)
        position.entry_price /= ratio
        if exact - after >= 1e-6:
            pay_fraction(account, position, exact - after, after, time, row)
        position.lots = side * after
        position.factor = position.lots * position.lot_quanta * currency_at(account, position.currency).rate
        mark(account, position, position.price)
        audit(account)
    for place in range(account.working):
        order = order_at(account, place)
        if order.symbol == symbol and not ended(order):
            split_order(position, order, ratio)


@compiles
def pay_fraction(account: Any, position: Any, fraction: float, rest: int, time: int, row: int) -> None:
    """Pay out a fraction of a lot; cost, fees and carry are divided over all lots as they are after the split."""
    # In thousandths of a lot, so that the parts are those of whole numbers.
    lots, lot, lot_quanta = position.lots, position.lot, position.lot_quanta
    side = sign(lots)
    thousandths = int(np.rint(fraction * 1000.0))
    position.lots = side * (rest * 1000 + thousandths)
    position.lot = lot / 1000.0
    position.lot_quanta = lot_quanta / 1000.0
    if thousandths > 0:
        close_lots(account, position, 0, thousandths, position.price, time, row, Reason.SPLIT.value, 0)
    position.lots = lots
    position.lot = lot
    position.lot_quanta = lot_quanta


@compiles
def split_order(position: Any, order: Any, ratio: float) -> None:
    """Move a working order to the other side of a split."""
    order.limit /= ratio
    order.stop /= ratio
    order.best /= ratio
    order.reference /= ratio
    order.average /= ratio
    order.volatility /= ratio
    if order.flag & TRAIL_FRACTION == 0:
        order.trail /= ratio
    if order.sizing == 0:
        order.amount *= ratio
    if order.flag & SIZED:
        order.lots = int(order.lots * ratio)
        order.lots_done = int(order.lots_done * ratio)
        order.units = units_of(position, order.lots)
        order.filled = units_of(position, order.lots_done)
