"""Bars of a coarse interval made of finer ones: the same left fold as the live kernel's, on whole arrays.

Live, every bar is the roll-up of its one-minute bars, added up from the left. So is what this makes of one-minute bars,
to the last bit; made of other finer bars the sums differ in their last digits, as additions in another order do.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from market.bars import BAR, BarState
from market.intervals import INTERVALS, MINUTES, Interval
from market.sessions import Calendar
from market.slots import bounds_of
from market.ticks import ALWAYS, NEVER

_TRUST: Final = np.array([0, 2, 1, 3, 4], np.int64)
"""Place of each `BarState` among the states from the least to the most to be trusted."""
_BY_TRUST: Final = np.argsort(_TRUST).astype(np.uint8)
"""The state at each of those places."""


def nests(finer: Interval, interval: Interval) -> bool:
    """Whether bars of `interval` are made of whole bars of `finer`, in every calendar.

    >>> nests(Interval.M15, Interval.M45), nests(Interval.M45, Interval.H1), nests(Interval.H3, Interval.D1)
    (True, False, True)
    >>> nests(Interval.D1, Interval.MO1), nests(Interval.W1, Interval.MO1)
    (True, False)
    """
    if interval.intraday:
        return finer < interval and MINUTES[interval] % MINUTES[finer] == 0
    # Intraday bars are cut at the session's close, so that they never reach into another day.
    return finer < interval and finer <= Interval.D1


def finer_intervals(interval: Interval) -> list[Interval]:
    """The intervals that an interval can be rolled up from, the coarsest (the fewest bars) first.

    >>> [str(finer) for finer in finer_intervals(Interval.M45)]
    ['15m', '5m', '3m', '1m']
    """
    return [finer for finer in reversed(INTERVALS) if nests(finer, interval)]


def roll_up(
    bars: NDArray[np.void],
    interval: Interval,
    calendar: Calendar,
    *,
    since: int = ALWAYS,
    upto: int = NEVER,
) -> NDArray[np.void]:
    """Make bars of finer ones.

    The state of a bar is that of the least trustworthy one in it (forming, partial, closed, healed, official, from the
    least to the most); a bar that is not over at `upto` is forming.

    Args:
        bars: `BAR` records of one symbol and one interval that nests in `interval`, in order of start, no start twice.
            A quiet time has none. Those that start outside the calendar's sessions enter no bar.
        interval: Of the bars to be made.
        calendar: The symbol's sessions.
        since: ns; bars that start earlier are left out, since the finer ones before are not all there.
        upto: ns; up to here the finer ones are all there, and what came later is not known yet.

    Returns:
        `BAR` records in order of start. Open, high, low and close are copies; volume, notional and trades are sums in
        order of start; notional is NaN (unknown) if any in it is, and trades 0 (unknown) if any bar in it has volume
        but no trades. `updated_at` is the latest, `stream` the first bar's; `seq` is -1 and `revision` 0.
    """
    assert not len(bars) or nests(Interval(int(bars["interval"][0])), interval), "an interval that does not nest"
    starts = bars["start"]
    assert bool((starts[1:] > starts[:-1]).all()), "bars must come in order of start"
    begin, end, inside = bounds_of(starts, interval, calendar)
    keep = inside & (begin >= since)
    if not keep.all():
        bars, begin, end = bars[keep], begin[keep], end[keep]
    if not len(bars):
        return np.empty(0, BAR)
    first = np.flatnonzero(np.concatenate(([True], begin[1:] != begin[:-1])))
    last = np.append(first[1:], len(bars)) - 1
    place = np.repeat(np.arange(len(first)), last - first + 1)
    made = np.zeros(len(first), BAR)
    made["start"], made["end"] = begin[first], end[first]
    made["open"], made["close"] = bars["open"][first], bars["close"][last]
    made["high"] = np.maximum.reduceat(bars["high"], first)
    made["low"] = np.minimum.reduceat(bars["low"], first)
    for name in ("volume", "notional"):
        # A count with weights adds one by one, from the left; a sum of slices would add in pairs.
        made[name] = np.bincount(place, bars[name])
    untold = np.logical_or.reduceat((bars["trades"] == 0) & (bars["volume"] > 0), first)
    made["trades"] = np.where(untold, 0, np.add.reduceat(bars["trades"], first))
    made["updated_at"] = np.maximum.reduceat(bars["updated_at"], first)
    made["seq"] = -1
    made["stream"] = bars["stream"][first]
    made["interval"] = interval
    state = _BY_TRUST[np.minimum.reduceat(_TRUST[bars["state"]], first)]
    made["state"] = np.where(made["end"] > upto, np.uint8(BarState.FORMING), state)
    return made
