"""Double entry: every amount is posted to two balances at once, in whole quanta, so that a currency's sum stays 0."""

from enum import IntEnum
from typing import Any

import numpy as np

from trading.book import MONEY_MAX, QUANTA, currency_at, position_at
from trading.jit import apart, compiles


class Fault(IntEnum):
    """Why an account has stopped for good: the numbers cannot be trusted from here on."""

    NONE = 0
    MONEY = 1
    """A balance or value beyond `MONEY_MAX`, or not a number."""
    UNBALANCED = 2
    """A currency's balances do not add up to 0."""
    PRICE = 3
    """A price that is not above 0."""
    NOT_ATTACHED = 4
    """A compiled loop was given an account without an entry, or its compilation was interrupted."""


@compiles
def quanta(amount: float) -> int:
    """Currency units as whole quanta, to the nearest; the caller has checked that they fit."""
    return int(np.rint(amount * QUANTA))


@compiles
def fits(total: float) -> bool:
    """Whether so many quanta can be counted; not a number cannot."""
    return bool(abs(total) < MONEY_MAX)


@compiles
def settle(account: Any, currency: int, amount: int) -> int:
    """Take an amount (below 0: pay) of a currency as cash of the account, at the rate now; its quanta there.

    The other side of the entry is the caller's: it has a balance of `currency` go down by `amount`.
    """
    home = currency_at(account, 0)
    if currency == 0:
        home.cash += amount
        return amount
    foreign = currency_at(account, currency)
    exchanged = int(np.rint(amount * foreign.rate))
    foreign.exchange += amount
    home.exchange -= exchanged
    home.cash += exchanged
    return exchanged


@compiles
def balance(currency: Any) -> int:
    """Sum of a currency's balances: 0, or something is wrong."""
    return int(
        currency.cash
        + currency.holdings
        + currency.capital
        + currency.realised
        + currency.fees
        + currency.carry
        + currency.exchange
    )


@compiles
def audit(account: Any) -> None:
    """Stop the account if a currency does not balance or a balance nears what can be counted."""
    apart()
    for place in range(account.currencies):
        currency = currency_at(account, place)
        if balance(currency) != 0:
            account.fault = Fault.UNBALANCED
        for entry in (currency.cash, currency.holdings, currency.exchange):
            if not fits(4.0 * float(entry)):
                account.fault = Fault.MONEY


@compiles
def equity_now(account: Any) -> int:
    """Cash and marked positions, quanta."""
    return int(currency_at(account, 0).cash + account.marked)


@compiles
def mark(account: Any, position: Any, price: float) -> None:
    """Value one position at a price, and the account with it."""
    position.price = price
    value = position.factor * price
    if not fits(2.0 * value):
        account.fault = Fault.MONEY
        return
    whole = int(np.rint(value))
    if account.symbols == 1:
        # As below, without waiting for what the last bar wrote.
        account.marked = whole
    else:
        account.marked += whole - position.value
    position.value = whole
    account.equity = equity_now(account)


@compiles
def gross(account: Any) -> int:
    """Value of all positions, short ones counted as if long, quanta."""
    total = 0
    for place in range(account.symbols):
        position = position_at(account, place)
        total += abs(position.value)
    return total


@compiles
def set_rate(account: Any, currency: int, rate: float) -> None:
    """A new exchange rate: account currency for one unit; positions in that currency are valued again."""
    if not rate > 0.0:
        account.fault = Fault.PRICE
        return
    currency_at(account, currency).rate = rate
    for place in range(account.symbols):
        position = position_at(account, place)
        if position.currency == currency and position.lots != 0:
            position.factor = position.lots * position.lot_quanta * rate
            mark(account, position, position.price)
