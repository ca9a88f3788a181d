"""Data that lags behind the market: a bar whose end the lag has not passed may still change."""

from market.intervals import Interval
from market.sessions import bounds
from market.symbols import Symbol


def unsettled_from(symbol: Symbol, interval: Interval, horizon_ns: int) -> int:
    """Start (ns) from which on bars are not over yet, for data that reaches up to `horizon_ns` and no further.

    >>> minute = 60 * 10**9
    >>> unsettled_from(Symbol("KRAKEN", "BTCUSD"), Interval.H1, 500_000 * 60 * minute + 59 * minute) // minute
    30000000
    """
    held = bounds(symbol, interval, horizon_ns)
    return held[0] if held else horizon_ns + 1
