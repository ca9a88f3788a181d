"""The roster: which symbols each running feed is to follow, and which feed makes the bars of each symbol."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from market.streams import FeedKind
from market.symbols import Symbol
from sinks.ledger import Subscription

FIRST_SYMBOLS: Final[Mapping[str, tuple[str, ...]]] = {
    "sim": ("SIM:BTCUSD", "SIM:ETHUSD", "SIM:SOLUSD", "SIM:XRPUSD", "SIM:DOGEUSD"),
    "kraken": ("KRAKEN:BTCUSD", "KRAKEN:ETHUSD", "KRAKEN:SOLUSD"),
    "coinbase": ("COINBASE:BTCUSD", "COINBASE:ETHUSD", "COINBASE:SOLUSD"),
    "binance": ("BINANCE:BTCUSDT", "BINANCE:ETHUSDT", "BINANCE:SOLUSDT"),
    "okx": ("OKX:BTCUSDT", "OKX:ETHUSDT", "OKX:SOLUSDT"),
    "tradingview": ("NASDAQ:AAPL", "FX:EURUSD"),
}
"""What a feed follows where nobody has ever asked for anything on it."""


class Roster(NamedTuple):
    """What is wanted of the running feeds."""

    symbols: dict[str, list[Symbol]]
    """By feed."""
    designated: dict[Symbol, str]
    """The feed that makes a symbol's bars."""
    unserved: list[Symbol]
    """Subscribed on feeds that are not running only."""


def roster(
    subscriptions: Sequence[Subscription], feeds: Mapping[str, FeedKind], preferred: Mapping[Symbol, str]
) -> Roster:
    """Divide the subscriptions over the running feeds.

    Bars are made by the feed that the settings name, else by the one that the ledger designates, else by one that tells
    each trade before one that samples them; of those that run.

    Args:
        subscriptions: The active ones.
        feeds: Running feeds and what their ticks are, in the order of preference.
        preferred: Feed by symbol, from the settings.
    """
    symbols: dict[str, list[Symbol]] = {feed: [] for feed in feeds}
    by_symbol: dict[Symbol, list[Subscription]] = {}
    for subscription in subscriptions:
        by_symbol.setdefault(subscription.symbol, []).append(subscription)
    designated: dict[Symbol, str] = {}
    unserved: list[Symbol] = []
    for symbol, held in by_symbol.items():
        running = [subscription for subscription in held if subscription.feed in feeds]
        if not running:
            unserved.append(symbol)
            continue
        for subscription in running:
            symbols[subscription.feed].append(symbol)
        order = list(feeds)
        designated[symbol] = min(
            running,
            key=lambda one: (
                one.feed != preferred.get(one.symbol),
                not one.designated,
                feeds[one.feed] is not FeedKind.TRADES,
                order.index(one.feed),
            ),
        ).feed
    return Roster(symbols, designated, unserved)
