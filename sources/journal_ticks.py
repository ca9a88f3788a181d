"""Ticks of one symbol out of the journal, without reading the days and files of ticks that cannot hold them."""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from market.journal_rows import RowKind
from market.streams import Stream
from market.symbols import Symbol
from market.ticks import TICK, Aggressor, Batch
from sources.journal import JournalReader
from sources.journal_file import DayFile

if TYPE_CHECKING:
    import polars as pl

AHEAD_NS: Final = 60_000_000_000
"""How far a venue's stamp may run ahead of its reception; what runs further is refused before the journal."""
LATE_NS: Final = 86_400_000_000_000
"""How late a tick is still looked for by its event time."""
PAGE_BYTES: Final = 8 << 20

_LAST: Final = np.iinfo(np.int64).max


class TickPage(NamedTuple):
    """Some ticks, in the order of the journal."""

    seq: NDArray[np.int64]
    """n: the row that each is in."""
    ticks: Batch
    """n `TICK` records."""


def tick_pages(
    reader: JournalReader, symbol: Symbol, start: int | None = None, end: int | None = None, late_ns: int = LATE_NS
) -> Iterator[TickPage]:
    """Yield the ticks of a symbol, of all its feeds, as they were journaled.

    Args:
        reader: Says what happens at damaged rows.
        symbol: The instrument.
        start: First event time, ns.
        end: Ticks before this event time, ns.
        late_ns: Ticks that were received longer than this after `end` are not looked for.

    Raises:
        CorruptRow, DeskError: As `JournalReader.read`.
    """
    ids = [stream.id for stream in reader.streams() if stream.symbol == symbol]
    return ticks_of_streams(reader, ids, start, end, late_ns)


def ticks_of_streams(
    reader: JournalReader, ids: Collection[int], start: int | None, end: int | None, late_ns: int = LATE_NS
) -> Iterator[TickPage]:
    """Yield the ticks of some streams, in one go; as `tick_pages`.

    Args:
        reader: As there.
        ids: The streams'.
        start: As there.
        end: As there.
        late_ns: As there.
    """
    wanted = np.zeros(1 << 16, np.bool_)
    wanted[list(ids)] = True
    domains = {stream.domain for stream in reader.streams() if wanted[stream.id]}
    first_clock = None if start is None else start - AHEAD_NS
    last_clock = None if end is None else end + late_ns
    for first, last in _spans(reader, domains, first_clock, last_clock):
        after = first - 1
        while after < last and (rows := reader.read(after, max_bytes=PAGE_BYTES)):
            after = rows[-1].seq
            found = [row for row in rows if row.kind == RowKind.TICKS and row.domain in domains and row.seq <= last]
            if not found:
                continue
            ticks = np.frombuffer(b"".join(row.payload for row in found), TICK)
            keep = wanted[ticks["stream"]]
            if start is not None:
                keep &= ticks["event_time"] >= start
            if end is not None:
                keep &= ticks["event_time"] < end
            if keep.any():
                seqs = np.repeat(np.array([row.seq for row in found]), [row.count for row in found])
                yield TickPage(seqs[keep], ticks[keep])


def ticks_frame(pages: Sequence[TickPage], streams: Sequence[Stream]) -> "pl.DataFrame":
    """Ticks with the columns that users see.

    Args:
        pages: In order.
        streams: The journal's, by id.

    Returns:
        seq, exchange, symbol, event_time, received_time, price, size, count, aggressor, trade_id, feed. The aggressor
        is empty and the trade id null where the venue does not say.
    """
    import polars as pl

    ticks = np.concatenate([page.ticks for page in pages]) if pages else np.zeros(0, TICK)
    seqs = np.concatenate([page.seq for page in pages]) if pages else np.zeros(0, np.int64)
    ids = pl.Series(ticks["stream"].astype(np.int64))
    sides = {int(Aggressor.BUY): "buy", int(Aggressor.SELL): "sell", int(Aggressor.UNKNOWN): ""}
    time = pl.Datetime("ns", "UTC")

    def name(names: list[str]) -> pl.Series:
        return pl.Series(names, dtype=pl.String).gather(ids)

    return pl.DataFrame(
        {
            "seq": seqs,
            "exchange": name([stream.symbol.exchange for stream in streams]),
            "symbol": name([stream.symbol.ticker for stream in streams]),
            "event_time": pl.Series(ticks["event_time"].copy()).cast(time),
            "received_time": pl.Series(ticks["received_time"].copy()).cast(time),
            "price": ticks["price"].copy(),
            "size": ticks["size"].copy(),
            "count": ticks["count"].copy(),
            "aggressor": pl.Series(ticks["aggressor"].astype(np.int64)).replace_strict(sides, return_dtype=pl.String),
            "trade_id": ticks["trade_id"].copy(),
            "feed": name([stream.feed for stream in streams]),
        }
    ).with_columns(pl.when(pl.col("trade_id") >= 0).then("trade_id").alias("trade_id"))


def _spans(
    reader: JournalReader, domains: set[int], first_clock: int | None, last_clock: int | None
) -> Iterator[tuple[int, int]]:
    """Yield the first and last number of the rows to read, file by file, in order."""
    for file in reader.files():
        with file:
            try:
                parts = [_part(file, domain, first_clock, last_clock) for domain in domains]
            except sqlite3.DatabaseError:
                # Damage: then all of it is read, and what is damaged is named by the reader.
                parts = [(file.follows + 1, _LAST)]
        parts = [part for part in parts if part[0] <= part[1]]
        if parts:
            yield min(first for first, _ in parts), max(last for _, last in parts)


def _part(file: DayFile, domain: int, first_clock: int | None, last_clock: int | None) -> tuple[int, int]:
    """First and last number of a domain's rows with clocks in [first_clock, last_clock); last < first if none has."""
    spans = file.clocks()
    end = file.last_seq() or 0
    # Of rows after the last noting, a few seconds' worth where the writer is at work, nothing is known.
    noted = max((last for _, _, last, _ in spans.values()), default=file.follows)
    first, _, last, _ = spans.get(domain, (noted + 1, 0, 0, 0))
    if noted < end:
        last = end
    if first_clock is not None:
        first = _first_row(file, domain, first, last, first_clock)
    if last_clock is not None:
        last = _first_row(file, domain, first, last, last_clock) - 1
    return first, last


def _first_row(file: DayFile, domain: int, first: int, last: int, clock: int) -> int:
    """The first number in [first, last] from which on all rows of a domain have at least this clock; else last + 1.

    A domain's clock never falls, so it is found by halves.
    """
    low, high = first, last + 1
    while low < high:
        middle = (low + high) // 2
        row = file.row_from(middle, domain)
        if row is not None and row[0] < high and row[3] < clock:
            low = row[0] + 1
        else:
            high = middle
    return low
