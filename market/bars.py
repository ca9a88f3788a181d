"""Bars: OHLCV over `[start, end)`, and what a trader must know before trusting one."""

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from market.streams import Stream

BAR: Final = np.dtype(
    [
        ("start", "<i8"),
        ("end", "<i8"),
        ("open", "<f8"),
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),
        ("volume", "<f8"),
        ("notional", "<f8"),
        ("trades", "<i8"),
        ("updated_at", "<i8"),
        ("seq", "<i8"),
        ("revision", "<u4"),
        ("stream", "<u2"),
        ("interval", "u1"),
        ("state", "u1"),
    ]
)
"""One bar, 96 bytes.

start, end: ns since 1970 UTC, whole minutes; membership is `start <= event_time < end`. open, high, low, close: copies
of prices that traded. volume: base units. notional: sum of price x size in tick order (vwap = notional / volume).
trades: count, 0 where a feed does not say. updated_at: ns, when it came to be known. seq: the journal sequence at which
it came to be; -1 outside the journal. revision: 1 at the first close, then one more at each change; 0 while forming.
stream: index into the batch's streams. interval: `Interval`. state: `BarState`.
"""


class BarState(IntEnum):
    """How far a bar can be trusted."""

    FORMING = 0
    """Not over yet, or flushed by a shutdown."""
    CLOSED = 1
    """Over, and its feed was up throughout."""
    PARTIAL = 2
    """Over, but built across an outage of its feed."""
    HEALED = 3
    """Made again from history after an outage."""
    OFFICIAL = 4
    """The venue's own."""

    def __str__(self) -> str:
        return self.name.lower()


RANK: Final = (0, 1, 1, 2, 3)
"""Rank by `BarState`: a bar is replaced by one of a higher rank, or of the same rank and a higher revision."""

COLUMNS: Final = (
    "exchange", "symbol", "interval", "start", "end", "open", "high", "low", "close", "volume", "notional",
    "trades", "vwap", "state", "source", "revision", "updated_at",
)  # fmt: skip
"""Columns of a frame of bars, in the order that users see."""


class BarBatch(NamedTuple):
    """Bars on their way to a store."""

    rows: NDArray[np.void]
    """`BAR` records; `stream` indexes `streams`."""

    streams: tuple[Stream, ...]
    """Streams by id: `streams[i].id == i`. The feed becomes the bars' `source`."""
