"""What a run is shown, in one order: bars of all its symbols and intervals, and what happens between them.

Bars come by their ends. Of those that end together a longer interval's comes before a shorter one's, so that a decision
on the shorter sees the longer that closed with it, and the run's symbols follow each other in their order. Each bar is
there twice: as it traded, for fills, and as the strategy sees it, on the footing of the first bar: a split or dividend
changes the bars from its day on, never those before it, so no decision knows of one that is to come.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtest.curve import Numbers, Times
from market.adjustment import Cut
from market.intervals import MINUTE_NS, Interval
from market.sessions import Calendar
from market.symbols import Symbol
from trading.records import VIEW, Records

Bars = NDArray[np.void]
"""`BAR` records of one series in order, closed or better, as they traded."""

RATE: Final = 0
SPLIT: Final = 1
DIVIDEND: Final = 2

CHANGE: Final = np.dtype(
    (np.record, [("row", "<i8"), ("time", "<i8"), ("value", "<f8"), ("kind", "<i4"), ("place", "<i4")])
)
"""What happens before the bar at `row`: a rate (account currency for one unit; place is the currency's), a split (units
for one) or a dividend (a unit, in the symbol's currency; place is the symbol's). time: ns."""

_COPIED: Final = ("start", "end", "open", "high", "low", "close", "volume", "notional", "trades", "interval", "state")
_PRICES: Final = ("open", "high", "low", "close")


class Stream(NamedTuple):
    """A run's bars in the order in which they are shown; arrays of the same length but for `changes`."""

    symbols: tuple[Symbol, ...]
    views: Records
    """`VIEW`, as traded; `symbol` is an index of `symbols`."""
    seen: Records
    """`VIEW`, as the strategy sees them; the same object where nothing was split or paid."""
    own: NDArray[np.bool_]
    """Whether a bar is of the run's own interval: it fills orders and marks positions. Others are only seen."""
    factor: Numbers
    """What prices that the strategy sees are divided by to be prices as traded; empty where that is 1."""
    sessions: Times
    """End of the session that the bar is in, ns."""
    changes: NDArray[Any]
    """`CHANGE` by row."""

    def until(self, rows: int) -> "Stream":
        """The first rows alone, as if nothing had come after."""
        seen = self.seen[:rows]
        return Stream(
            self.symbols,
            seen if self.seen is self.views else self.views[:rows],
            seen,
            self.own[:rows],
            self.factor[:rows],
            self.sessions[:rows],
            self.changes[self.changes["row"] < rows],
        )

    def between(self, begin: int, end: int) -> "Stream":
        """The bars that start at a moment or later and end at another or before (ns), with the rates known by then."""
        rows = np.flatnonzero((self.seen["start"] >= begin) & (self.seen["end"] <= end))
        if len(rows) == 0:
            return self.until(0)
        first, last = int(rows[0]), int(rows[-1]) + 1
        kept = slice(first, last) if len(rows) == last - first else rows
        changes = self.changes[(self.changes["row"] < last) & (self.changes["kind"] == RATE)]
        before = changes[changes["row"] <= first]
        _, newest = np.unique(before["place"][::-1], return_index=True)
        later = self.changes[(self.changes["row"] > first) & (self.changes["row"] < last)]
        known = np.concatenate([before[::-1][newest], later])
        # A row that is left out hands what happens before it on to the next that is not.
        known["row"] = np.searchsorted(rows, known["row"])
        seen = self.seen[kept]
        return Stream(
            self.symbols,
            seen if self.seen is self.views else self.views[kept],
            seen,
            self.own[kept],
            self.factor[kept] if len(self.factor) else self.factor,
            self.sessions[kept],
            known,
        )


def stream(
    series: Mapping[tuple[Symbol, Interval], Bars],
    symbols: Sequence[Symbol],
    interval: Interval,
    calendars: Mapping[Symbol, Calendar],
    cuts: Mapping[Symbol, Sequence[Cut]] | None = None,
    dealt: Mapping[Symbol, Sequence[Cut]] | None = None,
    rates: Mapping[int, Bars] | None = None,
) -> Stream:
    """Put a run's bars in order.

    Args:
        series: Of each symbol the bars of the run's interval, and of those besides that its strategy sees.
        symbols: In the order of the run.
        interval: The run's own.
        calendars: By symbol: for the ends of sessions.
        cuts: By symbol the splits and dividends that are taken out of what the strategy sees.
        dealt: By symbol those that are done to positions.
        rates: By the account's index of a currency, bars of its rate in account currency.
    """
    parts, owns = [], []
    for (symbol, each), bars in series.items():
        part = np.zeros(len(bars), VIEW)
        for name in _COPIED:
            part[name] = bars[name]
        part["symbol"] = symbols.index(symbol)
        parts.append(part)
        owns.append(np.full(len(bars), each is interval))
    views, own = np.concatenate(parts), np.concatenate(owns)
    if len(parts) > 1:
        order = np.lexsort((views["symbol"], -views["interval"].astype(np.int64), views["end"]))
        views, own = views[order], own[order]
    sessions = np.empty(len(views), np.int64)
    for place, symbol in enumerate(symbols):
        mine = views["symbol"] == place
        sessions[mine] = session_ends(calendars[symbol], views["start"][mine], views["end"][mine])
    seen, factor = _seen(views, symbols, cuts or {})
    return Stream(
        tuple(symbols), views, seen, own, factor, sessions, _changes(views, own, symbols, dealt or {}, rates or {})
    )


def session_ends(calendar: Calendar, starts: Times, ends: Times) -> Times:
    """End of the session that each bar is in, ns; of a bar longer than a session, or outside of all, its own end."""
    minutes = starts // MINUTE_NS
    place = np.maximum(np.searchsorted(calendar.day_start, minutes, side="right") - 1, 0)
    found: Times = np.maximum(calendar.day_end[place] * MINUTE_NS, ends)
    return found


def _seen(views: Records, symbols: Sequence[Symbol], cuts: Mapping[Symbol, Sequence[Cut]]) -> tuple[Records, Numbers]:
    """Bars on the footing of the first one, and what brings their prices back."""
    if not any(cuts.get(symbol) for symbol in symbols):
        return views, np.empty(0)
    price, volume = np.ones(len(views)), np.ones(len(views))
    for place, symbol in enumerate(symbols):
        mine = np.flatnonzero(views["symbol"] == place)
        for cut in cuts.get(symbol, ()):
            after = mine[views["start"][mine] >= cut.time]
            price[after] /= cut.price
            volume[after] /= cut.volume
    seen = views.copy()
    for name in _PRICES:
        seen[name] *= price
    seen["volume"] *= volume
    seen["notional"] *= price * volume
    return seen, price


def _changes(
    views: Records,
    own: NDArray[np.bool_],
    symbols: Sequence[Symbol],
    dealt: Mapping[Symbol, Sequence[Cut]],
    rates: Mapping[int, Bars],
) -> NDArray[Any]:
    from market.actions import ActionKind

    found = []
    for place, symbol in enumerate(symbols):
        mine = np.flatnonzero((views["symbol"] == place) & own)
        for cut in dealt.get(symbol, ()):
            after = mine[views["start"][mine] >= cut.time]
            before = mine[views["start"][mine] < cut.time]
            if len(after) and len(before):
                kind = SPLIT if cut.action.kind is ActionKind.SPLIT else DIVIDEND
                found.append((int(after[0]), cut.time, cut.action.value, kind, place))
    for place, bars in rates.items():
        # A rate is known once its bar has closed: it counts from the next moment on.
        rows = np.searchsorted(views["end"], bars["end"], side="right")
        for row, bar in zip(rows.tolist(), bars, strict=True):
            if row < len(views):
                found.append((row, int(bar["end"]), float(bar["close"]), RATE, place))
    made = np.array(found, CHANGE)
    return made[np.lexsort((made["time"], made["row"]))]
