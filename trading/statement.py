"""What an account has and has made, in currency units, for whoever asks: a page, a report, `pq paper status`."""

from typing import Any, NamedTuple

from trading.book import QUANTA, Book
from trading.ledger import balance


class Holding(NamedTuple):
    """One open position."""

    symbol: int
    """Index among the account's symbols."""
    units: float
    """Below 0 if short."""
    entry_price: float
    """Average, in the symbol's currency."""
    price: float
    """Last one."""
    value: float
    """Account currency, below 0 if short."""
    unrealised: float
    """Value less cost, account currency; fees and carry are not in it."""
    carry: float
    """Dividends got less dividends, borrow and funding paid since it was opened, account currency."""


class Statement(NamedTuple):
    """An account at its last prices; money in the account's currency.

    equity = paid_in + realised + unrealised - fees + carry, and equity = cash + the values of the holdings.
    """

    equity: float
    cash: float
    paid_in: float
    realised: float
    """Of closed positions, before fees and carry; what exchange rates made of them included."""
    unrealised: float
    fees: float
    """Paid, of open positions too."""
    carry: float
    """Dividends got less dividends, borrow, funding and interest paid."""
    gross: float
    """Exposure: values of all holdings, short ones as if long."""
    net: float
    """Values of all holdings, short ones below 0."""
    holdings: tuple[Holding, ...]
    """By symbol."""
    balanced: bool
    """Whether every currency's balances add up to 0."""


def statement(book: Book) -> Statement:
    """Draw up the statement of an account."""
    account, home = book.account, book.currencies[0]
    holdings = tuple(_holding(position) for position in book.positions if position.lots != 0)
    unrealised = sum(holding.unrealised for holding in holdings)
    equity, paid_in = account.equity / QUANTA, -home.capital / QUANTA
    fees = home.fees / QUANTA
    carry = -sum(int(one.carry) * float(one.rate) for one in book.currencies if one.carry) / QUANTA
    return Statement(
        equity=float(equity),
        cash=float(home.cash / QUANTA),
        paid_in=float(paid_in),
        realised=float(equity - paid_in - unrealised + fees - carry),
        unrealised=float(unrealised),
        fees=float(fees),
        carry=float(carry),
        gross=float(sum(abs(holding.value) for holding in holdings)),
        net=float(sum(holding.value for holding in holdings)),
        holdings=holdings,
        balanced=all(balance(one) == 0 for one in book.currencies),
    )


def _holding(position: Any) -> Holding:
    units = float(position.lots * position.lot_quanta / QUANTA)
    value = float(position.value / QUANTA)
    return Holding(
        symbol=int(position.symbol),
        units=units,
        entry_price=float(position.entry_price),
        price=float(position.price),
        value=value,
        unrealised=value - units * float(position.entry_price * position.entry_rate),
        carry=float(position.carry / QUANTA),
    )
