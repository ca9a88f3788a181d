"""The live feeds by name."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from market.errors import DeskError
from sources.binance import BinanceFeed
from sources.coinbase import CoinbaseFeed
from sources.feed import Feed, Limits
from sources.kraken import KrakenFeed
from sources.okx import OkxFeed
from sources.tradingview import TradingViewFeed

SIM_LIMITS: Final = Limits(
    symbols_per_connection=10_000,
    symbols_per_subscribe=500,
    messages_per_second=1000.0,
    connect_interval_s=0.0,
    silence_s=5.0,
    symbol_silence_s=600.0,
    heartbeat_s=30.0,
    lifetime_s=None,
    max_frame_bytes=16 * 1024 * 1024,
)
"""Of the simulated exchange, which is ours and on loopback."""


def _sim(*, urls: Sequence[str] = (), limits: Limits = SIM_LIMITS, **options: Any) -> Feed:
    """The simulated exchange, which speaks Kraken's protocol at an address known once it runs."""
    if not urls:
        msg = "feed sim needs the address of the simulated exchange in `urls`, such as ws://127.0.0.1:8765/v2"
        raise DeskError(msg)
    return KrakenFeed(name="sim", exchange="SIM", urls=urls, limits=limits, **options)


FEEDS: Final[dict[str, Callable[..., Feed]]] = {
    "sim": _sim,
    "kraken": KrakenFeed,
    "coinbase": CoinbaseFeed,
    "binance": BinanceFeed,
    "okx": OkxFeed,
    "tradingview": TradingViewFeed,
}
"""Factories with keyword arguments only; each has a default but for the simulated exchange's `urls`."""


def make_feed(name: str, **options: Any) -> Feed:
    """A feed by its name.

    Args:
        name: One of `FEEDS`.
        options: Those of the feed's class.

    Raises:
        DeskError: No feed has this name, or it does not take one of the options.
    """
    factory = FEEDS.get(name)
    if factory is None:
        msg = f"feed {name!r} is none of {' '.join(FEEDS)}"
        raise DeskError(msg)
    try:
        return factory(**options)
    except TypeError as error:
        msg = f"feed {name} does not take these options ({' '.join(sorted(options))}): {error}"
        raise DeskError(msg) from error
