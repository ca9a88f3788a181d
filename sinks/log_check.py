"""The check of a log: which rows were altered, are missing, or stand at another's place. Pure.

The chain of hashes decides *whether* something is wrong; the rows' own checks are asked only then.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from market.intervals import Interval
from sinks.bar_store import Finding, Name, Wrong
from sinks.revision_log import GENESIS, LOG_ROW, Head, Segment, digest, places, read_names

if TYPE_CHECKING:
    from market.symbols import Symbol

_PLACES: Final = 1 << 40
"""No log is longer; a check that vouches for a place from here on vouches for nothing."""


def check_chain(writer: str, segments: Iterable[Segment], head: Head | None, *, lags: bool) -> Iterator[Finding]:
    """Check one writer's log.

    Args:
        writer: Whose log.
        segments: All that the store holds of it, by `first_seq`.
        head: Where the store has noted, apart from the segments, that the log ends; `None` if it has noted nothing.
        lags: Whether that note may be older than the last segments.

    Yields:
        What is wrong, in the order of the log; nothing if all is as it was written.
    """
    last: Segment | None = None
    sound = True
    due = 1
    for segment in segments:
        follows = segment.prev_hash == (GENESIS if last is None else last.hash)
        if not sound and follows:
            # What a damaged segment says of its own end is worth less than its successor's word.
            due = segment.first_seq
        found: list[Finding] = []
        if digest(segment) != segment.hash:
            found = list(_rows(segment, due))
        elif segment.first_seq == due and not follows and sound:
            # Both are whole, and yet one was not written after the other: one of them was made anew, hash and all.
            found = [_replaced(segment if last is None else last)]
        if segment.first_seq > due:
            yield _range(Wrong.MISSING, writer, due, segment.first_seq - 1, "the log jumps over them")
        yield from found
        sound = not found
        last, due = segment, max(due, segment.last_seq + 1)
    if head is None:
        return
    if due <= head.last_seq:
        yield _range(Wrong.MISSING, writer, due, head.last_seq, "the store has noted that the log went on to there")
    elif last is not None and sound:
        ends_there = last.last_seq == head.last_seq
        if (ends_there and last.hash != head.hash) or not (ends_there or lags):
            text = f"the store has noted that the log ends with row {head.last_seq}, by another hash or place"
            yield _range(Wrong.ALTERED, writer, last.first_seq, last.last_seq, text)


def _rows(segment: Segment, due: int) -> Iterator[Finding]:
    """What is wrong inside a segment whose hash is not that of its content, where row `due` ought to begin."""
    count = len(segment.rows) // LOG_ROW.itemsize
    first = segment.first_seq if 0 < segment.first_seq < _PLACES else due
    last = segment.last_seq if first <= segment.last_seq < _PLACES else first + max(count, 1) - 1
    whole = (segment.writer, first, last)
    try:
        names = read_names(segment.names)
    except ValueError:
        yield _range(Wrong.ALTERED, *whole, "the names of their symbols cannot be read")
        return
    logged = _aligned(segment.rows, names)
    found = places(logged, names)
    claims = np.where(found < np.uint64(_PLACES), found, np.uint64(0)).astype(np.int64)
    here = first + np.arange(count)
    if count == last - first + 1 and (claims == here).all():
        yield _range(Wrong.ALTERED, *whole, "their rows are whole, but not what stands around them in the segment")
        return
    if count and claims[0] not in (0, first) and (claims - here == claims[0] - first).all():
        beheaded = claims[-1] == last and count < last - first + 1
        if not beheaded:
            text = f"they stand where rows {here[0]} to {here[-1]} belong"
            yield _range(Wrong.REORDERED, segment.writer, int(claims[0]), int(claims[-1]), text)
            return
    ordered = np.sort(claims)
    due = first
    for place, claim in enumerate(claims.tolist()):
        if claim > due and np.searchsorted(ordered, due) == np.searchsorted(ordered, min(claim, last + 1)):
            yield _range(Wrong.MISSING, segment.writer, due, claim - 1, "the segment jumps over them")
            due = claim
        if claim == 0:
            text = "its bytes are not those that were written"
            yield _row(Wrong.ALTERED, segment.writer, due, logged[place], names, text)
        elif claim != due:
            text = f"it stands at the place of row {due}"
            yield _row(Wrong.REORDERED, segment.writer, claim, logged[place], names, text)
        due += 1
    if due <= last:
        yield _range(Wrong.MISSING, segment.writer, due, last, "the segment ends before them")


def _aligned(data: bytes, names: tuple[Name, ...]) -> NDArray[np.void]:
    """The rows of a segment, also where bytes were cut out of it: what fits from the front, then from the back."""
    size = LOG_ROW.itemsize
    extra = len(data) % size
    front = np.frombuffer(data, dtype=LOG_ROW, count=len(data) // size)
    if not extra or not len(front):
        return front
    back = np.frombuffer(data, dtype=LOG_ROW, offset=extra)
    broken = np.flatnonzero(places(front, names) >= np.uint64(_PLACES))
    cut = int(broken[0]) if len(broken) else len(front)
    return np.concatenate((front[:cut], back[cut:]))


def _row(wrong: Wrong, writer: str, seq: int, row: NDArray[np.void], names: tuple[Name, ...], text: str) -> Finding:
    bar = row["bar"]
    symbol: Symbol | None = names[int(bar["stream"])].symbol if bar["stream"] < len(names) else None
    interval = Interval(int(bar["interval"])) if bar["interval"] <= max(Interval) else None
    return Finding(wrong, writer, seq, seq, symbol, interval, int(bar["start"]), text)


def _range(wrong: Wrong, writer: str, first: int, last: int, text: str) -> Finding:
    return Finding(wrong, writer, first, last, None, None, None, text)


def _replaced(segment: Segment) -> Finding:
    text = "whole in itself, but not what the rest of the log was chained to"
    return _range(Wrong.ALTERED, segment.writer, segment.first_seq, segment.last_seq, text)
