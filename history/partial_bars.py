"""Bars that went out as partial, found in the log of revisions: each is to be healed, whatever made it so.

An outage is in the gap ledger. That a symbol was subscribed in the middle of a minute, or dropped, or handed from one
feed to another, is not; the bars across it say it by their state. Reading the log from where it was last looked through
costs what has closed since, and misses nothing.
"""

from typing import TYPE_CHECKING, Final

import numpy as np

from history.live_edge import LIVE_WRITER
from market.bars import BarState
from market.intervals import Interval
from sinks.heal_book import Above, HealBook
from sinks.ledger import Gap, NewGap

if TYPE_CHECKING:
    from history.desk import HistoryDesk
    from market.symbols import Symbol

REASON: Final = "partial"
"""Of a gap that only a bar's state tells of."""
WRITERS: Final = (LIVE_WRITER, "rebuild")
"""Who makes bars of the journal."""


def note_partial_bars(desk: "HistoryDesk", book: HealBook) -> int:
    """Look through what has closed since the last time.

    A partial minute that no gap explains becomes a gap of its own; a longer partial bar is noted as one to be made
    again, and so is one that was made again before and then changed once more.

    Args:
        desk: Whose store and ledger.
        book: The healer's.

    Returns:
        How many bars were found partial.

    Raises:
        DeskError: The log cannot be read.
    """
    spans: dict[Symbol, list[Gap]] | None = None
    found = 0
    for writer in WRITERS:
        for part in desk.store.revisions(writer, book.log_place(writer)):
            rows = part.rows
            partial = rows["state"] == BarState.PARTIAL
            again = ~partial & (rows["revision"] > 1) & (rows["interval"] != Interval.M1)
            found += int(partial.sum())
            minutes, longer, renewed = [], [], []
            for place in np.flatnonzero(partial | again).tolist():
                row = rows[place]
                feed, symbol = part.names[int(row["stream"])]
                start, end, interval = int(row["start"]), int(row["end"]), Interval(int(row["interval"]))
                if again[place]:
                    renewed.append(Above(symbol, interval, start, end))
                elif interval is not Interval.M1:
                    longer.append(Above(symbol, interval, start, end))
                else:
                    if spans is None:
                        spans = _by_symbol(desk.ledger.gaps())
                    if not any(_overlaps(gap, start, end) for gap in spans.get(symbol, ())):
                        minutes.append(NewGap(symbol, start, end, REASON, desk.now_ns(), feed))
            desk.ledger.note_gaps(minutes)
            book.want_above(longer)
            book.renew_above(renewed)
            book.move_log_place(writer, int(part.seqs[-1]))
    return found


def _by_symbol(gaps: list[Gap]) -> "dict[Symbol, list[Gap]]":
    found: dict[Symbol, list[Gap]] = {}
    for gap in gaps:
        found.setdefault(gap.symbol, []).append(gap)
    return found


def _overlaps(gap: Gap, start: int, end: int) -> bool:
    return gap.start < end and (gap.end is None or start < gap.end)
