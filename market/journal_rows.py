"""Rows of the journal: their table, their kinds and their checksum. Shared by its writer and its readers."""

import re
import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
from xxhash import xxh3_64_intdigest

from market.errors import DeskError
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from market.ticks import MARK, QUOTE, TICK, Batch

VERSION: Final = 1
"""Version of a journal file (`PRAGMA user_version`): of its tables and of the layout of `TICK`, `QUOTE` and `MARK`."""

DAY_FILE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\.sqlite")
"""Form of a journal file's name: the UTC day on which it was begun. Order by name is order by seq."""

SCHEMA: Final = """
CREATE TABLE rows(
  seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, domain INTEGER NOT NULL, clock INTEGER NOT NULL,
  count INTEGER NOT NULL, payload BLOB NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE streams(
  id INTEGER PRIMARY KEY, feed TEXT NOT NULL, exchange TEXT NOT NULL, ticker TEXT NOT NULL,
  kind INTEGER NOT NULL, domain INTEGER NOT NULL, extended INTEGER NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE starts(seq INTEGER PRIMARY KEY, reason TEXT NOT NULL);
CREATE TABLE clocks(
  domain INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL, first_clock INTEGER NOT NULL,
  last_seq INTEGER NOT NULL, last_clock INTEGER NOT NULL);
CREATE TABLE facts(name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
"""Tables of one journal file.

rows: see `Row`. streams: every stream known when the file was made, and those that came since. starts: sequence numbers
that do not follow the one before on purpose (the numbering began, or jumped so that none is used twice). clocks: per
domain the first and last row of it in this file and their clocks, renewed every few seconds: rows after the greatest
`last_seq` may not be in it yet. facts: `follows` (last sequence number of the file before, 0 in the first), `boot` (the
machine's boot in which the file was last written) and `closed` (1 after a clean close).
"""


class RowKind(IntEnum):
    """What a row's payload is."""

    TICKS = 1
    QUOTES = 2
    MARKS = 3


LAYOUT: Final = {RowKind.TICKS: TICK, RowKind.QUOTES: QUOTE, RowKind.MARKS: MARK}
"""Record type by kind."""

_HEADER = struct.Struct("<qqqqq")
_WRAP = 1 << 64
_SIGN = 1 << 63
_MASK = _WRAP - 1


RowValues = tuple[int, int, int, int, int, bytes, int]
"""A `Row` as SQLite gives it: where a million are read, the names cost more than the reading."""


class Row(NamedTuple):
    """One batch of one kind and one clock domain, as journaled."""

    seq: int
    """Place in the journal, >= 1, rising; one more than the row before, save after a power loss."""

    kind: int
    """A `RowKind`."""

    domain: int
    """Clock domain: 0 for the live feeds, >= 1 for each file of ticks."""

    clock: int
    """ns: the last `received_time` (ticks, quotes) or the last `time` (marks); of ticks and marks it never falls within
    a domain."""

    count: int  # type: ignore[assignment]  # Hides tuple.count, which nobody calls on a row.
    """Records in the payload, >= 1."""

    payload: bytes
    """The records' bytes."""

    checksum: int = 0
    """Over all the others, as `checksum` gives it."""

    @property
    def records(self) -> Batch:
        """The payload as a read-only array of `TICK`, `QUOTE` or `MARK`; no copy."""
        return np.frombuffer(self.payload, LAYOUT[RowKind(self.kind)])


class CorruptRow(DeskError):  # noqa: N818 - named for what it is: it is collected as often as it is raised.
    """Rows of the journal that cannot be given out: altered, torn, unreadable or missing."""

    def __init__(self, first_seq: int, last_seq: int, file: str, why: str) -> None:
        self.first_seq = first_seq
        """First sequence number concerned."""
        self.last_seq = last_seq
        """Last one, equal to `first_seq` for a single row."""
        self.file = file
        """Name of the day's file."""
        self.why = why
        """What was found."""
        rows = f"row {first_seq}" if first_seq == last_seq else f"rows {first_seq} to {last_seq}"
        super().__init__(f"journal file {file}, {rows}: {why}; the other rows are readable, a backup may hold these")


def checksum(seq: int, kind: int, domain: int, clock: int, count: int, payload: bytes) -> int:
    """Hash every column of a row: xxh3_64 of the payload, seeded by that of the columns, as a signed 64-bit integer.

    >>> checksum(1, 1, 0, 5, 1, b"a") == checksum(2, 1, 0, 5, 1, b"a")
    False
    """
    return _signed(xxh3_64_intdigest(payload, xxh3_64_intdigest(_HEADER.pack(seq, kind, domain, clock, count))))


def stream_values(stream: Stream) -> tuple[int, str, str, str, int, int, int, int]:
    """A stream as a row of `streams`, with its checksum."""
    symbol = stream.symbol
    columns = (
        stream.id, stream.feed, symbol.exchange, symbol.ticker, int(stream.kind), stream.domain, int(stream.extended),
    )  # fmt: skip
    return *columns, _signed(xxh3_64_intdigest(repr(columns).encode()))


def stream_of(values: tuple[Any, ...]) -> Stream:
    """A row of `streams` as a stream.

    Raises:
        ValueError: Its checksum does not match: a name in it may be another symbol's.
    """
    *columns, stored = values
    if _signed(xxh3_64_intdigest(repr(tuple(columns)).encode())) != stored:
        msg = f"stream {columns[0]} of the journal is damaged"
        raise ValueError(msg)
    number, feed, exchange, ticker, kind, domain, extended = columns
    return Stream(number, feed, Symbol(exchange, ticker), FeedKind(kind), domain, bool(extended))


def fault(row: RowValues) -> str | None:
    """Say what is wrong with a row as read from a file; None if it is as it was written.

    Args:
        row: Its columns. A damaged file may hold any type in any of them.
    """
    seq, kind, domain, clock, count, payload, stored = row
    if type(payload) is not bytes:
        return "the payload is no blob"
    try:
        found = checksum(seq, kind, domain, clock, count, payload)
    except struct.error:
        return "a column is no integer"
    return None if found == stored else "its checksum does not match"


def intact(rows: Sequence[RowValues], expected: int) -> int:
    """Count the rows at the front that are as they were written and numbered without a break.

    The same as asking `fault` of each, in a third of the time: a live journal has a row for every few ticks.

    Args:
        rows: As read from a file.
        expected: Number of the first.
    """
    pack, digest = _HEADER.pack, xxh3_64_intdigest
    n = 0
    try:
        for seq, kind, domain, clock, count, payload, stored in rows:
            found = digest(payload, digest(pack(seq, kind, domain, clock, count)))
            # The stored one is signed; the difference is 0 or 2**64 where they agree.
            if seq != expected + n or (found - stored) & _MASK:
                break
            n += 1
    except (TypeError, struct.error):
        # A damaged file holds any type in any column, and only bytes can be hashed; `fault` says which it was.
        pass
    return n


def _signed(value: int) -> int:
    """SQLite's integers have a sign."""
    return value - _WRAP if value >= _SIGN else value
