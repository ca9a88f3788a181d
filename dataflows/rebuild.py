"""Rebuilding: the bars of a symbol made anew from the journal and its archive, and written where the store has others.

A rebuild is a writer of its own in the store's log: what it changes gets the next revision, and what is as it should be
is not touched. A healed or official bar stays. So does one that may have had ticks of a journal row which can no longer
be read: what was made when that row could be is better than what can be made now.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataflows.bars.prelude import prelude
from dataflows.past import Past
from market.bars import BAR, BarBatch, BarState
from market.chunks import Chunk, Position
from market.errors import DeskError
from market.intervals import MINUTE_NS, Interval
from market.journal_rows import CorruptRow
from market.sessions import calendar_for
from market.streams import Stream
from market.symbols import Symbol
from market.ticks import ALWAYS, NEVER
from operators.bars import GRACE_NS, Aggregator
from sinks.bar_store import BarStore
from sources.journal import JournalReader

if TYPE_CHECKING:
    from sinks.parquet_archive import ParquetArchive

WRITER: Final = "rebuild"
MAX_TICKS: Final = 500_000

Tell = Callable[[str, float], None]
"""Called with what is being done and how much of it is done, 0 to 1; now and then."""


class Rebuilt(NamedTuple):
    """What a rebuild did."""

    symbol: Symbol
    bars: int
    """Closed bars that the journal gives in the range."""
    written: int
    """Of these, the ones that the store lacked or had otherwise."""
    first: int | None
    """Start of the oldest of them, ns; None where there is none."""
    last: int | None
    """End of the newest, ns."""
    damage: list[CorruptRow]
    """Rows of the journal that could not be read: their ticks are in no bar."""
    left: int = 0
    """Bars around these that the store has, and that were left as they are."""


def rebuild(
    journal: Path,
    store: BarStore,
    symbol: Symbol,
    start: int | None = None,
    end: int | None = None,
    *,
    archive: "ParquetArchive | None" = None,
    grace_ns: int = GRACE_NS,
    tell: Tell | None = None,
) -> Rebuilt:
    """Make closed bars anew and write those that differ. A desk may be running meanwhile.

    Args:
        journal: Folder of the journal.
        store: Of the bars.
        symbol: The instrument.
        start: Bars that start at this moment or later, ns; all that the journal covers unless given.
        end: Bars that end by this moment, ns.
        archive: Of the rows that the journal has let go, and of those that it holds damaged; None for the journal
            alone.
        grace_ns: How long after its end a bar stays open, ns.
        tell: Told how far it is.

    Raises:
        StoreAway: The store does not answer.
        DeskError: The journal has no ticks of the symbol, or it or the store cannot be used.
    """
    tell = tell or (lambda *_: None)
    if start is not None and end is not None and start >= end:
        msg = f"the range to rebuild begins at {start} ns and ends at {end} ns: its start must be before its end"
        raise DeskError(msg)
    damage: list[CorruptRow] = []
    clocks: dict[int, list[NDArray[np.int64]]] = {}
    rows, since, known = _all(journal, archive, symbol, grace_ns, clocks, damage, tell)
    # Of a bar that had begun before the oldest row left, the journal knows a part only.
    inside = (rows["start"] >= max(since, ALWAYS if start is None else start)) & (
        rows["end"] <= (NEVER if end is None else end)
    )
    rows = _last_of_each(rows[inside])
    made = len(rows)
    for span in _doubtful(damage, clocks, rows, grace_ns):
        rows = _doubted(rows, span, store, symbol)
    written = 0
    for first in range(0, len(rows), MAX_TICKS):
        done = store.upsert(BarBatch(rows[first : first + MAX_TICKS], known), writer=WRITER, own_revisions=False)
        written += done.inserted + done.updated
    tell("rebuild", 1.0)
    if not len(rows):
        return Rebuilt(symbol, 0, 0, None, None, damage, made)
    first_start, last_end = int(rows["start"].min()), int(rows["end"].max())
    return Rebuilt(symbol, len(rows), written, first_start, last_end, damage, made - len(rows))


def _all(
    journal: Path,
    archive: "ParquetArchive | None",
    symbol: Symbol,
    grace_ns: int,
    clocks: dict[int, list[NDArray[np.int64]]],
    damage: list[CorruptRow],
    tell: Tell,
) -> tuple[NDArray[np.void], int, tuple[Stream, ...]]:
    """All closed bars of a symbol, the first moment covered, and all streams; `clocks` as `_made`'s."""
    for prefer_archive in (False, True):
        damage.clear()
        clocks.clear()
        with JournalReader(journal, damage.append, doubts=True) as reader:
            source: JournalReader | Past = reader
            if archive is not None:
                source = Past(reader, archive, damage, prefer_archive=prefer_archive)
            streams = [stream for stream in source.streams() if stream.symbol == symbol]
            if not streams:
                msg = f"the journal {journal} has no ticks of {symbol}: see `pq symbols` for what it has"
                raise DeskError(msg)
            clocks.update({stream.domain: [] for stream in streams})
            rows, since = _made(source, streams, grace_ns, clocks, tell)
            known = source.streams()
        # What the journal holds damaged may have been archived before it was.
        if archive is None or not any(lost.first_seq <= archive.last_seq() for lost in damage):
            break
    return rows, since, known


def _doubtful(
    damage: list[CorruptRow], clocks: dict[int, list[NDArray[np.int64]]], rows: NDArray[np.void], grace_ns: int
) -> Iterator[tuple[int, int]]:
    """Spans of time, ns, whose bars may have had ticks of a row that cannot be read.

    Such a row was written between the rows before and behind it. A tick of it fell into a minute that was still open
    then, or amended the one that had closed last.
    """
    for lost in damage:
        for parts in clocks.values():
            seqs, times = np.concatenate(parts, axis=1) if parts else np.empty((2, 0), np.int64)
            before, behind = np.searchsorted(seqs, lost.first_seq), np.searchsorted(seqs, lost.last_seq, "right")
            end = NEVER if behind == len(seqs) else int(times[behind]) + 1
            if before == 0:
                yield ALWAYS, end
                continue
            start = int(times[before - 1])
            closed = rows["start"][(rows["interval"] == Interval.M1) & (rows["end"] <= start)]
            yield min(start - MINUTE_NS - grace_ns, int(closed.max()) if len(closed) else start), end


def _doubted(rows: NDArray[np.void], span: tuple[int, int], store: BarStore, symbol: Symbol) -> NDArray[np.void]:
    """The bars to be written: of those in the span only what the store lacks, as partial ones."""
    start, end = span
    doubted = (rows["start"] < end) & (rows["end"] > start)
    keep = np.ones(len(rows), np.bool_)
    for interval in np.unique(rows["interval"][doubted]).tolist():
        places = np.flatnonzero(doubted & (rows["interval"] == interval))
        starts = rows["start"][places]
        over = [state for state in BarState if state != BarState.FORMING]
        frame = store.read(symbol, Interval(interval), int(starts.min()), int(starts.max()) + 1, states=over)
        keep[places] = ~np.isin(starts, frame["start"].dt.epoch("ns").to_numpy())
    rows = rows.copy()
    rows["state"][doubted] = BarState.PARTIAL
    return rows[keep]


def _made(
    reader: JournalReader | Past,
    streams: list[Stream],
    grace_ns: int,
    clocks: dict[int, list[NDArray[np.int64]]],
    tell: Tell,
) -> tuple[NDArray[np.void], int]:
    """All closed bars of the streams in the order in which they come to be, and the first moment covered.

    Of each domain in `clocks` the rows that were read are added there, as their numbers over their clocks.
    """
    bars = Aggregator(grace_ns)
    for stream in streams:
        bars.add_stream(stream, calendar_for(stream.symbol, extended=stream.extended))
    ids = np.array([stream.id for stream in streams], np.uint16)
    parts: list[NDArray[np.void]] = [np.empty(0, BAR)]

    def fold(chunk: Chunk) -> None:
        own = np.flatnonzero(np.isin(chunk.ticks["stream"], ids)).astype(np.uint32)
        made = bars.fold(
            chunk.ticks, own, chunk.row_seq, chunk.row_clock, chunk.row_first_tick, chunk.row_beat, chunk.marks,
            chunk.row_first_mark, chunk.domain,
        )  # fmt: skip
        if len(made.closed):
            parts.append(made.closed)

    since = ALWAYS
    for chunk in prelude(reader):
        since = max(since, int(chunk.row_clock[0]))
        fold(chunk)
    position, last = Position(), max(1, reader.last_seq())
    while True:
        chunks, after = reader.read_chunks(position, MAX_TICKS)
        if after.seq == position.seq:
            return np.concatenate(parts), since
        position = after
        for chunk in chunks:
            fold(chunk)
            if chunk.domain in clocks:
                clocks[chunk.domain].append(np.stack((chunk.row_seq, chunk.row_clock)))
        tell("rebuild", min(1.0, position.seq / last))


def _last_of_each(rows: NDArray[np.void]) -> NDArray[np.void]:
    """Of each interval and start the bar that the store's rule prefers, by interval and start."""
    order = np.lexsort((rows["updated_at"], rows["revision"], rows["start"], rows["interval"]))
    rows = rows[order]
    if not len(rows):
        return rows
    last = np.ones(len(rows), np.bool_)
    last[:-1] = (rows["interval"][1:] != rows["interval"][:-1]) | (rows["start"][1:] != rows["start"][:-1])
    return rows[last]
