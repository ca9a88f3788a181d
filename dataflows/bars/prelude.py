"""Where the journal's oldest rows are gone: what has to be known before the first row that is left.

A pruned journal lacks the marks that said which streams make bars, and the first part of every bar that was open then.
So a start from its beginning puts marks before it that name the streams again and say that nothing is known of them
before: bars that reach back are `partial`, and the store keeps what it had.
"""

from typing import TYPE_CHECKING

import numpy as np

from dataflows.bars.journal_input import LIVE
from market.chunks import Chunk
from market.journal_rows import RowKind
from market.streams import Stream
from market.ticks import ALWAYS, MARK, TICK, Batch, MarkKind

if TYPE_CHECKING:
    from dataflows.past import Past
    from market.symbols import Symbol
    from sources.journal import JournalReader


def prelude(reader: "JournalReader | Past") -> list[Chunk]:
    """The chunks to put before the journal's first row: none if it is the first one ever written.

    Of two live streams of a symbol the older one is taken to make its bars, until a mark says otherwise.

    Raises:
        DeskError: The journal cannot be read.
    """
    first_seq = reader.first_seq()
    if first_seq <= 1:
        return []
    streams = reader.streams()
    clocks = _first_clocks(reader, {stream.domain for stream in streams})
    return [_chunk(first_seq - 1, domain, clock, streams) for domain, clock in sorted(clocks.items())]


def _first_clocks(reader: "JournalReader | Past", domains: set[int]) -> dict[int, int]:
    """The first stamp of each domain that the oldest rows are of, and of the live one wherever it begins.

    A file is journaled in one go, so one whose beginning is gone either lies here or is gone altogether.
    """
    clocks: dict[int, int] = {}
    seq = 0
    while rows := reader.read(seq):
        for row in rows:
            if row.kind != RowKind.QUOTES and row.domain not in clocks:
                stamp = "received_time" if row.kind == RowKind.TICKS else "time"
                clocks[row.domain] = int(row.records[stamp][0])
        seq = rows[-1].seq
        if LIVE in clocks or LIVE not in domains:
            break
    return clocks


def _chunk(seq: int, domain: int, clock: int, streams: tuple[Stream, ...]) -> Chunk:
    """One row of marks that stands for all that was pruned of a domain."""
    marks: list[tuple[int, int, int, int, int, int, int]] = []
    begun: set[Symbol] = set()
    for stream in streams:
        if stream.domain != domain:
            continue
        if stream.symbol not in begun:
            kind = MarkKind.DESIGNATED if domain == LIVE else MarkKind.FILE_START
            marks.append((clock, clock, clock, kind, 0, stream.id, 0))
            begun.add(stream.symbol)
        marks.append((clock, ALWAYS, clock, MarkKind.SUBSCRIBED, 0, stream.id, 0))
    records: Batch = np.array(marks, MARK)
    offsets = np.array([0, len(records)], np.int64)
    return Chunk(
        domain, seq, seq, np.empty(0, TICK), records, np.array([seq]), np.array([clock]), np.zeros(2, np.int64),
        offsets, np.ones(1, np.bool_), streams,
    )  # fmt: skip
