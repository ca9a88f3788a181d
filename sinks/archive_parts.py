"""Journal rows taken apart into sorted tables, and put together again. Pure: rows in, rows out.

A table is sorted by symbol and feed, and within these as journaled: so that one symbol's ticks lie together, and their
stamps and prices differ little from one to the next. Each record keeps its row's number and its place in the row, from
which the rows come back as they were.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from market.journal_rows import LAYOUT, RowKind, RowValues, checksum
from market.streams import Stream
from market.ticks import ALL_STREAMS, Batch
from sinks.archive_tables import Kind, mark_records, mark_table, quote_records, quote_table, tick_records, tick_table

if TYPE_CHECKING:
    import pyarrow as pa

KINDS: Final = {RowKind.TICKS: Kind.TICKS, RowKind.QUOTES: Kind.QUOTES, RowKind.MARKS: Kind.MARKS}
"""The table that a row's records go to."""

_STAMP: Final = {RowKind.TICKS: "received_time", RowKind.QUOTES: "received_time", RowKind.MARKS: "time"}
"""The last record's is the row's clock, as a rule."""

_EVENT: Final = {RowKind.TICKS: "event_time", RowKind.QUOTES: "event_time", RowKind.MARKS: "time"}


class Sorted(NamedTuple):
    """The table of one kind."""

    table: "pa.Table"
    first: int
    """Least event time (of marks: time), ns."""
    last: int


class Taken(NamedTuple):
    """Rows taken apart."""

    tables: dict[RowKind, Sorted]
    odd: list[tuple[int, int, int]]
    """(seq, domain, clock) of the rows for which these do not follow from their records."""


def take_apart(rows: Sequence[RowValues], streams: Sequence[Stream]) -> Taken:
    """Make the tables of some rows.

    Args:
        rows: In the order of the journal, at least one.
        streams: The journal's, by id.
    """
    by_kind: dict[int, list[RowValues]] = {}
    for row in rows:
        by_kind.setdefault(row[1], []).append(row)
    rank = _ranks(streams)
    of_stream = np.array([stream.domain for stream in streams] or [0], np.int32)
    tables: dict[RowKind, Sorted] = {}
    odd: list[tuple[int, int, int]] = []
    for number, some in by_kind.items():
        kind = RowKind(number)
        seq, domain, clock, counts = (np.array([row[column] for row in some], np.int64) for column in (0, 2, 3, 4))
        records: Batch = np.frombuffer(b"".join([row[5] for row in some]), LAYOUT[kind])
        ends = np.cumsum(counts)
        told = clock != records[_STAMP[kind]][ends - 1]
        if kind != RowKind.MARKS:
            told |= domain != of_stream[records["stream"][ends - counts]]
        odd += [(int(seq[place]), int(domain[place]), int(clock[place])) for place in np.flatnonzero(told)]
        seqs = np.repeat(seq, counts)
        places = (np.arange(len(records)) - np.repeat(ends - counts, counts)).astype(np.int32)
        domains = np.repeat(domain.astype(np.int32), counts)
        order = np.argsort(rank[records["stream"]], kind="stable")
        # Indexing such records by an array is eight times slower than `take`.
        records, seqs, places, domains = records.take(order), seqs.take(order), places.take(order), domains.take(order)
        tables[kind] = Sorted(
            _table(kind, records, seqs, places, domains, streams),
            int(records[_EVENT[kind]].min()),
            int(records[_EVENT[kind]].max()),
        )
    return Taken(tables, sorted(odd))


def put_together(
    tables: Mapping[RowKind, "pa.Table"], odd: Sequence[tuple[int, int, int]], streams: Sequence[Stream]
) -> list[RowValues]:
    """The rows that tables were made of, in the order of the journal.

    Args:
        tables: Of some or all kinds; rows of the others are left out.
        odd: As `take_apart` gave it.
        streams: The journal's, by id.
    """
    exceptions = {seq: (domain, clock) for seq, domain, clock in odd}
    rows: list[RowValues] = []
    for kind, table in tables.items():
        records, seqs, places, domains = _records(kind, table)
        if not len(records):
            continue
        order = np.lexsort((places, seqs))
        records, seqs, domains = records.take(order), seqs.take(order), domains.take(order)
        begins = np.flatnonzero(np.diff(seqs, prepend=-1))
        ends = np.append(begins[1:], len(seqs))
        if kind != RowKind.MARKS:
            of_stream = np.array([stream.domain for stream in streams] or [0], np.int64)
            domains = of_stream[records["stream"]]
        size = records.dtype.itemsize
        content = memoryview(records.tobytes())
        for begin, end, seq, domain, clock in zip(
            begins.tolist(),
            ends.tolist(),
            seqs[begins].tolist(),
            domains[begins].tolist(),
            records[_STAMP[kind]][ends - 1].tolist(),
            strict=True,
        ):
            own_domain, own_clock = exceptions.get(seq, (domain, clock))
            payload = bytes(content[begin * size : end * size])
            digest = checksum(seq, kind, own_domain, own_clock, end - begin, payload)
            rows.append((seq, int(kind), own_domain, own_clock, end - begin, payload, digest))
    rows.sort()
    return rows


def _ranks(streams: Sequence[Stream]) -> NDArray[np.uint16]:
    """Place of each stream id by symbol, feed and id; marks of the clock come last."""
    rank = np.full(ALL_STREAMS + 1, ALL_STREAMS, np.uint16)
    ordered = sorted(streams, key=lambda stream: (stream.symbol, stream.feed, stream.id))
    for place, stream in enumerate(ordered):
        rank[stream.id] = place
    return rank


def _table(
    kind: RowKind,
    records: Batch,
    seqs: NDArray[np.int64],
    places: NDArray[np.int32],
    domains: NDArray[np.int32],
    streams: Sequence[Stream],
) -> Any:
    if kind == RowKind.TICKS:
        return tick_table(records, seqs, places, streams)
    if kind == RowKind.QUOTES:
        return quote_table(records, seqs, places, streams)
    return mark_table(records, seqs, places, domains, streams)


def _records(
    kind: RowKind, table: "pa.Table"
) -> tuple[Batch, NDArray[np.int64], NDArray[np.int32], NDArray[np.int64] | NDArray[np.int32]]:
    """Records, rows, places, and of marks the domains."""
    if kind == RowKind.MARKS:
        return mark_records(table)
    records, seqs, places = tick_records(table) if kind == RowKind.TICKS else quote_records(table)
    return records, seqs, places, np.zeros(len(records), np.int32)
