"""Streams: one symbol as one feed reports it. What the journal's records and the kernel's state are keyed by."""

from enum import IntEnum
from typing import Final, NamedTuple
from zlib import crc32

from market.symbols import Symbol

SHARDS: Final = 8
"""Keys of the bars dataflow; recovery data."""


class FeedKind(IntEnum):
    """What a feed's ticks are."""

    TRADES = 0
    """Each public trade, or aggregates of consecutive trades with their count."""
    CONFLATED = 1
    """Samples of the last price: not every trade, and the count is unknown."""


class Stream(NamedTuple):
    """One symbol on one feed."""

    id: int
    """Index in the journal, 0 to 65,534, given once in order of appearance."""

    feed: str
    """`kraken`, `sim`, `file:3f2a9c01` (a file of ticks, by the first 8 hex digits of its hash)."""

    symbol: Symbol
    """The instrument."""

    kind: FeedKind
    """Trades or conflated."""

    domain: int
    """Clock domain: 0 for all live feeds, which share ingest's clock; each tick file has one of its own, >= 1."""

    extended: bool = False
    """Whether ticks outside the regular session enter bars."""

    @property
    def shard(self) -> int:
        """The key that this stream's state lives under: crc32 of the symbol mod 8, the same for all its feeds."""
        return crc32(str(self.symbol).encode()) % SHARDS
