"""Ticks, quotes and marks: the three kinds of record that the journal holds, as NumPy structured arrays.

A batch is an array of one of these types in arrival order. Their layout is journal data: a change is a new version
of the journal's row (`market.journal_rows`).
"""

from enum import IntEnum, IntFlag
from typing import Final

import numpy as np
from numpy.typing import NDArray

Batch = NDArray[np.void]
"""An array of `TICK`, `QUOTE` or `MARK` records, in arrival order."""

TICK: Final = np.dtype(
    [
        ("event_time", "<i8"),
        ("received_time", "<i8"),
        ("price", "<f8"),
        ("size", "<f8"),
        ("trade_id", "<i8"),
        ("count", "<u4"),
        ("stream", "<u2"),
        ("aggressor", "i1"),
        ("flags", "u1"),
    ]
)
"""One market update, 48 bytes.

event_time: the venue's stamp, ns since 1970 UTC. received_time: ours, ns, never falling within a clock's domain.
price: quote currency per unit, finite. size: base units, finite, >= 0; 0 where a price moved without volume.
trade_id: the venue's, -1 if it gives none. count: trades in it, >= 1; 0 if unknown (a conflated feed).
stream: id of the (feed, symbol) in the journal. aggressor: `Aggressor`. flags: `TickFlag`.
"""

QUOTE: Final = np.dtype(
    [
        ("event_time", "<i8"),
        ("received_time", "<i8"),
        ("last", "<f8"),
        ("bid", "<f8"),
        ("ask", "<f8"),
        ("bid_size", "<f8"),
        ("ask_size", "<f8"),
        ("stream", "<u2"),
        ("session", "u1"),
        ("flags", "u1"),
        ("pad", "<u4"),
    ]
)
"""The best bid and ask and the last price of one stream, 64 bytes; NaN where not known yet.

event_time: ns, equal to received_time where the venue stamps no quotes (Binance bookTicker). session: `SessionState`.
"""

MARK: Final = np.dtype(
    [
        ("time", "<i8"),
        ("start", "<i8"),
        ("end", "<i8"),
        ("kind", "u1"),
        ("pad", "u1"),
        ("stream", "<u2"),
        ("pad2", "<u4"),
    ]
)
"""What a function of ticks alone could not know, 32 bytes.

time: when it was noticed, ns, by the clock of `received_time`. start, end: the span in which the stream may lack ticks,
ns; `end` is `NEVER` while it lasts. stream: the one it is about; `ALL_STREAMS` for a clock mark.
"""

ALL_STREAMS: Final = 0xFFFF
NEVER: Final = np.iinfo(np.int64).max
ALWAYS: Final = np.iinfo(np.int64).min


class Aggressor(IntEnum):
    """The side that took liquidity, whatever the venue reports."""

    SELL = -1
    UNKNOWN = 0
    BUY = 1


class TickFlag(IntFlag):
    """What a feed says of one tick."""

    NONE = 0
    AUCTION = 1
    """A closing-auction print: belongs to the session's last bar though it is stamped after the close."""
    DELAYED = 2
    """From a feed that the venue delays (15 minutes, as a rule)."""


class SessionState(IntEnum):
    """Where a symbol's market stands, as its feed says."""

    UNKNOWN = 0
    OPEN = 1
    PRE = 2
    POST = 3
    CLOSED = 4


class MarkKind(IntEnum):
    """The kinds of mark."""

    CLOCK = 1
    """Time has passed to `time`; written when nothing else was for 100 ms."""
    DOWN = 2
    """The stream may lack ticks from `start` on: its feed dropped, went mute, or ingest had been away."""
    UP = 3
    """Ticks flow again from `end` on; `start` repeats that of the DOWN it ends."""
    SUBSCRIBED = 4
    """First subscription: nothing is known of the stream before `end`; `start` is `ALWAYS`."""
    DROPPED = 5
    """Unsubscribed: nothing is known from `start` on."""
    GAP = 6
    """Trade ids are missing: ticks were lost in [start, end)."""
    FILE_START = 7
    """A file of recorded ticks begins; it is taken to hold all that happened."""
    FILE_END = 8
    """The file has ended; `time` is past the last minute that it touches and the grace."""
    DESIGNATED = 9
    """From here on this stream makes the bars of its symbol, and any other stream of that symbol does not."""
