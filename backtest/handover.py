"""One account through many windows: in each the decisions of the parameters that were chosen before it.

At the begin of a window its parameters take over. What they would hold by then, having seen the bars that they were
chosen on, is held; a strategy that places orders has its working ones cancelled and its position closed where others
take over, and begins anew. So a change of parameters costs what it costs.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtest.curve import Numbers
from backtest.simulating import Decisions
from backtest.stream import Stream
from market.intervals import Interval
from strategies.interface import REQUESTS_MAX
from trading.records import ORDER, Records
from trading.requests import cancel, target


class Part(NamedTuple):
    """One window of the account, by rows of its bars."""

    since: int
    """ns; bars that start before are not shown."""
    first: int
    """First row that is decided on."""
    last: int
    """Row after the last."""
    begin: Callable[[], Decisions] | None
    """The strategy with the window's parameters, before its first bar; None holds nothing."""
    intervals: tuple[Interval, ...] = ()
    """What it sees besides the run's own bars."""
    fresh: bool = False
    """Others decided before."""


class Handover(Decisions):
    """The decisions of all windows as those of one run, whose bars are asked for in order."""

    def __init__(
        self, shown: Stream, parts: Sequence[Part], tell: Callable[[float], None] = lambda _share: None
    ) -> None:
        """Decide on all windows.

        Args:
            shown: All bars, those of every interval that any window sees among them.
            parts: In order, each beginning where the one before ended; before the first nothing is decided.
            tell: Told how much is done.

        Raises:
            DeskError: The strategy went wrong.
        """
        rows = len(shown.views)
        self._row = 0
        self._exposures = np.full(rows, np.nan)
        self._counts = np.zeros(rows, np.int64)
        orders: list[Records] = [np.zeros(0, ORDER)]
        self.places_orders, self.mode, self.why = False, "plain", "nothing was decided"
        for place, part in enumerate(parts):
            tell(place / len(parts))
            decisions = None if part.begin is None else part.begin()
            if decisions is not None:
                self.places_orders, self.mode, self.why = decisions.places_orders, decisions.mode, decisions.why
            seen = _seen_by(shown, part)
            views = shown.seen[seen]
            before = int(np.searchsorted(seen, part.first))
            wanted = np.full(len(seen), np.nan)
            counts, asked = np.zeros(len(seen), np.int64), orders[0]
            if decisions is not None and decisions.places_orders:
                counts, asked = decisions.requests(views)
            elif decisions is not None:
                wanted = decisions.exposures(views)
            taken = asked[int(np.minimum(counts[:before], REQUESTS_MAX).sum()) :]
            counts = counts[before:]
            if part.fresh:
                counts, taken = _cleared(views["symbol"][before:], counts, taken)
            self._exposures[seen[before:]] = _taken_over(views["symbol"], wanted, before)
            self._counts[seen[before:]] = counts
            orders.append(taken)
        self._orders = _joined(orders)
        self._begins = np.concatenate([[0], np.cumsum(np.minimum(self._counts, REQUESTS_MAX))])

    def exposures(self, seen: Records) -> Numbers:
        """The exposure wanted after each of the bars that come next."""
        row = self._next(len(seen))
        return self._exposures[row : row + len(seen)]

    def requests(self, seen: Records) -> tuple[NDArray[np.int64], Records]:
        """How many orders were asked for after each of the bars that come next, and those that were written."""
        row = self._next(len(seen))
        last = row + len(seen)
        return self._counts[row:last], self._orders[self._begins[row] : self._begins[last]].copy()

    def _next(self, rows: int) -> int:
        row = self._row
        self._row += rows
        return row


def _seen_by(shown: Stream, part: Part) -> NDArray[np.int64]:
    """Rows that a window's parameters see."""
    views = shown.views[: part.last]
    others = np.array([int(each) for each in part.intervals], np.int64)
    seen = shown.own[: part.last] | np.isin(views["interval"].astype(np.int64), others)
    return np.flatnonzero(seen & (views["start"] >= part.since))


def _firsts(symbols: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Of each symbol the first place."""
    return np.unique(symbols, return_index=True)[1]


def _taken_over(symbols: NDArray[np.uint16], wanted: Numbers, before: int) -> Numbers:
    """Exposures from a place on, the first of each symbol being what is held by then: 0 if nothing was decided."""
    taken = wanted[before:].copy()
    for place in _firsts(symbols[before:]).tolist():
        if np.isnan(taken[place]):
            earlier = wanted[:before][symbols[:before] == symbols[before + place]]
            decided = earlier[~np.isnan(earlier)]
            taken[place] = decided[-1] if len(decided) else 0.0
    return taken


def _cleared(
    symbols: NDArray[np.uint16], counts: NDArray[np.int64], orders: Records
) -> tuple[NDArray[np.int64], Records]:
    """The same orders, with those before them that end what others left, on the first bar of each symbol."""
    written = np.minimum(counts, REQUESTS_MAX)
    begins = np.cumsum(written) - written
    counts, parts, at = counts.copy(), [], 0
    for place in sorted(_firsts(symbols).tolist()):
        symbol = int(symbols[place])
        ending = np.zeros(2, ORDER)
        target(ending, cancel(ending, 0, symbol), symbol, 0.0)
        own = orders[begins[place] : begins[place] + written[place]].copy()
        for name in ("parent", "group"):
            # They name others of the same bar by their places, from 1 on.
            own[name][own[name] > 0] += len(ending)
        parts += [orders[at : begins[place]], _joined([ending, own])[:REQUESTS_MAX]]
        at = int(begins[place] + written[place])
        counts[place] += len(ending)
    return counts, _joined([*parts, orders[at:]])


def _joined(parts: Sequence[Records]) -> Records:
    """Orders in one array, whose elements still have their fields as attributes."""
    return np.concatenate(parts, dtype=ORDER)
