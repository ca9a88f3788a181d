"""Which feed carries a symbol."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from market.errors import DeskError
from market.symbols import Symbol

if TYPE_CHECKING:
    from infra.settings import Settings

EXCHANGES: Final = {"SIM": "sim", "KRAKEN": "kraken", "COINBASE": "coinbase", "BINANCE": "binance", "OKX": "okx"}
"""The feed that serves an exchange by itself; TradingView serves these and all others, where it is switched on."""


def feed_for(symbol: Symbol, running: Sequence[str] = (), asked: str | None = None) -> str:
    """The feed on which to follow a symbol.

    Args:
        symbol: The instrument.
        running: Feeds that run, or will.
        asked: The one that the user names.

    Raises:
        DeskError: The feed that is asked for does not carry the exchange, or none of those that run does.

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
    if own is not None and (own in running or not running):
        return own
    if own != "sim" and (not running or "tradingview" in running):
        return "tradingview"
    carries = " or ".join(dict.fromkeys([own or "tradingview", *([] if own == "sim" else ["tradingview"])]))
    msg = f"{symbol} is not carried by feed {' '.join(running)}, which runs: {carries} does (`pq up --feed ...`)"
    raise DeskError(msg)


def running_feeds(settings: "Settings") -> list[str]:
    """Feeds of the desk that runs now; none where none does."""
    from infra.status import read_status
    from pocketquant.hold import running_pid

    if running_pid(settings.folders) is None:
        return []
    status = read_status(settings.folders.status_file("supervisor")) or {}
    return [str(feed) for feed in status.get("feeds", [])]
