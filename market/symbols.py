"""Symbols: `EXCHANGE:TICKER`, the desk's one name for an instrument."""

import re
from typing import NamedTuple

_EXCHANGE = re.compile(r"[A-Z][A-Z0-9_]{0,19}")
_TICKER = re.compile(r"[A-Z0-9][A-Z0-9._!&+/-]{0,39}")


class SymbolError(ValueError):
    """A text that is not a symbol; the message names the text and the rule."""


class Symbol(NamedTuple):
    """One instrument on one exchange."""

    exchange: str
    """Upper-case letter, then letters, digits or `_`; at most 20 characters."""

    ticker: str
    """Upper-case letters, digits and `._!&+/-`, at most 40 characters: `AAPL`, `BRK.B`, `ES1!`, `BTCUSD`."""

    def __str__(self) -> str:
        return f"{self.exchange}:{self.ticker}"


def parse_symbol(text: str) -> Symbol:
    """Read `EXCHANGE:TICKER`, in any case.

    Raises:
        SymbolError: The text has another form.

    >>> parse_symbol("kraken:btcusd")
    Symbol(exchange='KRAKEN', ticker='BTCUSD')
    """
    exchange, colon, ticker = text.strip().upper().partition(":")
    if not colon or not _EXCHANGE.fullmatch(exchange) or not _TICKER.fullmatch(ticker):
        msg = f"symbol {text!r} is not EXCHANGE:TICKER, such as KRAKEN:BTCUSD or NASDAQ:AAPL"
        raise SymbolError(msg)
    return Symbol(exchange, ticker)
