"""One fill: what it does to the position, the ledger and the trade records."""

from typing import Any

import numpy as np

from trading.assumptions.borrow import holding_cost
from trading.assumptions.fees import fee, fee_fraction, turned_over
from trading.assumptions.lots import units_of
from trading.book import KEEP_FILLS, KEEP_TRADES, QUANTA, currency_at, fill_at, position_at, trade_at
from trading.jit import apart, compiles
from trading.ledger import Fault, fits, mark, quanta, settle
from trading.records import Reason, Side
from trading.sizing import sign


@compiles
def accrue(account: Any, position: Any, time: int) -> None:
    """Pay for holding a position up to a moment, at its last price."""
    apart()
    if position.accrues == 0 or time <= position.accrued_to:
        return
    start = position.accrued_to
    position.accrued_to = time
    if position.lots == 0:
        return
    rate = currency_at(account, position.currency).rate
    value = position.lots * position.lot_quanta * position.price / QUANTA
    pay(account, position, -holding_cost(position, value, start, time), rate)


@compiles
def pay(account: Any, position: Any, amount: float, rate: float) -> None:
    """Credit the holder of a position with an amount of its currency that no trade made (below 0: charge)."""
    apart()
    if not fits(amount * QUANTA * max(rate, 1.0) * 4.0):
        account.fault = Fault.MONEY
        return
    whole = quanta(amount)
    currency_at(account, position.currency).carry -= whole
    position.carry += settle(account, position.currency, whole)
    account.equity = currency_at(account, 0).cash + account.marked


@compiles
def part(total: int, share: int, whole: int) -> int:
    """What falls on `share` of `whole` lots, to the nearest; all of it on all."""
    if share == whole:
        return int(total)
    return int(np.rint(float(total) * (float(share) / float(whole))))


@compiles
def record_trade(account: Any, position: Any, order: int, lots: int, price: float, rate: float, time: int, row: int,
                 reason: int, fees: int, carry: int) -> None:  # fmt: skip
    """Write one trade to the log: lots (> 0) of the position that end here, with their fees and carry in quanta."""
    place = account.trades
    account.trades = place + 1
    trade = trade_at(account, place)
    units = units_of(position, lots)
    side = sign(position.lots)
    trade.entry_time = position.entry_time
    trade.exit_time = time
    trade.entry_row = position.entry_row
    trade.exit_row = row
    trade.entry_order = position.entry_order
    trade.exit_order = order
    trade.units = units
    trade.entry_price = position.entry_price
    trade.exit_price = price
    trade.entry_rate = position.entry_rate
    trade.exit_rate = rate
    trade.fees = fees / QUANTA
    trade.carry = carry / QUANTA
    moved = price * rate - position.entry_price * position.entry_rate
    trade.pnl = side * units * moved - trade.fees + trade.carry
    trade.gain = trade.pnl / (units * position.entry_price * position.entry_rate)
    trade.symbol = position.symbol
    trade.side = side
    trade.entry_reason = position.entry_reason
    trade.exit_reason = reason


@compiles
def close_lots(account: Any, position: Any, order: int, lots: int, price: float, time: int, row: int, reason: int,
               fees: int) -> None:  # fmt: skip
    """Take lots (> 0) out of the position at a price: cash for cost, the difference realised, and a trade."""
    apart()
    held = abs(position.lots)
    side = sign(position.lots)
    currency = currency_at(account, position.currency)
    proceeds = side * int(np.rint(lots * position.lot_quanta * price))
    cost = part(position.cost, lots, held)
    entry_fees = part(position.fees, lots, held)
    carry = part(position.carry, lots, held)
    settle(account, position.currency, proceeds)
    currency.holdings -= cost
    currency.realised -= proceeds - cost
    if account.keep & KEEP_TRADES:
        record_trade(account, position, order, lots, price, currency.rate, time, row, reason, entry_fees + fees, carry)
    position.lots -= side * lots
    position.cost -= cost
    position.fees -= entry_fees
    position.carry -= carry


@compiles
def open_lots(account: Any, position: Any, order: int, lots: int, side: int, price: float, time: int, row: int,
              reason: int, fees: int) -> None:  # fmt: skip
    """Add lots (> 0) to a position that is flat or on this side already."""
    apart()
    currency = currency_at(account, position.currency)
    cost = side * int(np.rint(lots * position.lot_quanta * price))
    held = abs(position.lots)
    if held == 0:
        position.entry_price = price
        position.entry_rate = currency.rate
        position.entry_time = time
        position.entry_row = row
        position.entry_order = order
        position.entry_reason = reason
        position.accrued_to = time
    else:
        value = position.entry_price * position.entry_rate * held + price * currency.rate * lots
        position.entry_price = (position.entry_price * held + price * lots) / (held + lots)
        position.entry_rate = value / (position.entry_price * (held + lots))
    settle(account, position.currency, -cost)
    currency.holdings += cost
    position.lots += side * lots
    position.cost += cost
    position.fees += fees


@compiles
def fill(account: Any, position: Any, order: Any, change: int, price: float, slippage: float, time: int, row: int,
         reason: int, liquidity: int, phase: int) -> bool:  # fmt: skip
    """Trade lots (below 0 to sell) of a position at a price; notes the fill, and its fee in the order.

    Returns:
        Whether the ledger can count it; if not, nothing was changed and the account has its fault.
    """
    apart()
    rate = currency_at(account, position.currency).rate
    lots = abs(change)
    units = units_of(position, lots)
    notional = units * price
    # Sums of a few such amounts stay countable; `audit` watches the balances that they go to.
    if not fits(notional * QUANTA * max(rate, 1.0) * 8.0):
        account.fault = Fault.MONEY
        return False
    accrue(account, position, time)
    fraction = fee_fraction(account, position, liquidity)
    charged = fee(position, fraction, units, notional, order.filled == 0.0)
    fees = quanta(charged * rate)
    if fees != 0:
        home = currency_at(account, 0)
        home.cash -= fees
        home.fees += fees
    turned_over(account, position, notional * rate)

    side = sign(change)
    closing = min(lots, abs(position.lots)) if position.lots * side < 0 else 0
    opening = lots - closing
    exit_fees = part(fees, closing, lots)
    if closing > 0:
        close_lots(account, position, order.id, closing, price, time, row, reason, exit_fees)
    if opening > 0:
        open_lots(account, position, order.id, opening, side, price, time, row, reason, fees - exit_fees)
    position.factor = position.lots * position.lot_quanta * rate
    mark(account, position, price)

    order.fees += fees / QUANTA
    if account.keep & KEEP_FILLS:
        place = account.fills
        account.fills = place + 1
        done = fill_at(account, place)
        done.order = order.id
        done.seq = account.next_seq
        done.time = time
        done.row = row
        done.units = units
        done.price = price
        done.slippage = slippage
        done.fee = fees / QUANTA
        done.rate = rate
        done.symbol = position.symbol
        done.side = Side.BUY if change > 0 else Side.SELL
        done.reason = reason
        done.liquidity = liquidity
        done.phase = phase
    account.next_seq += 1
    return True


@compiles
def at_end(account: Any, row: int, time: int) -> None:
    """List what is still open as trades that end at the last price, unsold: nothing else changes, no fee is charged."""
    for place in range(account.symbols):
        position = position_at(account, place)
        if position.lots != 0:
            rate = currency_at(account, position.currency).rate
            record_trade(account, position, 0, abs(position.lots), position.price, rate, time, row, Reason.END.value,
                         position.fees, position.carry)  # fmt: skip
