"""An account and all that it holds, as arrays that the step works on: a `Book`.

Money is counted in whole quanta of 1e-8 of a currency unit and positions in whole lots, both int64, so that entries
add up to nothing exactly. Bounds: 9.2e10 currency units a balance, 2^50 lots a position; beyond either the step stops.
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from trading.jit import compiles
from trading.memory import record_of, records_of
from trading.records import FILL, ORDER, TRADE, Records

QUANTA: Final = 1e8
"""Quanta in one currency unit."""
MONEY_MAX: Final = 9.2e18
"""Largest balance or amount, quanta."""
LOTS_MAX: Final = 2.0**50
"""Largest position or order, lots: units of them keep their exact number of lots as float64."""

NO_SCHEDULE: Final = 0xFFFF
TIERS: Final = 16
TURNOVER_DAYS: Final = 30

ACCOUNT: Final = np.dtype(
    (
        np.record,
        [
            ("equity", "<i8"),
            ("marked", "<i8"),
            ("floor", "<i8"),
            ("ceiling", "<i8"),
            ("peak", "<i8"),
            ("day_equity", "<i8"),
            ("session_end", "<i8"),
            ("time", "<i8"),
            ("next_id", "<i8"),
            ("next_seq", "<i8"),
            ("working", "<i8"),
            ("done", "<i8"),
            ("fills", "<i8"),
            ("trades", "<i8"),
            ("available", "<i8"),
            ("window", "<i8"),
            ("window_orders", "<i8"),
            ("orders_max", "<i8"),
            ("orders_window", "<i8"),
            ("late_max", "<i8"),
            ("interest_to", "<i8"),
            ("symbols", "<i8"),
            ("currencies", "<i8"),
            ("places", "<i8"),
            ("room", "<i8"),
            ("positions_at", "<i8"),
            ("currencies_at", "<i8"),
            ("schedules_at", "<i8"),
            ("orders_at", "<i8"),
            ("done_at", "<i8"),
            ("fills_at", "<i8"),
            ("trades_at", "<i8"),
            ("entry", "<i8"),
            ("asked", "<i8"),
            ("askable", "<i8"),
            ("leverage", "<f8"),
            ("position_max", "<f8"),
            ("position_value_max", "<f8"),
            ("exposure_max", "<f8"),
            ("daily_loss_max", "<f8"),
            ("drawdown_max", "<f8"),
            ("interest", "<f8"),
            ("shorting", "u1"),
            ("limited", "u1"),
            ("flattens", "u1"),
            ("partial_allowed", "u1"),
            ("at_close", "u1"),
            ("keep", "u1"),
            ("killed", "u1"),
            ("tripped", "u1"),
            ("fault", "u1"),
            ("full", "u1"),
            ("pad", "u1", (6,)),
        ],
    )
)
"""One account, 352 bytes.

equity: cash and marked positions, quanta. marked: value of all positions at the last prices, quanta. floor, ceiling:
equity at or below, or above which the step looks at the loss limits. peak: highest equity, kept where a drawdown is
limited. day_equity: equity at the start of the session. session_end: of the session seen last, ns. time: end of the
last bar that was more than a mark, ns. next_id, next_seq: of the next order and fill. working: orders in `Book.orders`.
done, fills, trades: records in the logs. available: lots that the bar's volume leaves to fill. window, window_orders:
the window of the order-rate limit and the orders in it. orders_max: orders in a window, 0 without limit. orders_window:
its length, ns. late_max: ms, -1 without limit. interest_to: interest is paid up to here, ns. symbols, currencies,
places, room: lengths of the positions, currencies, working orders and logs. ..._at: addresses of the arrays, which
`Book.bind` writes. entry: address of the compiled step (`trading.entries`). asked, askable: requests and their room, on
the way to it. leverage: gross exposure as a multiple of equity. position_max: of equity. position_value_max: account
currency. exposure_max: gross, of equity. daily_loss_max: of the day's first equity. drawdown_max: of the peak.
interest: a year, on negative cash. shorting: allowed. limited: any of the position and exposure limits is set.
flattens: a loss limit closes all positions. partial_allowed: orders may be decided on partial bars. at_close: market
orders fill at the close they were decided on. keep: `KEEP_...` bits, which logs are written. killed: the kill switch is
on. tripped: the `Reason` of a loss limit that was reached, 0 if none. fault: `Fault`. full: the logs must be emptied
before the next step.
"""

KEEP_ORDERS: Final = 1
KEEP_FILLS: Final = 2
KEEP_TRADES: Final = 4
KEEP_ALL: Final = 7

POSITION: Final = np.dtype(
    (
        np.record,
        [
            ("wake", "<i8"),
            ("orders", "<i8"),
            ("lots", "<i8"),
            ("factor", "<f8"),
            ("price", "<f8"),
            ("value", "<i8"),
            ("want", "<f8"),
            ("cost", "<i8"),
            ("fees", "<i8"),
            ("carry", "<i8"),
            ("entry_price", "<f8"),
            ("entry_rate", "<f8"),
            ("entry_time", "<i8"),
            ("entry_row", "<i8"),
            ("entry_order", "<i8"),
            ("session_end", "<i8"),
            ("accrued_to", "<i8"),
            ("lot", "<f8"),
            ("lot_quanta", "<f8"),
            ("tick", "<f8"),
            ("minimum", "<f8"),
            ("fee_fixed", "<f8"),
            ("fee_unit", "<f8"),
            ("fee_least", "<f8"),
            ("fee_most", "<f8"),
            ("maker", "<f8"),
            ("taker", "<f8"),
            ("slip", "<f8"),
            ("half_spread", "<f8"),
            ("impact", "<f8"),
            ("volume_share", "<f8"),
            ("borrow", "<f8"),
            ("funding", "<f8"),
            ("funding_every", "<i8"),
            ("currency", "<u2"),
            ("schedule", "<u2"),
            ("symbol", "<u2"),
            ("pad2", "<u2"),
            ("entry_reason", "u1"),
            ("through", "u1"),
            ("overnight", "u1"),
            ("accrues", "u1"),
            ("daily", "u1"),
            ("pad", "u1", (3,)),
        ],
    )
)
"""What is held of one symbol, and on what terms it trades; 288 bytes.

wake: a bar that ends here or later, ns, needs more than a mark. orders: working ones. lots: held, below 0 if short.
factor: lots x lot_quanta x rate: times the price, it is the value. price: last one, NaN before the first. value: at
that price, account quanta. want: exposure that the strategy asked for last. cost: what the position was bought for,
below 0 if short, quanta of its currency. fees, carry: account quanta, of the open position. entry_...: of the fill that
opened it; price and rate are averages. session_end: of the session seen last, ns. accrued_to: borrow and funding are
paid up to here, ns.

The terms, of which `trading.assumptions` has a file each. lot: units. lot_quanta: the same in 1e-8 units, a whole
number. tick: price step, 0 for none. minimum: notional of an order, in its currency. fee_fixed, fee_least: by order.
fee_unit: by unit. fee_most: of the notional, 0 for none. maker, taker: of the notional. slip: of the price.
half_spread: price. impact: of the price for an order as large as the bar's volume. volume_share: of the bar's volume, 0
for all that is wanted. borrow: a year, of a short position's value. funding: of the value at each multiple of
funding_every (ns). currency: index. schedule: index of tiered fees, `NO_SCHEDULE` for none. symbol: index.
entry_reason: `Reason`. through: a limit must be traded through. overnight: may be held past the session's end. accrues:
borrow or funding is set. daily: sessions matter to it.
"""

CURRENCY: Final = np.dtype(
    (
        np.record,
        [
            ("rate", "<f8"),
            ("cash", "<i8"),
            ("holdings", "<i8"),
            ("capital", "<i8"),
            ("realised", "<i8"),
            ("fees", "<i8"),
            ("carry", "<i8"),
            ("exchange", "<i8"),
        ],
    )
)
"""The ledger of one currency, 64 bytes: balances in quanta, debits above 0, together always 0.

rate: account currency for one unit, NaN while unknown, 1 for the account's own, which comes first. cash: what is there.
holdings: positions at cost. capital: paid in (below 0). realised: gains of closed positions (below 0). fees: paid.
carry: borrow, funding and interest paid, less dividends. exchange: bought from and sold to other currencies.
"""

SCHEDULE: Final = np.dtype(
    (
        np.record,
        [
            ("day", "<i8"),
            ("turnover", "<f8", (TURNOVER_DAYS,)),
            ("volume", "<f8", (TIERS,)),
            ("maker", "<f8", (TIERS,)),
            ("taker", "<f8", (TIERS,)),
        ],
    )
)
"""A venue's fees by what the account traded there in 30 days, 632 bytes.

day: days since 1970 of the newest of `turnover`. turnover: account currency a day; day d is at d mod 30. volume: where
each tier starts, account currency, rising, infinite where there is none. maker, taker: of the notional.
"""


@dataclass(frozen=True, eq=False)
class Book:
    """One account: the arrays that the step reads and writes, and keeps alive while it runs.

    The step is given `account`, which holds the addresses of all others.
    """

    accounts: Records
    """`ACCOUNT`, one."""
    positions: Records
    """`POSITION` by symbol."""
    currencies: Records
    """`CURRENCY`; the first is the account's."""
    schedules: Records
    """`SCHEDULE` by venue; at least one, used or not."""
    orders: Records
    """`ORDER`: the working ones are the first `account.working`, by id; the room bounds how many may work."""
    done: Records
    """`ORDER`: log of those that ended, in that order."""
    fills: Records
    """`FILL`: log."""
    trades: Records
    """`TRADE`: log."""

    def __post_init__(self) -> None:
        self.bind()

    @property
    def account(self) -> Any:
        """The one `ACCOUNT` record."""
        return self.accounts[0]

    def bind(self) -> None:
        """Write the addresses and lengths of the arrays into the account: after its bytes came from elsewhere."""
        account = self.account
        for name in ("positions", "currencies", "schedules", "orders", "done", "fills", "trades"):
            account[f"{name}_at"] = getattr(self, name).ctypes.data
        # Not at the top: the step is made of what is in this file.
        from trading.entries import first_call

        account.entry = first_call()
        account.symbols = len(self.positions)
        account.currencies = len(self.currencies)
        account.places = len(self.orders)
        account.room = min(len(self.done), len(self.fills), len(self.trades))


class Logs(NamedTuple):
    """Arrays of an account's logs, of equal length, each with what it is called in `Book`."""

    done: Records
    fills: Records
    trades: Records


def empty_logs(room: int) -> Logs:
    """Room for so many records in each."""
    return Logs(np.zeros(room, ORDER), np.zeros(room, FILL), np.zeros(room, TRADE))


def empty_book(
    symbols: int,
    currencies: int = 1,
    schedules: int = 1,
    working: int = 32,
    room: int = 1024,
    logs: Logs | None = None,
) -> Book:
    """Arrays of zeros for an account; `trading.opening` fills them in.

    Args:
        symbols: How many the account may trade.
        currencies: How many there are, the account's own included.
        schedules: How many venues have tiered fees.
        working: How many of a strategy's orders may work at once.
        room: Records in each log; more where a step and the end of a run could need more.
        logs: Of an account that is over, to be written over; taken where they are large enough.
    """
    working += symbols
    room = max(room, least_room(working) + symbols)
    if logs is None or len(logs.done) < room:
        logs = empty_logs(room)
    return Book(
        np.zeros(1, ACCOUNT),
        np.zeros(symbols, POSITION),
        np.zeros(currencies, CURRENCY),
        np.zeros(max(schedules, 1), SCHEDULE),
        np.zeros(working, ORDER),
        *logs,
    )


position_at: Final = record_of("positions_at", POSITION)
"""Of an account and a symbol: its `POSITION`. Like those below, it does not check the place."""
currency_at: Final = record_of("currencies_at", CURRENCY)
"""Of an account and a currency: its `CURRENCY`."""
schedule_at: Final = record_of("schedules_at", SCHEDULE)
"""Of an account and a venue: its `SCHEDULE`."""
order_at: Final = record_of("orders_at", ORDER)
"""Of an account and a place among the working orders: the `ORDER`."""
done_at: Final = record_of("done_at", ORDER)
"""Of an account and a place in the log of orders: the `ORDER`."""
fill_at: Final = record_of("fills_at", FILL)
"""Of an account and a place in the log of fills: the `FILL`."""
trade_at: Final = record_of("trades_at", TRADE)
"""Of an account and a place in the log of trades: the `TRADE`."""
orders_of: Final = records_of("orders_at", ORDER)
"""Of an account, a place and a count: so many of the working orders, as an array."""


@compiles
def least_room(working: int) -> int:
    """Records that one step may write to a log, at most: each order may end, fill twice and close something."""
    return 4 * working + 16
