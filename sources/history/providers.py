"""Who has history: every provider by name, what it wants, and how to make one. Importing this imports none of them."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, NamedTuple, cast

from market.errors import DeskError
from sources.history.provider import Means, NoKey, Provider, Terms


class Listing(NamedTuple):
    """One provider."""

    path: str
    """`module:Class`; the class has `name` and `terms`, and takes `(means, *, key, secret, url)`."""
    wants: tuple[str, ...] = ()
    """Settings without which it is not called: `key`, `secret`, `url`."""
    extra: str | None = None
    """Package of an optional extra that it needs."""


PROVIDERS: Final[dict[str, Listing]] = {
    "simulated": Listing("sources.history.simulated:SimulatedHistory", ("url",)),
    "binance": Listing("sources.history.binance:BinanceHistory"),
    "coinbase": Listing("sources.history.coinbase:CoinbaseHistory"),
    "kraken": Listing("sources.history.kraken:KrakenHistory"),
    "okx": Listing("sources.history.okx:OkxHistory"),
    "alpaca": Listing("sources.history.alpaca:AlpacaHistory", ("key", "secret")),
    "massive": Listing("sources.history.massive:MassiveHistory", ("key",)),
    "tradier": Listing("sources.history.tradier:TradierHistory", ("key",)),
    "alpha_vantage": Listing("sources.history.alpha_vantage:AlphaVantageHistory", ("key",)),
    "tradingview": Listing("sources.history.tradingview:TradingViewHistory"),
    "yfinance": Listing("sources.history.yfinance:YFinanceHistory", extra="yfinance"),
}
"""By name, as in settings and in a bar's source."""


def terms_of(name: str) -> Terms:
    """What a provider has and allows, without making or calling it.

    Raises:
        DeskError: There is no such provider.
    """
    return cast("Terms", _class(name).terms)


def missing(name: str, *, key: str | None = None, secret: str | None = None, url: str | None = None) -> str | None:
    """What a provider lacks and cannot be called without, in words that name the variable; `None` if nothing.

    >>> missing("alpaca", key="k")
    'no POCKETQUANT_PROVIDERS__ALPACA__SECRET'
    >>> missing("kraken") is None
    True
    """
    listing = _listing(name)
    given = {"key": key, "secret": secret, "url": url}
    lacking = [f"POCKETQUANT_PROVIDERS__{name}__{want}".upper() for want in listing.wants if not given[want]]
    if lacking:
        return f"no {' and no '.join(lacking)}"
    if listing.extra and find_spec(listing.extra) is None:
        return f"no package {listing.extra}: install pocketquant[yahoo]"
    return None


def make_provider(
    name: str, means: Means, *, key: str | None = None, secret: str | None = None, url: str | None = None
) -> Provider:
    """One provider, not connected yet; to be closed.

    Args:
        name: One of `PROVIDERS`.
        means: Its clock, its patience and its quota.
        key: Its API key or token, where it wants one.
        secret: The second half of the key.
        url: Another address than its own: a mirror, or a proxy.

    Raises:
        NoKey: A setting is missing without which it is never called.
        DeskError: There is no such provider, or a setting is no key or no address.
    """
    lacking = missing(name, key=key, secret=secret, url=url)
    if lacking:
        msg = f"provider {name} is unavailable: {lacking}; set it, or name another provider"
        raise NoKey(msg)
    for what, value in (("key", key), ("secret", secret)):
        if value and not (value.isascii() and value.isprintable()):
            msg = f"the {what} of provider {name} holds characters that no key has; set it again"
            raise DeskError(msg)
    return cast("Provider", _class(name)(means, key=key, secret=secret, url=url))


def _listing(name: str) -> Listing:
    try:
        return PROVIDERS[name]
    except KeyError:
        msg = f"provider {name!r} is none of {' '.join(PROVIDERS)}"
        raise DeskError(msg) from None


def _class(name: str) -> Any:
    module, _, kind = _listing(name).path.partition(":")
    return getattr(import_module(module), kind)
