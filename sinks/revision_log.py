"""The log of revisions: rows in sealed segments, chained by hashes. Pure: bytes in, bytes out; engines store them.

A segment holds consecutive rows of one writer: a header, the names that its rows' `stream` stands for, the rows, and
two hashes. `hash` (BLAKE2b-256) covers everything else in the segment, `prev_hash` among it, so each segment vouches
for all before it. Beside each row stands a check of 64 bits over its bytes, its name and its place in the log: the
chain tells *that* something is wrong, the checks tell *which row*, and where a row that moved belongs.
"""

import struct
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from market.bars import BAR, BarBatch
from market.symbols import Symbol
from sinks.bar_store import Logged, Name

FORMAT: Final = 1
"""Version of the segment's layout; hashed with it."""

SEGMENT_ROWS: Final = 100_000
"""Most rows in a segment: 10.4 MB, so that a segment fits a MongoDB document (16 MB) with its names."""

GENESIS: Final = bytes(32)
"""`prev_hash` of a writer's first segment."""

LOG_ROW: Final = np.dtype([("bar", BAR), ("check", "<u8")])
"""A logged bar, 104 bytes; `bar.stream` indexes the segment's names."""

_HEADER: Final = struct.Struct("<IqqqqqqqII")
_WORDS: Final = BAR.itemsize // 8
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_PLACE: Final = np.uint64(0xD6E8FEB86659FD93)
_UNPLACE: Final = np.uint64(pow(0xD6E8FEB86659FD93, -1, 2**64))
_SHIFT: Final = np.uint64(29)


class Segment(NamedTuple):
    """Consecutive rows of one writer's log, sealed."""

    writer: str
    first_seq: int
    """Place of the first row in the writer's log, from 1."""
    last_seq: int
    upto: int
    """Journal sequence that the writer's position moved to with this segment; 0 for writers that read no journal."""
    start_from: int
    """Smallest start of a bar in it, ns."""
    start_to: int
    """Largest start of a bar in it, ns."""
    known_from: int
    """Smallest `updated_at` in it, ns."""
    known_to: int
    """Largest `updated_at` in it, ns."""
    names: bytes
    """JSON: `[[feed, exchange, ticker], ...]`."""
    rows: bytes
    """`LOG_ROW` records."""
    prev_hash: bytes
    hash: bytes


class Head(NamedTuple):
    """Where a writer's log ends."""

    last_seq: int
    hash: bytes
    upto: int


def noted_head(last_seq: Any, own_hash: Any) -> Head:
    """A head as a store has noted it, whatever somebody made of the note."""
    noted = int(last_seq) if isinstance(last_seq, int) else -1
    return Head(noted, own_hash if isinstance(own_hash, bytes) else b"", 0)


EMPTY: Final = Head(0, GENESIS, 0)
"""The head of a log without rows."""


def seal(writer: str, head: Head, rows: NDArray[np.void], names: tuple[Name, ...], upto: int) -> Segment:
    """Make the segment that follows `head`.

    Args:
        writer: Whose log.
        head: Where the log ends so far.
        rows: 1 to `SEGMENT_ROWS` records of `BAR`, in order; `stream` indexes `names`.
        names: Sources and symbols of the rows.
        upto: See `Segment.upto`.
    """
    assert 0 < len(rows) <= SEGMENT_ROWS, f"a segment of {len(rows)} rows"
    logged = np.empty(len(rows), dtype=LOG_ROW)
    logged["bar"] = rows
    first, last = head.last_seq + 1, head.last_seq + len(rows)
    logged["check"] = _content(rows, names) ^ (np.arange(first, last + 1, dtype=np.uint64) * _PLACE)
    segment = Segment(
        writer=writer,
        first_seq=first,
        last_seq=last,
        upto=upto,
        start_from=int(rows["start"].min()),
        start_to=int(rows["start"].max()),
        known_from=int(rows["updated_at"].min()),
        known_to=int(rows["updated_at"].max()),
        names=msgspec.json.encode([(name.feed, name.symbol.exchange, name.symbol.ticker) for name in names]),
        rows=logged.tobytes(),
        prev_hash=head.hash,
        hash=b"",
    )
    return segment._replace(hash=digest(segment))


def to_names(
    batch: BarBatch, chosen: NDArray[np.int64], revision: NDArray[np.uint32]
) -> tuple[NDArray[np.void], tuple[Name, ...]]:
    """Rows of a batch as a segment holds them: with names of its own, and the revisions that the store gave.

    Args:
        batch: The batch.
        chosen: Which of its rows, at least one.
        revision: By row of the batch.
    """
    rows = batch.rows[chosen]
    rows["revision"] = revision[chosen]
    used = np.flatnonzero(np.bincount(rows["stream"]))
    renamed = np.zeros(int(used[-1]) + 1, dtype=np.uint16)
    renamed[used] = np.arange(len(used))
    rows["stream"] = renamed[rows["stream"]]
    streams = (batch.streams[place] for place in used.tolist())
    return rows, tuple(Name(stream.feed, stream.symbol) for stream in streams)


def digest(segment: Segment) -> bytes:
    """The hash that the segment ought to have."""
    writer = segment.writer.encode()
    header = _HEADER.pack(
        FORMAT,
        segment.first_seq,
        segment.last_seq,
        segment.upto,
        segment.start_from,
        segment.start_to,
        segment.known_from,
        segment.known_to,
        len(writer),
        len(segment.names),
    )
    state = blake2b(header, digest_size=32)
    for part in (writer, segment.names, segment.prev_hash, segment.rows):
        state.update(part)
    return state.digest()


def as_stored(values: Iterable[Any]) -> Segment:
    """A segment from its fields as a store returned them, in their order.

    Whatever somebody put into a field becomes a value of its type: it then fails the check instead of the program.
    """
    writer, *others = values
    numbers = [int(value) if isinstance(value, int) else -1 for value in others[:7]]
    parts = [value if isinstance(value, bytes) else str(value).encode() for value in others[7:]]
    first, last, upto, start_from, start_to, known_from, known_to = numbers
    names, rows, prev_hash, own_hash = parts
    text = str(writer)
    return Segment(
        text, first, last, upto, start_from, start_to, known_from, known_to, names, rows, prev_hash, own_hash
    )


def head_of(segment: Segment) -> Head:
    """The head of a log that ends with this segment."""
    return Head(segment.last_seq, segment.hash, segment.upto)


def decode(segment: Segment) -> Logged:
    """Read an intact segment.

    Raises:
        ValueError: It is not intact: its hash is not that of its content.
    """
    if digest(segment) != segment.hash:
        msg = f"the log of {segment.writer} was altered in rows {segment.first_seq} to {segment.last_seq}"
        raise ValueError(msg)
    rows = np.frombuffer(segment.rows, dtype=LOG_ROW)["bar"]
    seqs = np.arange(segment.first_seq, segment.last_seq + 1, dtype=np.int64)
    return Logged(segment.writer, seqs, rows, read_names(segment.names))


def read_names(names: bytes) -> tuple[Name, ...]:
    """Read a segment's names.

    Raises:
        ValueError: They are not what `seal` writes.
    """
    try:
        found = msgspec.json.decode(names, type=list[tuple[str, str, str]])
    except msgspec.MsgspecError as error:
        msg = f"the names of a segment cannot be read: {error}"
        raise ValueError(msg) from error
    return tuple(Name(feed, Symbol(exchange, ticker)) for feed, exchange, ticker in found)


def places(logged: NDArray[np.void], names: tuple[Name, ...]) -> NDArray[np.uint64]:
    """The place in the log that each row's check vouches for; a huge number, as good as random, for an altered row."""
    found: NDArray[np.uint64] = (logged["check"] ^ _content(logged["bar"], names)) * _UNPLACE
    return found


def _content(rows: NDArray[np.void], names: tuple[Name, ...]) -> NDArray[np.uint64]:
    """64 bits over each row and its name.

    Every step maps the state one to one for a given word, and the word one to one for a given state, so a change within
    one of the row's twelve words is always seen, and any other with a chance of 1 in 2^64 to be missed.
    """
    known = np.array([_name_hash(name) for name in names] or [0], dtype=np.uint64)
    # An altered row may point beyond the names.
    state = known[np.minimum(rows["stream"], len(known) - 1)]
    words = np.ascontiguousarray(rows).view(np.uint64).reshape(len(rows), _WORDS)
    for word in np.ascontiguousarray(words.T):
        state = (state ^ word) * _MIX
        state ^= state >> _SHIFT
    mixed: NDArray[np.uint64] = state
    return mixed


@lru_cache(maxsize=1 << 16)
def _name_hash(name: Name) -> int:
    text = "\0".join((name.feed, *name.symbol)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")
