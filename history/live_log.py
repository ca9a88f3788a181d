"""Live bars as the desk made them, whatever has taken their place in the store since: read from the log."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from history.live_edge import LIVE_WRITER
from market.bars import BAR
from market.intervals import INTERVALS, Interval
from market.symbols import Symbol

if TYPE_CHECKING:
    from sinks.bar_store import BarStore

Series = tuple[Symbol, Interval]

_FILE = "file:"
"""Beginning of the feed's name where bars are those of a file that was replayed."""


def live_bars(
    store: "BarStore",
    start: int,
    end: int,
    *,
    after: int = 0,
    symbols: Collection[Symbol] | None = None,
) -> dict[Series, NDArray[np.void]]:
    """The last live revision of each bar that ended in a span.

    Args:
        store: Whose log.
        start: ns; bars that ended after this moment ...
        end: ns; ... and by this one.
        after: Row of the live writer's log after which to look: one that was written before `start`.
        symbols: Of these only; all if None.

    Returns:
        By series: `BAR` records in order of start. Replayed files are left out.

    Raises:
        DeskError: The log cannot be read.
    """
    parts: dict[Series, list[NDArray[np.void]]] = {}
    for logged in store.revisions(LIVE_WRITER, after):
        rows = logged.rows
        inside = (rows["end"] > start) & (rows["end"] <= end)
        if inside.any():
            for series, found in _by_series(rows[inside], logged.names):
                if symbols is None or series[0] in symbols:
                    parts.setdefault(series, []).append(found)
    return {series: _last_of_each(np.concatenate(found)) for series, found in sorted(parts.items())}


def live_symbols(store: "BarStore", start: int, end: int, after: int = 0) -> list[Symbol]:
    """Symbols of which a bar ended in a span; arguments as for `live_bars`."""
    found: set[Symbol] = set()
    for logged in store.revisions(LIVE_WRITER, after):
        rows = logged.rows
        inside = (rows["end"] > start) & (rows["end"] <= end)
        for place in np.unique(rows["stream"][inside]).tolist():
            feed, symbol = logged.names[place]
            if not feed.startswith(_FILE):
                found.add(symbol)
    return sorted(found)


def _by_series(
    rows: NDArray[np.void], names: "Collection[tuple[str, Symbol]]"
) -> Iterator[tuple[Series, NDArray[np.void]]]:
    known = list(names)
    keys = rows["stream"].astype(np.int64) * len(INTERVALS) + rows["interval"]
    order = np.argsort(keys, kind="stable")
    cuts = np.flatnonzero(np.diff(keys[order], prepend=-1, append=-1))
    for first, last in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        part = rows[order[first:last]]
        feed, symbol = known[int(part["stream"][0])]
        if not feed.startswith(_FILE):
            yield (symbol, Interval(int(part["interval"][0]))), part


def _last_of_each(rows: NDArray[np.void]) -> NDArray[np.void]:
    """Of each start the highest revision, the later one of two."""
    rows = rows[np.lexsort((rows["updated_at"], rows["revision"], rows["start"]))]
    last = np.append(rows["start"][1:] != rows["start"][:-1], True)
    found: NDArray[np.void] = rows[last].astype(BAR, copy=False)
    return found
