"""Which feed carries a symbol."""

from collections.abc import Sequence
from typing import Final

from market.errors import DeskError
from market.symbols import Symbol

EXCHANGES: Final = {"SIM": "sim", "KRAKEN": "kraken", "COINBASE": "coinbase", "BINANCE": "binance", "OKX": "okx"}
"""The feed that serves an exchange by itself; TradingView serves these and all others, where it is switched on."""

FIRST_SYMBOLS: Final = {
    "sim": ("SIM:BTCUSD", "SIM:ETHUSD", "SIM:SOLUSD", "SIM:XRPUSD", "SIM:DOGEUSD"),
    "kraken": ("KRAKEN:BTCUSD", "KRAKEN:ETHUSD", "KRAKEN:SOLUSD"),
    "coinbase": ("COINBASE:BTCUSD", "COINBASE:ETHUSD", "COINBASE:SOLUSD"),
    "binance": ("BINANCE:BTCUSDT", "BINANCE:ETHUSDT", "BINANCE:SOLUSDT"),
    "okx": ("OKX:BTCUSDT", "OKX:ETHUSDT", "OKX:SOLUSDT"),
    "tradingview": ("NASDAQ:AAPL", "FX:EURUSD"),
}
"""What a feed is subscribed to until somebody has asked for anything on it."""


def feed_for(symbol: Symbol, running: Sequence[str] = (), asked: str | None = None) -> str:
    """The feed on which to follow a symbol.

    Args:
        symbol: The instrument.
        running: Feeds that run, or will.
        asked: The one that the user names.

    Raises:
        DeskError: The feed that is asked for does not carry the exchange, or only TradingView could and does not run.

    >>> feed_for(Symbol("KRAKEN", "BTCUSD"))
    'kraken'
    """
    own = EXCHANGES.get(symbol.exchange)
    if asked is not None and asked not in {own, "tradingview"}:
        carries = own or "tradingview"
        msg = f"{symbol} is not carried by feed {asked}; {carries} does: leave out --feed, or use --feed {carries}"
        raise DeskError(msg)
    if symbol.exchange == "SIM" and asked == "tradingview":
        msg = f"{symbol} is made up by the simulated exchange; feed tradingview does not know it"
        raise DeskError(msg)
    if asked is not None:
        return asked
    if own is not None:
        return own
    if running and "tradingview" not in running:
        msg = (
            f"{symbol}: exchange {symbol.exchange} is carried by feed tradingview alone, which is off; "
            "start the desk with `pq up --feed tradingview`, or use one of " + " ".join(EXCHANGES)
        )
        raise DeskError(msg)
    return "tradingview"
