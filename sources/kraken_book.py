"""Kraken's book checksum: over the digits as the venue wrote them, which a float would change.

Source: https://docs.kraken.com/api/docs/guides/spot-ws-book-v2: ten asks from the lowest, then ten bids from the
highest; of each the price and the quantity without the point and without leading zeros; CRC32 of all of it.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

from market.errors import DeskError
from sources.frames import READ_ERRORS, clip

DEPTH: Final = 10


class Level(NamedTuple):
    """One price of a book, in the venue's own digits."""

    price: str
    """Quote currency per unit: `65142.0`, whose last zero counts."""

    quantity: str
    """Base units: `0.00005100`."""


class Book(NamedTuple):
    """A snapshot or an update of one symbol's book, as one frame holds it."""

    symbol: str
    """In the venue's spelling."""

    asks: tuple[Level, ...]
    """As sent: from the lowest price up in a snapshot."""

    bids: tuple[Level, ...]
    """As sent: from the highest price down in a snapshot."""

    checksum: int
    """The venue's own, of the book after this message."""


class _RawLevel(msgspec.Struct):
    price: msgspec.Raw
    qty: msgspec.Raw


class _RawBook(msgspec.Struct):
    symbol: str
    checksum: int
    asks: list[_RawLevel] = []
    bids: list[_RawLevel] = []


class _Frame(msgspec.Struct, tag_field="channel", tag="book"):
    data: list[_RawBook]


_decode = msgspec.json.Decoder(_Frame).decode


def read_books(frame: str | bytes) -> list[Book]:
    """The books in one frame of the `book` channel, every number as text.

    Raises:
        DeskError: The frame is no such message.
    """
    try:
        message = _decode(frame)
    except READ_ERRORS as error:
        msg = f"kraken book frame unreadable: {error}; in {clip(frame)}"
        raise DeskError(msg) from error
    return [Book(raw.symbol, _levels(raw.asks), _levels(raw.bids), raw.checksum) for raw in message.data]


def book_checksum(asks: Iterable[Level], bids: Iterable[Level]) -> int:
    """What the venue's checksum must be for this book.

    Args:
        asks: From the lowest price up; the first ten count.
        bids: From the highest price down; the first ten count.

    >>> book_checksum([Level("0.05005", "0.00000500")], []) == crc32(b"5005" b"500")
    True
    """
    text = "".join(_digits(number) for side in (asks, bids) for level in islice(side, DEPTH) for number in level)
    return crc32(text.encode())


def _digits(number: str) -> str:
    return number.replace(".", "", 1).lstrip("0")


def _levels(raw: Sequence[_RawLevel]) -> tuple[Level, ...]:
    return tuple(Level(bytes(level.price).decode(), bytes(level.qty).decode()) for level in raw)
