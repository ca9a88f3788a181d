"""When an order fills inside a bar, of which only four prices are known, and at which price: the pessimistic rules.

- A decision is made on a bar's close and fills from the next bar on; with `at="close"` market orders fill on it.
- At the open: market orders fill there, and so does every stop that the open is at or beyond, and every limit that
  the open is better than: a gap fills at the open, for better or worse.
- Inside: a stop fills at its price once the bar reaches it. A limit fills at its price once the bar trades *through* it
  (`touch=True`: reaches it), since who waited at that price is not known.
- Stops come before limits: where one bar reaches a loss and a profit, it was the loss.
- What came to work inside the bar (a bracket's exits after its entry at a limit, a stop-limit after its stop): a stop
  counts the whole bar, also what may have come before; a limit fills only if the close is beyond it, which is certain.
- A trailing stop is held against the low (the high for a buy) at the level of the bars before and of the open; only
  then is it moved up by the bar's high, and fills at that new level if the close is below it, which is certain.

A tick is a bar with one price: all rules come down to the open's.
"""

from math import isnan, nan
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from trading.jit import compiles
from trading.records import Kind, OrderFlag, Side

TRIGGERED = int(OrderFlag.TRIGGERED)
TESTED = int(OrderFlag.TESTED)
INSIDE = int(OrderFlag.INSIDE)
TRAIL_FRACTION = int(OrderFlag.TRAIL_FRACTION)


class Fills(BaseModel):
    """Which prices fill orders."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    at: Literal["open", "close"] = "open"
    """Where market orders fill: the next bar's open, or the close that they were decided on (which none could get)."""
    touch: bool = False
    """Whether a limit fills when its price is reached, not only when it is traded through."""

    def write(self, account: Any, positions: Any) -> None:
        """Into an `ACCOUNT` and the terms of its positions."""
        account.at_close = self.at == "close"
        for position in positions:
            position.through = not self.touch

    def __str__(self) -> str:
        where = "the next bar's open" if self.at == "open" else "the close they are decided on, which none could get"
        limits = "reached" if self.touch else "traded through"
        return f"market orders fill at {where}, limits once {limits}, stops before limits, gaps at the open"


@compiles
def waits_for_stop(order: Any) -> bool:
    """Whether a stop must be reached before the order may fill."""
    stops = order.kind in (Kind.STOP, Kind.TRAILING_STOP, Kind.STOP_LIMIT)
    return bool(stops and order.flag & TRIGGERED == 0)


@compiles
def stop_level(order: Any) -> float:
    """The price that triggers a stop; a trailing one's follows from its best price so far."""
    if order.kind != Kind.TRAILING_STOP:
        return float(order.stop)
    distance = order.best * order.trail if order.flag & TRAIL_FRACTION else order.trail
    return float(order.best + order.side * distance)


@compiles
def reached(side: int, level: float, price: float) -> bool:
    """Whether a price is at or beyond a stop: as high for a buy, as low for a sale."""
    return price >= level if side == Side.BUY else price <= level


@compiles
def better(side: int, limit: float, price: float, through: bool) -> bool:
    """Whether a price is better than a limit, or as good where it needs not be traded through."""
    if side == Side.BUY:
        return price < limit or (price == limit and not through)
    return price > limit or (price == limit and not through)


@compiles
def followed(order: Any, price: float) -> float:
    """The best price of a trailing stop, after this one: the highest for a sale, the lowest for a buy."""
    if isnan(order.best):
        # No price was known when it was placed.
        return price
    return float(min(order.best, price) if order.side == Side.BUY else max(order.best, price))


@compiles
def at_open(order: Any, bar: Any, through: bool) -> bool:
    """Whether a working order fills at the bar's open; notes what the open does to it."""
    if order.kind == Kind.MARKET:
        return True
    if waits_for_stop(order):
        hit = reached(order.side, stop_level(order), bar.open)
        if order.kind == Kind.TRAILING_STOP:
            order.best = followed(order, bar.open)
        if not hit:
            return False
        order.flag |= TRIGGERED
        if order.kind != Kind.STOP_LIMIT:
            return True
        return better(order.side, order.limit, bar.open, False)
    if order.kind in (Kind.STOP, Kind.TRAILING_STOP):
        # It was triggered before, and the volume there was left a rest of it: a market order by now.
        return True
    return better(order.side, order.limit, bar.open, through and order.flag & TESTED != 0)


@compiles
def stop_inside(order: Any, bar: Any) -> float:
    """Price at which a stop is triggered inside the bar, NaN if it is not."""
    level = stop_level(order)
    if not reached(order.side, level, bar.high if order.side == Side.BUY else bar.low):
        return nan
    if order.flag & INSIDE and reached(order.side, level, order.reference):
        # Its parent's price was beyond it already.
        return float(order.reference)
    return level


@compiles
def limit_inside(order: Any, bar: Any, through: bool) -> bool:
    """Whether a limit fills inside the bar, at its price."""
    if order.flag & INSIDE:
        return better(order.side, order.limit, bar.close, through)
    return better(order.side, order.limit, bar.low if order.side == Side.BUY else bar.high, through)


@compiles
def trailed_inside(order: Any, bar: Any) -> float:
    """Level to which the bar's best price moves a trailing stop, if the close is beyond it; NaN if it is not."""
    if order.flag & INSIDE:
        return nan
    before = order.best
    order.best = followed(order, bar.low if order.side == Side.BUY else bar.high)
    level = stop_level(order)
    order.best = before
    return level if reached(order.side, level, bar.close) else nan
