"""Corporate actions: what changes a share's price without a trade. Bars stay as they traded; these are kept beside."""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

from market.symbols import Symbol


class ActionError(ValueError):
    """An action that cannot be: the message names the symbol, the date, the rule and the value."""


class ActionKind(StrEnum):
    """What happened."""

    SPLIT = "split"
    """Shares were exchanged for others at a ratio: forward and reverse splits, and dividends paid in shares."""
    DIVIDEND = "dividend"
    """Cash was paid on each share."""


@dataclass(frozen=True, slots=True, order=True)
class Action:
    """One split or dividend, as one source tells it.

    >>> split(Symbol("NASDAQ", "AAPL"), dt.date(2020, 8, 31), 4.0, "massive").value
    4.0
    """

    symbol: Symbol
    date: dt.date
    """The first session, by the exchange's own reckoning, that trades without it: the ex-date."""
    kind: ActionKind
    value: float
    """Of a split its `ratio`, of a dividend its `amount`."""
    currency: str
    """Of a dividend, as ISO 4217 writes it; empty where the source does not say, and for splits."""
    source: str
    """Provider's name, or `file`."""

    def __post_init__(self) -> None:
        if not isfinite(self.value) or self.value <= 0:
            rule = "ratio" if self.kind is ActionKind.SPLIT else "amount"
            msg = f"{self.kind} of {self.symbol} on {self.date}: the {rule} must be above 0, and is {self.value}"
            raise ActionError(msg)

    @property
    def ratio(self) -> float | None:
        """Shares held after the split for each one before: 4.0 of four for one, 0.1 of a reverse one for ten."""
        return self.value if self.kind is ActionKind.SPLIT else None

    @property
    def amount(self) -> float | None:
        """Cash for each share as it was on that date, not adjusted for later splits."""
        return self.value if self.kind is ActionKind.DIVIDEND else None


def split(symbol: Symbol, day: dt.date, ratio: float, source: str) -> Action:
    """A split.

    Raises:
        ActionError: The ratio is not a number above 0.
    """
    return Action(symbol, day, ActionKind.SPLIT, ratio, "", source)


def dividend(symbol: Symbol, day: dt.date, amount: float, currency: str, source: str) -> Action:
    """A cash dividend.

    Raises:
        ActionError: The amount is not a number above 0.
    """
    return Action(symbol, day, ActionKind.DIVIDEND, amount, currency, source)
