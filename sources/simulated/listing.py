"""What the simulated exchange lists: its symbols, their price steps and how much each is traded."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from market.errors import DeskError
from market.spelling import to_venue
from market.symbols import Symbol, parse_symbol

EXCHANGE: Final = "SIM"
SYMBOLS_MAX: Final = 10_000
QUIET_EVERY_S: Final = 180.0
"""Mean time between the trades of a quiet symbol, s."""

DAY_S: Final = 86_400

_KNOWN: Final = {
    # Ticker: first price, decimals of a price, volatility a year, description. The descriptions hold characters that
    # take two bytes, and two UTF-16 units, so that a client that counts a frame's length wrongly is found out.
    "BTCUSD": (64_000.0, 1, 0.55, "Bitcoin ₿ / Dollar, simulated"),
    "ETHUSD": (3_200.0, 2, 0.7, "Ether Ξ / Dollar, simulated"),
    "SOLUSD": (150.0, 3, 0.9, "Solana / Dollar, simulated"),
    "XRPUSD": (2.1, 5, 0.9, "XRP / Dollar, simulated"),
    "DOGEUSD": (0.16, 6, 1.1, "Dogecoin \N{DOG FACE} / Dollar, simulated"),
}


class Session(NamedTuple):
    """Hours in which a symbol trades, Monday to Friday."""

    open_s: int
    """Seconds after midnight UTC, inclusive."""

    close_s: int
    """Seconds after midnight UTC, exclusive, > `open_s`."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One symbol of the exchange."""

    symbol: Symbol
    description: str
    price: float
    """First price, dollars."""

    decimals: int
    """Digits after the point of a price; the price step is `10 ** -decimals`."""

    volatility: float
    """Standard deviation of a year's log return."""

    weight: float
    """Expected trades a second while it trades."""

    session: Session | None
    """None: round the clock."""

    @property
    def pair(self) -> str:
        """The spelling of Kraken's protocol: `BTC/USD`."""
        return to_venue(self.symbol, "sim")

    @property
    def currency(self) -> str:
        """Quote currency: `USD`."""
        return self.pair.partition("/")[2]


def read_symbols(text: str) -> list[Symbol]:
    """Read `--symbols`: a count, or a comma-separated list of symbols or tickers.

    A count takes the five known ones first, then S0001USD, S0002USD and so on.

    Raises:
        DeskError: The count is not 1 to 10,000, or a name is no pair of the exchange or comes twice.

    >>> [str(symbol) for symbol in read_symbols("6")][-2:]
    ['SIM:DOGEUSD', 'SIM:S0001USD']
    """
    if text.strip().isdecimal():
        count = int(text)
        if not 1 <= count <= SYMBOLS_MAX:
            msg = f"--symbols takes a count of 1 to {SYMBOLS_MAX:,} or a list such as SIM:BTCUSD,SIM:ETHUSD; got {text}"
            raise DeskError(msg)
        tickers = [*_KNOWN, *(f"S{number:04d}USD" for number in range(1, count + 1))][:count]
        return [Symbol(EXCHANGE, ticker) for ticker in tickers]
    symbols = []
    for part in text.split(","):
        name = part.strip()
        try:
            symbol = parse_symbol(name if ":" in name else f"{EXCHANGE}:{name}")
            if symbol.exchange == EXCHANGE:
                to_venue(symbol, "sim")
        except ValueError as error:
            msg = f"--symbols: {error}"
            raise DeskError(msg) from error
        if symbol.exchange != EXCHANGE:
            msg = f"--symbols: {symbol} is not on the simulated exchange; write {EXCHANGE}:{symbol.ticker}"
            raise DeskError(msg)
        if symbol in symbols:
            msg = f"--symbols: {symbol} comes twice; name each symbol once"
            raise DeskError(msg)
        symbols.append(symbol)
    if len(symbols) > SYMBOLS_MAX:
        msg = f"--symbols lists {len(symbols):,} symbols; at most {SYMBOLS_MAX:,} fit"
        raise DeskError(msg)
    return symbols


def list_instruments(
    symbols: Sequence[Symbol],
    *,
    seed: int,
    rate: float,
    quiet: int = 0,
    session_symbols: int = 0,
    session: Session | None = None,
    skew: float = 0.5,
) -> tuple[Instrument, ...]:
    """Give each symbol its price, its step and its share of the trades.

    Args:
        symbols: In the order of their activity.
        seed: Of the invented prices.
        rate: Trades a second in all, 1 to 200,000.
        quiet: The last `quiet` symbols trade every few minutes only.
        session_symbols: This many before the quiet ones trade in `session` only.
        session: Their hours.
        skew: Exponent of activity over rank: 0 trades all alike, 1 is Zipf's law.

    Raises:
        DeskError: More quiet and session symbols than symbols.
    """
    if quiet + session_symbols > len(symbols):
        msg = f"{quiet} quiet and {session_symbols} session symbols do not fit into {len(symbols)} symbols"
        raise DeskError(msg)
    rng = np.random.default_rng([seed, 0x11575])
    prices = np.exp(rng.normal(3.5, 1.5, len(symbols)))
    volatilities = rng.uniform(0.2, 0.9, len(symbols))
    weights = _weights(len(symbols), rate, quiet, skew)
    first_quiet = len(symbols) - quiet
    instruments = []
    for place, symbol in enumerate(symbols):
        price, decimals, volatility, description = _KNOWN.get(
            symbol.ticker,
            (float(prices[place]), -1, float(volatilities[place]), f"{symbol.ticker} é, simulated"),
        )
        if decimals < 0:
            # Steps of about a basis point, as venues choose them.
            decimals = min(8, max(0, 4 - math.floor(math.log10(price))))
        timed = first_quiet - session_symbols <= place < first_quiet
        instruments.append(
            Instrument(
                symbol=symbol,
                description=description,
                price=price,
                decimals=decimals,
                volatility=volatility,
                weight=float(weights[place]),
                session=session if timed else None,
            ),
        )
    return tuple(instruments)


def _weights(count: int, rate: float, quiet: int, skew: float) -> NDArray[np.float64]:
    """Trades a second by symbol, in sum `rate`."""
    weights = (np.arange(count) + 1.0) ** -skew
    first_quiet = count - quiet
    weights[first_quiet:] = min(1 / QUIET_EVERY_S, rate / count)
    if first_quiet:
        weights[:first_quiet] *= (rate - weights[first_quiet:].sum()) / weights[:first_quiet].sum()
    return np.asarray(weights, np.float64)


def is_open(session: Session | None, time_s: float) -> bool:
    """Whether a symbol with these hours trades at `time_s` (seconds since 1970 UTC)."""
    if session is None:
        return True
    day, second = divmod(time_s, DAY_S)
    # 1970-01-01 was a Thursday; Monday is 0.
    return (int(day) + 3) % 7 < 5 and session.open_s <= second < session.close_s
