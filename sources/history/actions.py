"""What a provider of corporate actions promises, and which ones there are."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from importlib import import_module
from typing import Any, Final, Protocol

from market.actions import Action, ActionKind
from market.errors import DeskError
from market.symbols import Symbol
from sources.history.provider import BadAnswer, Means
from sources.history.rows import READ_ERRORS, shown

ACTIONS_PROVIDERS: Final = {
    "massive": "sources.history.massive_actions:MassiveActions",
    "alpaca": "sources.history.alpaca_actions:AlpacaActions",
    "alpha_vantage": "sources.history.alpha_vantage_actions:AlphaVantageActions",
    "yfinance": "sources.history.yfinance_actions:YFinanceActions",
}
"""Where the class of each is, by the provider's name. The simulated exchange has none: nothing there splits or pays."""

_CURRENCY: Final = re.compile("[A-Za-z]{3}")


class ActionsProvider(Protocol):
    """One source of splits and dividends. Not thread-safe: each worker makes its own."""

    name: str
    """As in settings and in an action's `source`."""

    def actions(self, symbol: Symbol, start: date, end: date) -> Iterator[Action]:
        """Splits and cash dividends of one symbol, by date, lazily.

        There is at most one split a date, and one dividend a date and currency: a regular and a special one of the same
        day are added up. Amounts are for the shares of that date, never adjusted for later splits. What changes the
        share into something else (mergers, spin-offs, renamings) is left out: its price is another instrument's.

        Args:
            symbol: The share.
            start: Actions whose ex-date is this day or later, ...
            end: ... and before this one. It may lie in the future: what is declared is known ahead.

        Raises:
            NotOffered: It has no such symbol, or none of its class.
            ProviderError: As its classes say.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


def make_actions_provider(
    name: str, means: Means, *, key: str | None = None, secret: str | None = None, url: str | None = None
) -> ActionsProvider:
    """The provider of that name.

    Args:
        name: One of `ACTIONS_PROVIDERS`.
        means: What it is given to work with.
        key: Its API key; None if the setting is missing.
        secret: Second half of the key, where it has two.
        url: Another address than its own.

    Raises:
        NoKey: It wants a key and there is none; the text names the variable.
        DeskError: There is no provider of that name, or it is not installed.
    """
    place = ACTIONS_PROVIDERS.get(name)
    if place is None:
        msg = f"provider {name!r} has no corporate actions; those that have are {' '.join(ACTIONS_PROVIDERS)}"
        raise DeskError(msg)
    module, _, class_name = place.partition(":")
    provider: ActionsProvider = getattr(import_module(module), class_name)(means, key=key, secret=secret, url=url)
    return provider


def read_actions(name: str, raw: Any, read: Callable[[Any], Action | None]) -> list[Action]:
    """Read each row of an answer.

    Args:
        name: Of the provider, for the text.
        raw: What ought to be a list of rows.
        read: Reads one; None for what is no action of ours. May raise what reading an untrusted row can raise.

    Raises:
        BadAnswer: It is no list, or one of its rows cannot be read: without that action prices would be adjusted
            wrongly, and nothing would tell.
    """
    if not isinstance(raw, list):
        msg = f"{name} answers with {shown(raw)} where actions are expected; try later, or name another provider"
        raise BadAnswer(msg)
    found = []
    for item in raw:
        try:
            found.append(read(item))
        except (*READ_ERRORS, ZeroDivisionError) as error:
            msg = (
                f"{name} answers with an action that cannot be read: {shown(item)}; none is taken, since one that is "
                "missing would leave prices wrong: try later, or name another provider"
            )
            raise BadAnswer(msg) from error
    return [action for action in found if action is not None]


def currency_of(item: Mapping[str, Any]) -> str:
    """The currency of a row, by ISO 4217; empty where none is named.

    Raises:
        ValueError: It is no code of three letters.

    >>> currency_of({"currency": "usd"}), currency_of({})
    ('USD', '')
    """
    told = item.get("currency")
    if told is None or told == "":
        return ""
    if not isinstance(told, str) or not _CURRENCY.fullmatch(told):
        msg = f"{told!r} is no currency"
        raise ValueError(msg)
    return told.upper()


def one_a_day(actions: Iterable[Action]) -> Sequence[Action]:
    """Actions of one symbol by date, dividends of a date and currency added up, a split told twice taken once.

    Raises:
        BadAnswer: One date has two splits of different ratios: which of them happened cannot be known.
    """
    merged: dict[tuple[date, ActionKind, str], Action] = {}
    for action in sorted(actions):
        place = (action.date, action.kind, action.currency)
        before = merged.get(place)
        if before is None:
            merged[place] = action
        elif action.kind is ActionKind.DIVIDEND:
            total = before.value + action.value
            merged[place] = Action(action.symbol, action.date, action.kind, total, action.currency, action.source)
        elif before.value != action.value:
            msg = (
                f"{action.source} has two splits of {action.symbol} on {action.date}, {before.value:g} and "
                f"{action.value:g} for 1; none is taken: import the right one from a file"
            )
            raise BadAnswer(msg)
    return sorted(merged.values())
