"""What a strategy may ask for: each writes requests into `orders` from place `n` on and returns the next place.

```python
n = 0
if crossed_up:
    n = bracket(orders, n, bar.symbol, Side.BUY, 0.5, Sizing.FRACTION, bar.close + 4, bar.close - 2)
return n
```

They work alike in compiled and in plain strategies. Requests beyond the room of `orders` are counted but not written:
the step refuses the whole batch, so nothing is dropped unsaid.
"""

from math import nan
from typing import Final

from trading.jit import compiles
from trading.records import NEVER, Kind, OrderFlag, Records, Side, Sizing, Tif

# Numba knows enumerations of numbers and not the flags'.
_REDUCE_ONLY: Final = int(OrderFlag.REDUCE_ONLY)
_STOP_LOSS: Final = int(OrderFlag.REDUCE_ONLY | OrderFlag.STOP_LOSS)
_TRAIL_FRACTION: Final = int(OrderFlag.TRAIL_FRACTION)


@compiles
def request(orders: Records, n: int, symbol: int, kind: int, side: int, size: float, sizing: int) -> int:
    """A request of any kind, to which the others add their prices; returns the next place."""
    if n < orders.size:
        order = orders[n]
        order.id = 0
        order.parent = 0
        order.group = 0
        order.placed_at = 0
        order.expires_at = NEVER
        order.done_at = 0
        order.row = 0
        order.lots = 0
        order.lots_done = 0
        order.amount = size
        order.units = nan
        order.filled = 0.0
        order.average = nan
        order.limit = nan
        order.stop = nan
        order.trail = nan
        order.volatility = nan
        order.best = nan
        order.reference = nan
        order.fees = 0.0
        order.found = nan
        order.allowed = nan
        order.tag = 0
        order.symbol = symbol
        order.kind = kind
        order.side = side
        order.tif = Tif.GTC
        order.sizing = sizing
        order.state = 0
        order.reason = 0
        order.flag = 0
    return n + 1


@compiles
def market(orders: Records, n: int, symbol: int, side: int, size: float, sizing: int = Sizing.UNITS) -> int:
    """Buy or sell at the next price there is."""
    return request(orders, n, symbol, Kind.MARKET, side, size, sizing)


@compiles
def limit(
    orders: Records, n: int, symbol: int, side: int, size: float, price: float, sizing: int = Sizing.UNITS
) -> int:
    """Buy at the price or lower, sell at the price or higher."""
    following = request(orders, n, symbol, Kind.LIMIT, side, size, sizing)
    if n < orders.size:
        orders[n].limit = price
    return following


@compiles
def stop(orders: Records, n: int, symbol: int, side: int, size: float, price: float, sizing: int = Sizing.UNITS) -> int:
    """Buy at market once the price is this high, sell at market once it is this low."""
    following = request(orders, n, symbol, Kind.STOP, side, size, sizing)
    if n < orders.size:
        orders[n].stop = price
    return following


@compiles
def stop_limit(
    orders: Records,
    n: int,
    symbol: int,
    side: int,
    size: float,
    stop_price: float,
    limit_price: float,
    sizing: int = Sizing.UNITS,
) -> int:
    """A limit order that enters the market once the price has reached the stop."""
    following = request(orders, n, symbol, Kind.STOP_LIMIT, side, size, sizing)
    if n < orders.size:
        orders[n].stop = stop_price
        orders[n].limit = limit_price
    return following


@compiles
def trailing_stop(
    orders: Records, n: int, symbol: int, side: int, size: float, distance: float, sizing: int = Sizing.UNITS
) -> int:
    """Sell once the price is `distance` below its highest since the order was placed; buy alike above its lowest."""
    following = request(orders, n, symbol, Kind.TRAILING_STOP, side, size, sizing)
    if n < orders.size:
        orders[n].trail = distance
    return following


@compiles
def trailing_stop_fraction(
    orders: Records, n: int, symbol: int, side: int, size: float, fraction: float, sizing: int = Sizing.UNITS
) -> int:
    """The same at a distance that is a fraction of the best price: 0.05 is 5 % below the highest."""
    following = trailing_stop(orders, n, symbol, side, size, fraction, sizing)
    if n < orders.size:
        orders[n].flag = _TRAIL_FRACTION
    return following


@compiles
def take_profit(orders: Records, n: int, symbol: int, side: int, price: float, fraction: float = 1.0) -> int:
    """Close a fraction of what is held at the price or better; `side` SELL closes a long position, BUY a short one."""
    following = request(orders, n, symbol, Kind.TAKE_PROFIT, side, fraction, Sizing.CLOSE)
    if n < orders.size:
        orders[n].limit = price
        orders[n].flag = _REDUCE_ONLY
    return following


@compiles
def stop_loss(orders: Records, n: int, symbol: int, side: int, price: float, fraction: float = 1.0) -> int:
    """Close a fraction of what is held at market once the price is reached; `side` SELL closes a long position."""
    following = request(orders, n, symbol, Kind.STOP, side, fraction, Sizing.CLOSE)
    if n < orders.size:
        orders[n].stop = price
        orders[n].flag = _STOP_LOSS
    return following


@compiles
def bracket(
    orders: Records,
    n: int,
    symbol: int,
    side: int,
    size: float,
    sizing: int,
    take_profit: float,
    stop_loss: float,
    entry: float = nan,
) -> int:
    """Enter at market, or at the limit `entry`, and leave at a profit or a loss, whichever comes first.

    The exits wait for the entry to fill, are as large as what has filled, and cancel each other. Three requests.
    """
    kind = Kind.MARKET if entry != entry else Kind.LIMIT  # noqa: PLR0124 - NaN is what does not equal itself.
    following = request(orders, n, symbol, kind, side, size, sizing)
    following = request(orders, following, symbol, Kind.TAKE_PROFIT, -side, 1.0, Sizing.PARENT)
    following = request(orders, following, symbol, Kind.STOP, -side, 1.0, Sizing.PARENT)
    if following <= orders.size:
        orders[n].limit = entry
        orders[n + 1].limit = take_profit
        orders[n + 1].flag = _REDUCE_ONLY
        orders[n + 2].stop = stop_loss
        orders[n + 2].flag = _STOP_LOSS
        for place in (n + 1, n + 2):
            orders[place].parent = n + 1
            orders[place].group = n + 2
    return following


@compiles
def target(orders: Records, n: int, symbol: int, exposure: float) -> int:
    """Hold this fraction of the equity from the next price on: 1 all of it, 0 nothing, -0.5 half of it short."""
    return request(orders, n, symbol, Kind.MARKET, Side.NONE, exposure, Sizing.TARGET)


@compiles
def close(orders: Records, n: int, symbol: int, fraction: float = 1.0) -> int:
    """Close what is held, or a fraction of it, at the next price."""
    following = request(orders, n, symbol, Kind.MARKET, Side.NONE, fraction, Sizing.CLOSE)
    if n < orders.size:
        orders[n].flag = _REDUCE_ONLY
    return following


@compiles
def cancel(orders: Records, n: int, symbol: int, tag: int = 0) -> int:
    """Take back the working orders of a symbol that have this tag; all of them if the tag is 0."""
    following = request(orders, n, symbol, Kind.CANCEL, Side.NONE, 0.0, Sizing.UNITS)
    if n < orders.size:
        orders[n].tag = tag
    return following


@compiles
def tagged(orders: Records, n: int, tag: int) -> int:
    """Give the last request the strategy's own number, by which `cancel` finds it; returns `n`."""
    if 0 < n <= orders.size:
        orders[n - 1].tag = tag
    return n


@compiles
def for_the_day(orders: Records, n: int) -> int:
    """Let the last request expire at the end of the session in which it could first fill; returns `n`."""
    if 0 < n <= orders.size:
        orders[n - 1].tif = Tif.DAY
        orders[n - 1].expires_at = 0
    return n


@compiles
def until(orders: Records, n: int, time: int) -> int:
    """Let the last request expire at a time, ns; returns `n`."""
    if 0 < n <= orders.size:
        orders[n - 1].tif = Tif.GTD
        orders[n - 1].expires_at = time
    return n


@compiles
def only_closing(orders: Records, n: int) -> int:
    """Let the last request close what is held and never open or turn a position; returns `n`."""
    if 0 < n <= orders.size:
        orders[n - 1].flag |= _REDUCE_ONLY
    return n


@compiles
def risking(orders: Records, n: int, volatility: float) -> int:
    """Turn the last request's size into the fraction of the equity that one move of `volatility` may cost.

    With 0.01 and the average true range it is 1 % of the equity for an average bar; with 0.10 and the price move of one
    standard deviation over a year it is 10 % of volatility a year. Returns `n`.
    """
    if 0 < n <= orders.size:
        orders[n - 1].sizing = Sizing.VOLATILITY
        orders[n - 1].volatility = volatility
    return n


@compiles
def one_cancels_other(orders: Records, first: int, n: int) -> int:
    """Let the requests from place `first` to before `n` cancel each other; returns `n`."""
    for place in range(first, min(n, orders.size)):
        orders[place].group = first + 1
    return n
