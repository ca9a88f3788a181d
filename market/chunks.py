"""Chunks: consecutive journal rows of one clock domain, joined so that a kernel is called once for many small rows."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from market.journal_rows import RowKind, RowValues
from market.streams import Stream
from market.ticks import MARK, TICK, Batch

BEAT_NS: Final = 50_000_000
"""A tick row beats where its clock enters another multiple of this; changing it changes revisions, so it is recovery
data."""


QUOTES: Final = int(RowKind.QUOTES)
MARKS: Final = int(RowKind.MARKS)
"""Plain numbers, since comparing with an enum's member costs as much as the rest of a row."""


class Position(NamedTuple):
    """How far a reader has come: all that the next chunk depends on."""

    seq: int = 0
    """Every row up to this one has been read."""

    clocks: Mapping[int, int] = MappingProxyType({})
    """Clock of the last row that was no quotes row, ns, by domain; absent before a domain's first. One entry a domain
    ever journaled: the live one and each file."""


class Chunk(NamedTuple):
    """n >= 1 ticks and marks rows of one domain, in the order of the journal, with nothing but quotes rows between."""

    domain: int
    """Clock domain of every row."""

    first_seq: int
    """Sequence of the first row."""

    last_seq: int
    """Every row up to this one is in this chunk or an earlier one, or was a quotes row."""

    ticks: Batch
    """`TICK` records of all ticks rows, read-only."""

    marks: Batch
    """`MARK` records of all marks rows, read-only."""

    row_seq: NDArray[np.int64]
    """n: sequence of each row."""

    row_clock: NDArray[np.int64]
    """n: clock of each row, ns."""

    row_first_tick: NDArray[np.int64]
    """n + 1: ticks of row k are `ticks[row_first_tick[k]:row_first_tick[k + 1]]`; none for a marks row."""

    row_first_mark: NDArray[np.int64]
    """n + 1: marks of row k are `marks[row_first_mark[k]:row_first_mark[k + 1]]`; none for a ticks row."""

    row_beat: NDArray[np.bool_]
    """n: after this row all streams of the domain advance to its clock."""

    streams: tuple[Stream, ...]
    """All streams known to the journal by then, `streams[i].id == i`; grows, and is the same object until it does."""


def join(rows: Sequence[RowValues], position: Position, streams: tuple[Stream, ...]) -> tuple[list[Chunk], Position]:
    """Join rows into as few chunks as their domains allow.

    Args:
        rows: In the order of the journal, each intact, all after `position`.
        position: Where the rows before ended.
        streams: All streams that the rows may name.

    Returns:
        The chunks, and the position after the last row. Quotes rows are passed over: rows of quotes alone give no
        chunk, but move the position.
    """
    if not rows:
        return [], position
    clocks = dict(position.clocks)
    chunks: list[Chunk] = []
    pending: list[RowValues] = []
    pending_domain = -1
    for row in rows:
        seq, kind, domain, _, _, _, _ = row
        if kind == QUOTES:
            continue
        if domain != pending_domain:
            if pending:
                chunks.append(_chunk(pending, seq - 1, clocks, streams))
                pending = []
            pending_domain = domain
        pending.append(row)
    last_seq = rows[-1][0]
    if pending:
        chunks.append(_chunk(pending, last_seq, clocks, streams))
    return chunks, Position(last_seq, clocks)


def _chunk(rows: list[RowValues], last_seq: int, clocks: dict[int, int], streams: tuple[Stream, ...]) -> Chunk:
    """Make one chunk of rows of one domain; notes its last clock in `clocks`."""
    n = len(rows)
    domain = rows[0][2]
    if n == 1:
        return _single(rows[0], last_seq, clocks, streams)
    seqs, kinds, _, row_clocks, counts, payloads, _ = zip(*rows, strict=True)
    clock = np.array(row_clocks, np.int64)
    is_marks = np.array(kinds, np.int64) == MARKS
    count = np.array(counts, np.int64)
    beat = is_marks.copy()
    beats = clock // BEAT_NS
    beat[1:] |= beats[1:] > beats[:-1]
    beat[0] |= _beats(clocks.get(domain), row_clocks[0])
    clocks[domain] = row_clocks[-1]
    if is_marks.any():
        ticks = _records((p for p, kind in zip(payloads, kinds, strict=True) if kind != MARKS), TICK)
        marks = _records((p for p, kind in zip(payloads, kinds, strict=True) if kind == MARKS), MARK)
        first_tick = _offsets(np.where(is_marks, 0, count))
        first_mark = _offsets(np.where(is_marks, count, 0))
    else:
        ticks, marks = _records(payloads, TICK), _NO_MARKS
        first_tick, first_mark = _offsets(count), np.zeros(n + 1, np.int64)
    return Chunk(
        domain, seqs[0], last_seq, ticks, marks, np.array(seqs, np.int64), clock, first_tick, first_mark, beat, streams
    )


def _single(row: RowValues, last_seq: int, clocks: dict[int, int], streams: tuple[Stream, ...]) -> Chunk:
    """A chunk of one row: the live case, where microseconds count."""
    seq, kind, domain, clock, count, payload, _ = row
    is_marks = kind == MARKS
    beat = is_marks or _beats(clocks.get(domain), clock)
    clocks[domain] = clock
    return Chunk(
        domain,
        seq,
        last_seq,
        _NO_TICKS if is_marks else np.frombuffer(payload, TICK),
        np.frombuffer(payload, MARK) if is_marks else _NO_MARKS,
        np.array([seq], np.int64),
        np.array([clock], np.int64),
        np.array([0, 0 if is_marks else count], np.int64),
        np.array([0, count if is_marks else 0], np.int64),
        np.array([beat], np.bool_),
        streams,
    )


def _beats(previous: int | None, clock: int) -> bool:
    """Whether a ticks row beats; the first row of a domain does."""
    return previous is None or clock // BEAT_NS > previous // BEAT_NS


def _records(payloads: Iterable[bytes], layout: np.dtype[np.void]) -> Batch:
    return np.frombuffer(b"".join(payloads), layout)


def _offsets(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    out = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=out[1:])
    return out


_NO_TICKS: Final = _records([], TICK)
_NO_MARKS: Final = _records([], MARK)
