"""Where rows of the journal are cut: at the ends of minutes, at controls, and where other streams come to make bars.

A **boundary** is a row that moves the clock of all streams (it beats) and at which a minute is over: its end and the
bars' grace have passed. Strategies are shown bars there and nowhere else, so an order decided on a bar fills at the
first tick behind the row at which the bar became known.
"""

from collections.abc import Iterable

import numpy as np

from market.chunks import Chunk
from market.intervals import MINUTE_NS
from market.ticks import MarkKind


def closed_until(clock: int, grace_ns: int) -> int:
    """The end of the newest minute that is over at a clock, ns.

    >>> closed_until(122_000_000_000, 2_000_000_000), closed_until(121_999_999_999, 2_000_000_000)
    (120000000000, 60000000000)
    """
    return (clock - grace_ns) // MINUTE_NS * MINUTE_NS


def next_boundary(chunk: Chunk, row: int, grace_ns: int, closed: int) -> int | None:
    """The first row from `row` on at which a minute is over that begins at `closed` (ns) or later; None if none is."""
    clocks = chunk.row_clock
    due = closed + MINUTE_NS + grace_ns
    if clocks[-1] < due:
        return None
    # Clocks never fall within a domain.
    place = max(row, int(np.searchsorted(clocks, due)))
    beats = np.flatnonzero(chunk.row_beat[place:])
    return place + int(beats[0]) if len(beats) else None


def first_at(chunk: Chunk, row: int, clock: int) -> int | None:
    """The first row from `row` on whose clock is at least `clock`, ns; None if there is none."""
    if chunk.row_clock[-1] < clock:
        return None
    return max(row, int(np.searchsorted(chunk.row_clock, clock)))


def last_upto(chunk: Chunk, row: int, seq: int) -> int | None:
    """The last row from `row` on that is not behind `seq`, if the chunk goes on behind it; None if it does not."""
    if chunk.last_seq <= seq:
        return None
    place = int(np.searchsorted(chunk.row_seq, seq, side="right")) - 1
    return place if place >= row else None


def next_designation(chunk: Chunk, row: int) -> int | None:
    """The first row from `row` on that says that a stream makes the bars of its symbol; None if there is none."""
    if not len(chunk.marks):
        return None
    first = int(chunk.row_first_mark[row])
    found = np.flatnonzero(chunk.marks["kind"][first:] == MarkKind.DESIGNATED)
    if not len(found):
        return None
    return int(np.searchsorted(chunk.row_first_mark, first + int(found[0]), side="right")) - 1


def designated(chunk: Chunk, row: int) -> Iterable[int]:
    """The streams that one row says make the bars of their symbols."""
    marks = chunk.marks[chunk.row_first_mark[row] : chunk.row_first_mark[row + 1]]
    found: list[int] = marks["stream"][marks["kind"] == MarkKind.DESIGNATED].tolist()
    return found
