"""Opening an account: from settings that a person reads to the arrays that the step works on."""

from collections.abc import Mapping, Sequence
from math import inf, isfinite, nan
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from market.errors import DeskError
from trading.assumptions.borrow import Borrow
from trading.assumptions.corporate_actions import CorporateActions
from trading.assumptions.fees import Fees
from trading.assumptions.fills import Fills
from trading.assumptions.lots import Lots
from trading.assumptions.minimum import Minimum
from trading.assumptions.session_end import SessionEnd
from trading.assumptions.slippage import Slippage
from trading.book import KEEP_ALL, MONEY_MAX, QUANTA, Book, Logs, empty_book
from trading.limits import Limits
from trading.records import NEVER

AT_ONCE: Final = -int(NEVER)


class Terms(BaseModel):
    """On what terms one symbol trades: an assumption in each field."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    currency: str = Field(default="USD", pattern=r"^[A-Z0-9]{2,10}$")
    """What its prices are in."""
    lots: Lots = Lots()
    minimum: Minimum = Minimum()
    fees: Fees = Fees()
    slippage: Slippage = Slippage()
    borrow: Borrow = Borrow()
    session_end: SessionEnd = SessionEnd()


class Conditions(BaseModel):
    """What a run takes for granted: the terms of its symbols, and what holds for the whole account."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    terms: Mapping[str, Terms] = Field(default_factory=dict)
    """By symbol; one that is not here trades on `others`."""
    others: Terms = Terms()
    fills: Fills = Fills()
    actions: CorporateActions = CorporateActions()
    limits: Limits = Limits()

    def of(self, symbol: str) -> Terms:
        """The terms of a symbol."""
        return self.terms.get(symbol, self.others)

    def lines(self, symbols: Sequence[str]) -> list[tuple[str, str]]:
        """Each assumption's name and what it says, for a report; a line for each symbol where they differ."""
        found = [("fills", str(self.fills)), ("corporate actions", str(self.actions)), ("limits", str(self.limits))]
        for name in ("lots", "minimum", "fees", "slippage", "borrow", "session_end"):
            said = {symbol: str(getattr(self.of(symbol), name)) for symbol in symbols}
            word = name.replace("_", " ")
            if len(set(said.values())) == 1:
                found.append((word, next(iter(said.values()))))
            else:
                found.extend((f"{word} of {symbol}", text) for symbol, text in said.items())
        return found


def open_account(
    symbols: Sequence[str],
    conditions: Conditions,
    cash: float,
    currency: str = "USD",
    *,
    working: int = 32,
    room: int = 1024,
    keep: int = KEEP_ALL,
    logs: Logs | None = None,
) -> Book:
    """An account with cash and nothing else.

    Args:
        symbols: What it may trade; a symbol's place is its index everywhere.
        conditions: Terms, fills, limits.
        cash: Of its currency, at least 1.
        currency: The account's own; rates of others come by `trading.ledger.set_rate`.
        working: How many of a strategy's orders may work at once.
        room: Records in each log.
        keep: `KEEP_...`: which logs are written.
        logs: Of an account that is over, to be written over.

    Raises:
        DeskError: Cash below one unit or beyond what the ledger can count.
    """
    if not isfinite(cash) or cash < 1 or cash * QUANTA * 16 > MONEY_MAX:
        most = MONEY_MAX / QUANTA / 16
        msg = f"cash must be between 1 and {most:.3g} {currency}, and is {cash:g}: give another --cash"
        raise DeskError(msg)
    foreign = sorted({conditions.of(symbol).currency for symbol in symbols} - {currency})
    currencies = {name: place for place, name in enumerate([currency, *foreign])}
    venues = sorted({conditions.of(symbol).fees.venue for symbol in symbols} - {""})
    book = empty_book(len(symbols), len(currencies), len(venues), working, room, logs)

    account = book.account
    account.next_id = 1
    account.next_seq = 1
    account.keep = keep
    account.session_end = AT_ONCE
    account.interest_to = AT_ONCE
    conditions.limits.write(account)
    conditions.fills.write(account, book.positions)

    home = book.currencies[0]
    home.rate = 1.0
    home.cash = round(cash * QUANTA)
    home.capital = -home.cash
    for place in range(1, len(currencies)):
        book.currencies[place].rate = nan
    account.equity = home.cash
    account.peak = home.cash
    account.day_equity = home.cash
    account.floor = 0
    account.ceiling = NEVER

    for place, symbol in enumerate(symbols):
        terms = conditions.of(symbol)
        position = book.positions[place]
        position.symbol = place
        position.currency = currencies[terms.currency]
        position.wake = AT_ONCE
        position.price = nan
        position.entry_price = nan
        position.entry_rate = nan
        terms.lots.write(position)
        terms.minimum.write(position)
        terms.slippage.write(position)
        terms.borrow.write(position)
        terms.session_end.write(position)
        position.schedule = venues.index(terms.fees.venue) if terms.fees.venue else 0
        terms.fees.write(position, book.schedules)
        position.accrues = position.borrow != 0.0 or position.funding != 0.0
        counted = account.daily_loss_max < 1.0 or account.interest > 0.0
        position.daily = position.accrues or counted or not position.overnight
    return book


def currency_places(symbols: Sequence[str], conditions: Conditions, currency: str = "USD") -> dict[str, int]:
    """The index of each currency that an account opened with these has; the account's own is 0."""
    foreign = sorted({conditions.of(symbol).currency for symbol in symbols} - {currency})
    return {name: place for place, name in enumerate([currency, *foreign])}


__all__ = ["Conditions", "Terms", "currency_places", "inf", "open_account"]
