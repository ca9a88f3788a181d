"""How the forming bars of one stream are written in the cache.

Layout of version 1: the version (1 byte), the length of the feed's name (1 byte), the name in UTF-8, `BAR` records. A
reader that finds another version says so and shows nothing, which is what a cache may do.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from market.bars import BAR
from market.symbols import Symbol

VERSION: Final = 1
TTL_S: Final = 300
"""Seconds that a written value is readable unless it is written again; renewed while a bar is open."""


class FormingError(ValueError):
    """A cached value that is not of the known layout; the message says how."""


class Forming(NamedTuple):
    """All bars of one stream that are not over yet."""

    feed: str
    """Where its ticks come from; the bars' `source`."""

    rows: NDArray[np.void]
    """`BAR` records, read-only, one per interval and more while two minutes are open; by interval, then start."""


def key(symbol: Symbol) -> str:
    """The cache's key of a symbol's forming bars.

    >>> key(Symbol("KRAKEN", "BTCUSD"))
    'forming:KRAKEN:BTCUSD'
    """
    return f"forming:{symbol}"


def prefix(feed: str) -> bytes:
    """What stands before the records, the same for all values of one feed.

    Raises:
        FormingError: The feed's name has more than 255 bytes.
    """
    name = feed.encode()
    if len(name) > 255:
        msg = f"feed name {feed[:40]!r}... has {len(name)} bytes; at most 255 fit a cached value"
        raise FormingError(msg)
    return bytes((VERSION, len(name))) + name


def encode(feed: str, rows: NDArray[np.void]) -> bytes:
    """One value of the cache.

    Args:
        feed: The stream's feed.
        rows: `BAR` records of that stream.
    """
    return prefix(feed) + rows.tobytes()


def decode(value: bytes) -> Forming:
    """Read what `encode` wrote.

    Raises:
        FormingError: Another version, or a length that no number of bars has.
    """
    if len(value) < 2 or value[0] != VERSION:
        found = value[0] if value else "nothing"
        msg = f"cached bars have version {found}, this program reads version {VERSION}"
        raise FormingError(msg)
    start = 2 + value[1]
    if len(value) < start or (len(value) - start) % BAR.itemsize:
        msg = f"cached bars have {len(value)} bytes, which is no whole number of {BAR.itemsize}-byte bars"
        raise FormingError(msg)
    try:
        feed = value[2:start].decode()
    except UnicodeDecodeError as error:
        msg = f"cached bars name a feed that is not UTF-8: {value[2:start]!r}"
        raise FormingError(msg) from error
    return Forming(feed, np.frombuffer(value, BAR, offset=start))
