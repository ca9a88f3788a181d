"""Bars that the store holds, as records to reckon with instead of a frame to look at."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from market.bars import BAR, BarState
from market.intervals import Interval
from market.symbols import Symbol

if TYPE_CHECKING:
    from sinks.bar_store import BarStore

_COPIED: Final = ("open", "high", "low", "close", "volume", "trades", "revision")
_STATES: Final = {str(state): int(state) for state in BarState}


def held_bars(
    store: "BarStore",
    symbol: Symbol,
    interval: Interval,
    start: int | None = None,
    end: int | None = None,
    states: Collection[BarState] | None = None,
) -> tuple[NDArray[np.void], list[str]]:
    """Bars of one series in order of start.

    Args:
        store: Where they are.
        symbol: The instrument.
        interval: The length of the bars.
        start: ns; bars that start at this moment or later.
        end: ns; bars that start before this moment.
        states: In one of these only.

    Returns:
        `BAR` records, whose `stream` is 0 and whose `seq` is -1 as the store does not say them; and the source of each.

    Raises:
        StoreAway: The store does not answer.
    """
    frame = store.read(symbol, interval, start, end, states=states, newest_first=False)
    rows = np.zeros(len(frame), BAR)
    for name in ("start", "end", "updated_at"):
        rows[name] = frame[name].dt.epoch("ns").to_numpy()
    for name in _COPIED:
        rows[name] = frame[name].to_numpy()
    rows["notional"] = frame["notional"].fill_null(np.nan).to_numpy()
    rows["state"] = [_STATES[state] for state in frame["state"].to_list()]
    rows["interval"] = interval
    rows["seq"] = -1
    return rows, frame["source"].to_list()
