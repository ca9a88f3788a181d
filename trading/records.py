"""What a strategy sees and what comes of its decisions: views, orders, fills and trades, as NumPy records.

The same arrays serve the compiled step and plain Python: a record's fields are attributes in both (`order.limit`), so
none is called as an attribute that every NumPy scalar has (`size`, `flags`).
Times are int64 ns since 1970 UTC, prices float64 in the symbol's own currency, units float64 and whole lots. The
layouts are recovery data: a change of one is a new version of whoever keeps its bytes.
"""

from enum import IntEnum, IntFlag
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Records = NDArray[Any]
"""An array of one of these types; an element's fields are attributes."""


class Side(IntEnum):
    """The side of an order or a fill; of a trade, BUY is long and SELL is short."""

    SELL = -1
    NONE = 0
    """Not known before the order is sized: a target, or whatever closes a position."""
    BUY = 1

    def __str__(self) -> str:
        return self.name.lower()


class Kind(IntEnum):
    """What makes an order fill; `CANCEL` is a request and never an order."""

    MARKET = 0
    """At the next price there is."""
    LIMIT = 1
    """At `limit` or better."""
    STOP = 2
    """At market, once the price has reached `stop`."""
    STOP_LIMIT = 3
    """A limit order, once the price has reached `stop`."""
    TRAILING_STOP = 4
    """A stop that follows the best price at a distance and never goes back."""
    TAKE_PROFIT = 5
    """A limit order that closes and never opens."""
    CANCEL = 6
    """Cancels the working orders of its symbol that have its tag, all of them if the tag is 0."""

    def __str__(self) -> str:
        return self.name.lower().replace("_", "-")


class Tif(IntEnum):
    """How long an order works."""

    GTC = 0
    """Until it is filled or cancelled."""
    DAY = 1
    """To the end of the session in which it could first fill."""
    GTD = 2
    """Until `expires_at`."""

    def __str__(self) -> str:
        return self.name.lower()


class Sizing(IntEnum):
    """What an order's `amount` says. Anything but units is turned into units when it first fills, at that price."""

    UNITS = 0
    """Units of the symbol."""
    CASH = 1
    """Account currency to be spent."""
    FRACTION = 2
    """Fraction of the account's equity to be spent: 0.5 is half of it."""
    VOLATILITY = 3
    """Fraction of the equity put at risk over one move of `volatility`: units = amount x equity / volatility."""
    TARGET = 4
    """Exposure to be held afterwards, as a fraction of equity: -1 is all of it short, 0 flat."""
    CLOSE = 5
    """All that is held, or the fraction `amount` of it."""
    PARENT = 6
    """As many units as the parent has filled: a bracket's exits."""

    def __str__(self) -> str:
        return self.name.lower()


class State(IntEnum):
    """How far an order has come."""

    NEW = 0
    """Accepted, and waits for its parent to fill."""
    WORKING = 1
    """In the market."""
    PARTIALLY_FILLED = 2
    FILLED = 3
    CANCELLED = 4
    """Ended before it was filled; what had filled stays."""
    REJECTED = 5
    """Refused: `reason` names the rule, `found` and `allowed` the values."""
    EXPIRED = 6

    def __str__(self) -> str:
        return self.name.lower().replace("_", "-")


class Reason(IntEnum):
    """Why: of a fill what made it, of an order how it ended, of a trade what opened and what closed it."""

    NONE = 0

    SIGNAL = 1
    """The strategy decided, and the market was taken."""
    LIMIT = 2
    STOP = 3
    STOP_LIMIT = 4
    TRAILING_STOP = 5
    TAKE_PROFIT = 6
    STOP_LOSS = 7
    """The stop of a bracket."""
    SESSION_END = 8
    """Nothing is held overnight, and the session was over."""
    KILL_SWITCH = 9
    """The account was flattened."""
    END = 10
    """Still open when the run ended: marked at the last close."""
    SPLIT = 11
    """Cash in place of the fraction of a lot that a split left."""
    MARGIN_CALL = 12
    """Nothing was left of the equity."""

    CANCELLED = 20
    """The strategy took it back."""
    OCO = 21
    """Another order of its group filled."""
    PARENT = 22
    """Its parent ended without a fill."""
    REPLACED = 23
    """A newer decision for the symbol took its place."""
    POSITION_CLOSED = 24
    """There was nothing left to close."""
    DAY_OVER = 25
    TIME_OVER = 26

    NO_CASH = 40
    """More than the cash and the leverage pay for."""
    MINIMUM_NOTIONAL = 41
    BELOW_LOT = 42
    """Less than one lot."""
    TOO_LARGE = 43
    """More lots than the ledger can count exactly."""
    BAD_SIZE = 44
    BAD_PRICE = 45
    BAD_REQUEST = 46
    """Kind, side, sizing or time in force is none that there is."""
    UNKNOWN_SYMBOL = 47
    NO_SHORTING = 48
    NO_RATE = 49
    """No exchange rate of the symbol's currency is known yet."""
    TOO_MANY_ORDERS = 50
    ALREADY_DONE = 51
    """The position already is as wanted."""

    MAX_POSITION = 60
    MAX_EXPOSURE = 61
    MAX_DAILY_LOSS = 62
    MAX_DRAWDOWN = 63
    ORDER_RATE = 64
    BAR_FORMING = 65
    BAR_PARTIAL = 66
    BAR_LATE = 67
    KILLED = 68
    """The kill switch is on."""

    def __str__(self) -> str:
        return self.name.lower().replace("_", "-")


class Liquidity(IntEnum):
    """What a fill did to the book, which is what venues charge for."""

    TAKER = 0
    MAKER = 1

    def __str__(self) -> str:
        return self.name.lower()


class Phase(IntEnum):
    """Where in its bar a fill happened; all of a tick is its open."""

    OPEN = 0
    INSIDE = 1
    CLOSE = 2

    def __str__(self) -> str:
        return self.name.lower()


class OrderFlag(IntFlag):
    """What else is true of an order."""

    NONE = 0
    REDUCE_ONLY = 1
    """It may close a position and never opens or turns one."""
    TRAIL_FRACTION = 2
    """`trail` is a fraction of the best price, not a distance."""
    TRIGGERED = 4
    """The stop of a stop-limit was reached: it is a limit order now."""
    STOP_LOSS = 8
    """The stop of a bracket."""
    SIZED = 16
    """`units` is known."""
    TESTED = 32
    """A price of the market has been held against it: from now on it rests in the book."""
    INSIDE = 64
    """It came to work inside the bar that the step is at."""


VIEW: Final = np.dtype(
    (
        np.record,
        [
            ("start", "<i8"),
            ("end", "<i8"),
            ("open", "<f8"),
            ("high", "<f8"),
            ("low", "<f8"),
            ("close", "<f8"),
            ("volume", "<f8"),
            ("notional", "<f8"),
            ("trades", "<i8"),
            ("symbol", "<u2"),
            ("interval", "u1"),
            ("state", "u1"),
            ("late", "<u4"),
        ],
    )
)
"""A closed bar as a strategy sees it, 80 bytes; a tick is a bar with one price and `start == end`.

start, end: ns, `[start, end)`. open, high, low, close: prices. volume: units. notional: sum of price x size. trades:
count, 0 where the feed does not say. symbol: index in the run's symbols. interval: `market.intervals.Interval`.
state: `market.bars.BarState`. late: ms from its end to when it was known, 0 for history: for the guard against stale
data, never for a decision (it differs between live and history).
"""

ORDER: Final = np.dtype(
    (
        np.record,
        [
            ("id", "<i8"),
            ("parent", "<i8"),
            ("group", "<i8"),
            ("placed_at", "<i8"),
            ("expires_at", "<i8"),
            ("done_at", "<i8"),
            ("row", "<i8"),
            ("lots", "<i8"),
            ("lots_done", "<i8"),
            ("amount", "<f8"),
            ("units", "<f8"),
            ("filled", "<f8"),
            ("average", "<f8"),
            ("limit", "<f8"),
            ("stop", "<f8"),
            ("trail", "<f8"),
            ("volatility", "<f8"),
            ("best", "<f8"),
            ("reference", "<f8"),
            ("fees", "<f8"),
            ("found", "<f8"),
            ("allowed", "<f8"),
            ("tag", "<i4"),
            ("symbol", "<u2"),
            ("kind", "u1"),
            ("side", "i1"),
            ("tif", "u1"),
            ("sizing", "u1"),
            ("state", "u1"),
            ("reason", "u1"),
            ("flag", "u1"),
            ("pad", "u1", (3,)),
        ],
    )
)
"""One order, 192 bytes. Prices that do not apply are NaN, ids that do not apply 0.

id: 1, 2, ... in the order of the requests. parent: id of the order that must fill first. group: orders that share one
cancel each other (OCO); it is the id of one of them. In a request both are places in its batch, counted from 1.
placed_at: ns, end of the bar on whose close it was decided. expires_at: ns; `NEVER` for GTC, 0 for DAY until its
session is known. done_at: ns, 0 while it works. row: the caller's number of that bar. lots, lots_done: whole lots to be
filled and filled so far. amount: as `sizing` says. units, filled: the lots in units; units are NaN until sized.
average: price of those filled, NaN before the first. limit, stop: prices. trail: distance in price or, by flag,
fraction. volatility: price move per unit, which VOLATILITY divides by. best: best price so far of a trailing stop.
reference: the close at the decision; of a bracket's exit the price of the entry. fees: account currency, so far. found,
allowed: of a refusal the value and its bound. tag: the strategy's own number, by which it cancels. symbol: index. kind:
`Kind`. side: `Side`. tif: `Tif`. sizing: `Sizing`. state: `State`. reason: `Reason`. flag: `OrderFlag`.
"""

FILL: Final = np.dtype(
    (
        np.record,
        [
            ("order", "<i8"),
            ("seq", "<i8"),
            ("time", "<i8"),
            ("row", "<i8"),
            ("units", "<f8"),
            ("price", "<f8"),
            ("slippage", "<f8"),
            ("fee", "<f8"),
            ("rate", "<f8"),
            ("symbol", "<u2"),
            ("side", "i1"),
            ("reason", "u1"),
            ("liquidity", "u1"),
            ("phase", "u1"),
            ("pad", "u1", (2,)),
        ],
    )
)
"""One execution, 80 bytes.

order: id, 0 for a split's. seq: 1, 2, ... in the account. time: ns, start of the bar in which it happened. row: the
caller's number of that bar. units: > 0. price: paid or got, slippage included. slippage: how much of
the price that is, per unit, >= 0: `price - side x slippage` traded in the bar. fee: account currency; below 0 a rebate.
rate: account currency for one unit of the symbol's. symbol: index. side: `Side`. reason: `Reason`. liquidity:
`Liquidity`. phase: `Phase`.
"""

TRADE: Final = np.dtype(
    (
        np.record,
        [
            ("entry_time", "<i8"),
            ("exit_time", "<i8"),
            ("entry_row", "<i8"),
            ("exit_row", "<i8"),
            ("entry_order", "<i8"),
            ("exit_order", "<i8"),
            ("units", "<f8"),
            ("entry_price", "<f8"),
            ("exit_price", "<f8"),
            ("entry_rate", "<f8"),
            ("exit_rate", "<f8"),
            ("pnl", "<f8"),
            ("gain", "<f8"),
            ("fees", "<f8"),
            ("carry", "<f8"),
            ("symbol", "<u2"),
            ("side", "i1"),
            ("entry_reason", "u1"),
            ("exit_reason", "u1"),
            ("pad", "u1", (3,)),
        ],
    )
)
"""Units bought and sold again, or the other way round, 128 bytes: one at each fill that makes a position smaller.

entry_time, entry_row, entry_order, entry_reason: of the fill that opened the position. exit_...: of the fill that
closed these units. units: > 0. entry_price: average over what opened and added to the position. exit_price: of the
closing fill. entry_rate, exit_rate: account currency for one unit of the symbol's. pnl: account currency, after fees
and carry: side x units x (exit_price x exit_rate - entry_price x entry_rate) - fees + carry. gain: the return,
pnl / (units x entry_price x entry_rate). fees: account currency, of the exit and these units' part of the entry. carry:
account currency, these units' part of dividends got less dividends, borrow and funding paid. symbol: index. side: BUY
is long.
"""

NEVER: Final = np.iinfo(np.int64).max
"""Expiry of what does not expire."""
