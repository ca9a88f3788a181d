"""What ingest remembers over restarts: trade ids seen, ids missing, and where each stream stands.

All of it follows from the journal. It is written down now and then with the journal's sequence number, so that a start
reads only what came after; without it, or where it is unreadable, a start reads the journal's newest rows.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from dataflows.ingest.outages import Outages
from dataflows.ingest.recorder import LIVE
from market.journal_rows import Row, RowKind
from market.streams import Stream
from market.ticks import MarkKind
from operators.dedupe import Dedupe
from operators.trade_gaps import Gap, TradeGaps

ROWS_BACK: Final = 200_000
"""Journal rows that are read where there is nothing to go on from."""
VERSION: Final = 1

_decode = msgspec.msgpack.Decoder(tuple[int, int, bytes, bytes, dict[str, Any]]).decode


class Reader(Protocol):
    """What is needed of `sources.journal.JournalReader`."""

    def read(self, after_seq: int) -> list[Row]:
        """Rows after one, in order; none at the end."""


class Memory(NamedTuple):
    """What ingest remembers."""

    dedupe: Dedupe
    gaps: TradeGaps
    outages: Outages
    unreported: list[Gap]
    """Gaps that the journal's ticks show and its marks do not name."""

    def save(self, path: Path, seq: int) -> None:
        """Write it down, in place of what was written before; a disk that does not take it is no trouble.

        Args:
            path: The file.
            seq: The journal's row up to which it goes.
        """
        state = msgspec.msgpack.encode(
            [VERSION, seq, self.dedupe.snapshot(), self.gaps.snapshot(), self.outages.snapshot()]
        )
        aside = path.with_name(f"{path.name}.{os.getpid()}")
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_bytes(state)
            aside.replace(path)

    def learn(self, rows: Sequence[Row], same_symbol: dict[int, tuple[int, ...]], contiguous: frozenset[int]) -> None:
        """Take rows of the journal.

        Args:
            rows: In order; those of files and quotes are passed over.
            same_symbol: By stream, the streams of the same symbol.
            contiguous: Streams whose trade ids have no holes but losses.
        """
        for row in rows:
            if row.domain != LIVE:
                continue
            if row.kind == RowKind.TICKS:
                ticks = row.records.tolist()
                self.dedupe.update(ticks, by_count=True)
                self.gaps.update([tick for tick in ticks if tick[6] in contiguous], by_count=True)
                self.unreported.extend(self.gaps.due(row.clock))
            elif row.kind == RowKind.MARKS:
                self.outages.apply(row.records, same_symbol)
                named = {(mark[5], mark[1], mark[2]) for mark in row.records.tolist() if mark[3] == MarkKind.GAP}
                if named:
                    self.unreported[:] = [gap for gap in self.unreported if gap[:3] not in named]


def recall(
    path: Path,
    reader: Reader,
    streams: Sequence[Stream],
    last_seq: int,
    contiguous: frozenset[int],
) -> Memory:
    """What was remembered, and what the journal has had since.

    Args:
        path: Where `Memory.save` wrote.
        reader: Of the journal.
        streams: All streams, by id.
        last_seq: The journal's last row.
        contiguous: Streams whose trade ids have no holes but losses.

    Returns:
        The memory as it was after the journal's last row.
    """
    memory, seq = _saved(path, last_seq)
    same: dict[object, list[int]] = {}
    for stream in streams:
        if stream.domain == LIVE:
            same.setdefault(stream.symbol, []).append(stream.id)
    same_symbol = {place: tuple(places) for places in same.values() for place in places}
    while rows := reader.read(seq):
        memory.learn(rows, same_symbol, contiguous)
        seq = rows[-1].seq
    return memory


def _saved(path: Path, last_seq: int) -> tuple[Memory, int]:
    """The memory as written, and the row up to which it goes."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        version, seq, dedupe, gaps, outages = _decode(path.read_bytes())
        # One that knows more than the journal is of another journal.
        if version == VERSION and seq <= last_seq:
            return Memory(Dedupe.restore(dedupe), TradeGaps.restore(gaps), Outages.restore(outages), []), seq
    return Memory(Dedupe(), TradeGaps(), Outages(), []), max(0, last_seq - ROWS_BACK)
