"""Which providers are asked for a symbol's history, and in what order."""

from typing import TYPE_CHECKING, Final

from history.registry import asset_class
from market.errors import DeskError
from market.spelling import EXCHANGES
from market.symbols import Symbol
from sinks.registry_book import ASSET_CLASSES, Instrument, RegistryBook

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from history.desk import HistoryDesk

VENUES: Final = {
    **{EXCHANGES[name]: name for name in ("binance", "coinbase", "kraken", "okx")},
    EXCHANGES["sim"]: "simulated",
}
"""Provider by the exchange that it is. Only the venue itself knows its trades, so no other comes before it."""

BY_CLASS: Final = {
    "crypto": ("tradingview",),
    "stock": ("alpaca", "massive", "tradier", "alpha_vantage", "yfinance", "tradingview"),
    "fx": ("massive", "alpha_vantage", "yfinance", "tradingview"),
    "future": ("yfinance", "tradingview"),
    "index": ("massive", "yfinance", "tradingview"),
    "other": ("yfinance", "tradingview"),
}
"""The order within a class of assets: raw and exact before scraped, many calls before few. A crypto pair is another
instrument on each venue, so there is only its own, and TradingView, which shows that venue's own bars."""

EVERY: Final = ("simulated", *(name for name in VENUES.values() if name != "simulated"), *BY_CLASS["stock"])
"""All providers."""


def order(
    symbol: Symbol, settings_order: "Mapping[str, Sequence[str]]", instrument: Instrument | None = None
) -> tuple[str, ...]:
    """Providers of a symbol's history, the one to be asked first in front.

    What the registry says of the symbol goes before what the settings say of its exchange, that before what they say
    of its class, that before the defaults above.

    Args:
        symbol: The instrument.
        settings_order: The setting `provider_order`.
        instrument: What the registry knows of it.

    Raises:
        DeskError: Its exchange has no calendar, or an order names a provider that there is not.

    >>> order(Symbol("BINANCE", "BTCUSDT"), {}), order(Symbol("SIM", "BTCUSD"), {})
    (('binance', 'tradingview'), ('simulated',))
    >>> order(Symbol("NYSE", "F"), {"stock": ["massive"], "NYSE": ["tradier", "massive"]})
    ('tradier', 'massive')
    """
    if instrument is not None and instrument.history:
        return _known(instrument.history, f"the registry's order for {symbol}")
    group = asset_class(symbol, instrument)
    for key in (symbol.exchange, group):
        if key in settings_order:
            return _known(settings_order[key], f"provider_order.{key} in the settings")
    venue = VENUES.get(symbol.exchange)
    if venue == "simulated":
        return (venue,)
    return (*((venue,) if venue else ()), *BY_CLASS[group])


def ordered(desk: "HistoryDesk", symbol: Symbol) -> tuple[str, ...]:
    """As `order`, with the desk's settings and registry."""
    return orders(desk, [symbol])[symbol]


def orders(desk: "HistoryDesk", symbols: "Iterable[Symbol]") -> dict[Symbol, tuple[str, ...]]:
    """As `ordered`, for many at once."""
    settings_order = desk.settings.provider_order
    for key in settings_order:
        if key != key.upper() and key not in ASSET_CLASSES:
            msg = f"provider_order.{key} in the settings is neither an exchange nor one of {' '.join(ASSET_CLASSES)}"
            raise DeskError(msg)
    wanted = list(symbols)
    if not desk.folders.history.is_file():
        return {symbol: order(symbol, settings_order) for symbol in wanted}
    with RegistryBook(desk.folders.history) as book:
        return {symbol: order(symbol, settings_order, book.get(symbol)) for symbol in wanted}


def _known(names: "Sequence[str]", where: str) -> tuple[str, ...]:
    for name in names:
        if name not in EVERY:
            msg = f"{where} names {name!r}, which is none of {' '.join(EVERY)}"
            raise DeskError(msg)
    return tuple(dict.fromkeys(names))
