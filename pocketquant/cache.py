"""What Redis says now: the latest quotes and the forming bars."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

import redis

from infra.logs import Redaction
from market.errors import DeskError
from market.forming import Forming, FormingError, decode, key
from market.symbols import Symbol, SymbolError, parse_symbol

T = TypeVar("T")

QUOTES = "quotes"
"""Channel on which a symbol is published when its quote changed."""


class CacheAway(DeskError):  # noqa: N818  # A state of the world that passes, not a defect.
    """Redis does not answer, so there is nothing current to show."""


class Quote(NamedTuple):
    """The latest of one symbol; None where not known."""

    symbol: Symbol
    last: float | None
    bid: float | None
    ask: float | None
    bid_size: float | None
    ask_size: float | None
    event_time: int
    """ns, the venue's."""
    received_time: int
    """ns, ours."""
    feed: str
    kind: str
    """`trades` or `conflated`; with ` delayed` behind it where the venue holds its prices back."""
    session: str


class Cache:
    """Reads of the cache. Every method raises `CacheAway` when Redis does not answer within `timeout_s`."""

    def __init__(self, url: str, *, timeout_s: float = 1.0) -> None:
        self.where = Redaction().text(url)
        try:
            self._redis = redis.Redis.from_url(
                url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, protocol=2
            )
        except ValueError as error:
            msg = f"redis_url {self.where} is no Redis address: {error}; it begins with redis://, rediss:// or unix://"
            raise DeskError(msg) from error

    def ping(self) -> int:
        """Return the bytes that Redis uses, if it answers."""
        return int(self._ask(lambda: self._redis.info("memory"))["used_memory"])

    def quotes(self, symbols: Iterable[Symbol] | None = None) -> list[Quote]:
        """The latest quotes, of all symbols that have one unless some are named, by symbol."""
        wanted = sorted(symbols) if symbols is not None else self._all("quote:*")
        found = self._many(wanted, lambda pipe, symbol: pipe.hgetall(f"quote:{symbol}"))
        return [_quote(symbol, fields) for symbol, fields in zip(wanted, found, strict=True) if fields]

    def forming(self, symbols: Sequence[Symbol]) -> dict[Symbol, Forming]:
        """The bars that are not over yet, of those symbols that have any."""
        found = self._many(symbols, lambda pipe, symbol: pipe.get(key(symbol)))
        bars = {}
        for symbol, value in zip(symbols, found, strict=True):
            # Another version's value is as good as none: the store has what is closed.
            with suppress(FormingError):
                if value:
                    bars[symbol] = decode(value)
        return bars

    def close(self) -> None:
        """Let go of the connection."""
        self._redis.close()

    def _all(self, pattern: str) -> list[Symbol]:
        names = self._ask(lambda: list(self._redis.scan_iter(match=pattern, count=1000)))
        symbols = []
        for name in names:
            with suppress(SymbolError):
                symbols.append(parse_symbol(name.decode(errors="replace").partition(":")[2]))
        return sorted(symbols)

    def _many(self, symbols: Iterable[Symbol], add: Callable[[Any, Symbol], object]) -> list[Any]:
        pipe = self._redis.pipeline(transaction=False)
        for symbol in symbols:
            add(pipe, symbol)
        return self._ask(pipe.execute)

    def _ask(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except redis.RedisError as error:
            msg = f"Redis does not answer on {self.where} ({type(error).__name__}): start the desk with `pq up`"
            raise CacheAway(msg) from error


def _quote(symbol: Symbol, fields: dict[bytes, bytes]) -> Quote:
    def number(name: bytes) -> float | None:
        return float(fields[name]) if name in fields else None

    def word(name: bytes) -> str:
        return fields.get(name, b"").decode(errors="replace")

    return Quote(
        symbol,
        number(b"last"),
        number(b"bid"),
        number(b"ask"),
        number(b"bid_size"),
        number(b"ask_size"),
        int(fields.get(b"event_time", 0)),
        int(fields.get(b"received_time", 0)),
        word(b"feed"),
        word(b"kind") + (" delayed" if b"delayed" in fields else ""),
        word(b"session"),
    )
