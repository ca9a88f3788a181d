"""The bars of a minute as runs see them, drawn up once for all that see the same."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np

from dataflows.paper import rows
from dataflows.paper.events import Closed
from market.bars import BarState
from trading.records import VIEW, Records

Series = tuple[str, int]
"""Symbol and interval."""

_LATE_MAX: Final = 0xFFFFFFFF
_COPIED: Final = ("start", "end", "open", "high", "low", "close", "volume", "notional", "trades", "interval", "state")


class Shown:
    """Bars in the order in which they are shown: by their ends, of one end the longer first, then by symbol."""

    def __init__(self, views: Records, seqs: Sequence[int], log_seqs: Sequence[int]) -> None:
        """Hold them.

        Args:
            views: n >= 1 `VIEW` records.
            seqs: n: the journal's row at which each was logged.
            log_seqs: n: place of each in the log.
        """
        self.views = views
        self.seqs = seqs
        self.log_seqs = log_seqs
        self.values: list[tuple[Any, ...]] = views.tolist()
        """The same as tuples, which Python reads many times faster."""
        self.seen = [rows.bar_seen(values) for values in self.values]
        """Each as the book keeps it."""
        self.last_log_seq = max(log_seqs)
        self.end: int = self.values[-1][1]
        """Of the last, ns."""

    @cached_property
    def ends(self) -> dict[int, int]:
        """By interval the end of its newest bar, ns."""
        return {values[10]: values[1] for values in self.values}


def by_series(event: Closed) -> dict[Series, list[int]]:
    """By symbol and interval the places of first revisions: those that runs are shown."""
    bars = event.rows
    first = (bars["revision"] == 1) & ((bars["state"] == BarState.CLOSED) | (bars["state"] == BarState.PARTIAL))
    places = np.flatnonzero(first)
    symbols = [str(name.symbol) for name in event.names]
    found: dict[Series, list[int]] = {}
    streams, intervals = bars["stream"][places].tolist(), bars["interval"][places].tolist()
    for place, stream, interval in zip(places.tolist(), streams, intervals, strict=True):
        found.setdefault((symbols[stream], interval), []).append(place)
    return found


def shown_of(event: Closed, series: Mapping[Series, list[int]], wanted: Mapping[Series, int]) -> Shown | None:
    """The bars of a minute that a run sees; None if there are none.

    Args:
        event: The minute.
        series: By `by_series`.
        wanted: By symbol and interval the symbol's place in the run.
    """
    chosen = [(place, symbol) for key, symbol in wanted.items() for place in series.get(key, ())]
    if not chosen:
        return None
    places = np.array([place for place, _ in chosen])
    bars = event.rows[places]
    views = np.zeros(len(bars), VIEW)
    for name in _COPIED:
        views[name] = bars[name]
    views["symbol"] = [symbol for _, symbol in chosen]
    views["late"] = np.clip((bars["updated_at"] - bars["end"]) // 1_000_000, 0, _LATE_MAX)
    order = np.lexsort((views["symbol"], -views["interval"].astype(np.int64), views["end"]))
    return Shown(views[order], bars["seq"][order].tolist(), event.log_seqs[places][order].tolist())


def since(shown: Shown | None, started_seq: int) -> Shown | None:
    """Those that were logged after a run had started."""
    if shown is None or min(shown.seqs) > started_seq:
        return shown
    kept = [place for place, seq in enumerate(shown.seqs) if seq > started_seq]
    if not kept:
        return None
    return Shown(shown.views[kept], [shown.seqs[place] for place in kept], [shown.log_seqs[place] for place in kept])
