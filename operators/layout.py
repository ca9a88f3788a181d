"""The bar kernel's memory: the records and arrays of one shard's streams, and the block that says where they are.

All of it is state that snapshots carry, so a change of any record here is a new `VERSION`. What a stream needs is
bounded: four minutes, twelve buckets and eight spans, whatever its past.
"""

from enum import IntEnum
from typing import Final

import numpy as np

from market.intervals import INTERVALS

VERSION: Final = 1
"""Version of a snapshot's layout."""

OPEN_MINUTES: Final = 4
"""Minutes of one stream that can be open at once: a grace of up to 60 s, and event times up to 60 s ahead."""

BUCKETS: Final = len(INTERVALS) - 1
"""Intervals above one minute; bucket `i` is interval `i + 1`."""

SPANS: Final = 8
"""Spans of doubt that one stream remembers beyond its last closed minute; one more joins the two oldest."""

AHEAD_NS: Final = 60_000_000_000
"""How far an event time may lie ahead of its received time, ns."""

AUCTION_NS: Final = 30 * 60_000_000_000
"""How long after a close an auction's print still belongs to the session, ns."""

HEAD: Final = np.dtype(
    [
        ("due", "<i8"),
        ("clock", "<i8"),
        ("seq", "<i8"),
        ("spans_end", "<i8"),
        ("domain", "<i4"),
        ("group", "<i4"),
        ("calendar", "<i4"),
        ("session", "<i4"),
        ("closed", "<u2"),
        ("filled", "<u2"),
        ("marred", "<u2"),
        ("doubted", "<u2"),
        ("stream", "<u2"),
        ("active", "u1"),
        ("open_minutes", "u1"),
        ("touched", "u1"),
        ("spans", "u1"),
        ("pad", "<u2"),
    ]
)
"""What is looked at for every tick of a stream, 64 bytes: one line of cache.

due: the clock at which something next closes, ns; `NEVER` if nothing is open. clock, seq: received time and journal
sequence of the last tick that was folded. spans_end: no span of doubt reaches beyond, ns. domain: clock domain. group:
number of the symbol within the shard and domain. calendar: row of the calendar directory. session: the session found
last, a guess for the next search. Masks with bit i for interval i: closed: the bucket of the last closed minute is
closed (bit 0: there is a last closed minute); filled: it holds minutes older than that one; marred: a span overlaps it
that is no longer remembered; doubted: it was last emitted as partial. stream: id in the journal. active: it makes bars.
open_minutes: how many. touched: in the list of streams that the current fold changed. spans: how many are remembered.
"""

MINUTE: Final = np.dtype(
    [
        ("start", "<i8"),
        ("open_time", "<i8"),
        ("close_time", "<i8"),
        ("open", "<f8"),
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),
        ("volume", "<f8"),
        ("notional", "<f8"),
        ("trades", "<i8"),
    ]
)
"""One minute of one stream, 80 bytes. start: ns, `NEVER` in an unused place. open_time, close_time: event times of the
ticks that gave open and close, ns."""

REJECT: Final = np.dtype(
    [("seq", "<i8"), ("index", "<i8"), ("stream", "<u2"), ("reason", "u1"), ("pad", "u1"), ("pad2", "<u4")]
)
"""A tick that enters no bar. seq: its journal row. index: its place in the row. reason: `Reason`."""


class Reason(IntEnum):
    """Why the kernel refused a tick."""

    LATE = 1
    """Its minute is older than the last closed one."""
    FUTURE = 2
    """Its event time is more than 60 s ahead of its received time."""

    def __str__(self) -> str:
        return self.name.lower()


IDS: Final = 1 << 16
"""Length of the table of slots: there is one for every id that a tick or mark can carry."""

OPEN, HIGH, LOW, VOLUME, NOTIONAL = range(5)
"""Rows of `figures[slot]`, (5, 12) float64: the sum of a bucket's minutes older than the last closed one."""

START, END, TRADES = range(3)
"""Rows of `bounds[slot]`, (3, 12) int64: the bucket that holds the last closed minute, ns, and the older trades."""

BLOCK: Final = np.dtype(
    [
        (name, "<i8")
        for name in (
            "heads", "newest", "older", "last", "figures", "bounds", "revisions", "spans", "by_id", "slots", "dues",
            "calendars", "bars", "rejects", "touched",
            "capacity", "streams", "domains", "classes", "bars_room", "rejects_room", "touched_room", "grace",
            "fresh", "row", "place", "stage", "item",
            "bars_count", "rejects_count", "touched_count", "unused", "out_of_session", "unknown",
        )
    ]
)  # fmt: skip
"""Where a shard's arrays are, how long, and where a fold stands.

Addresses: heads, newest open minutes, older open minutes (3 a slot), last closed minutes, figures, bounds, revisions
(13 a slot), spans (8 pairs a slot), slots in order of stream ids, slot of each id, earliest due of each domain, the
directory of calendars (address, rows), and the buffers that a fold writes to. Sizes: slots there is room for, streams,
domains, calendars, rows of the buffers; the grace in ns. fresh: 1 where a fold begins, 0 where it continues; row, place
in the order, stage of the row and item of the stage where it continues. Counts of what it wrote; unused: ticks that
were refused, or whose stream makes no bars; ticks outside sessions. unknown: the stream that nobody had added.
"""

NOBODY: Final = 0
"""Slot of every id that this shard does not hold; always due, so that the kernel looks twice."""

MARGIN: Final = 128
"""Rows that a buffer of bars keeps free. One tick or beat closes at most 4 minutes, each with 12 buckets, after 12 that
had been open before, and one tick amends 13: 77."""
