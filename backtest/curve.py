"""An account's equity over a run, and one walk along it: a close a day, the drawdowns, the time in the market."""

from functools import cache
from math import nan
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from operators.jit import entry

Times = NDArray[np.int64]
Numbers = NDArray[np.float64]

DAY_NS: Final = 86_400 * 10**9

PLAIN_MOST: Final = 6_000
"""Marks that plain Python is through with before the compiled walk is read from disk."""


class Curve(NamedTuple):
    """One mark for each moment at which bars closed, in order: arrays of equal length."""

    time: Times
    """End of the bar, ns; rising."""
    equity: Numbers
    """Cash and marked positions, account currency."""
    cash: Numbers
    """Account currency."""
    exposure: Numbers
    """Value of what is held, long and short added up without their signs, as a fraction of the equity."""


class Days(NamedTuple):
    """A calendar's days, where they are not UTC's: arrays of equal length, in order."""

    start: Times
    """First moment of each, ns."""
    date: Times
    """Date by the exchange's own reckoning, days since 1970."""


class Walk(NamedTuple):
    """What one walk along a curve finds. Fractions are of the peak; times are ns; a mark is a moment of the curve."""

    dates: Times
    """Of each period the date, days since 1970."""
    closes: Numbers
    """Equity at the end of each period, account currency."""
    drawdown_max: float
    """0 if the equity never fell below a peak; above 1 if it fell below nothing."""
    drawdown_mean: float
    """Mean depth of the drawdowns; NaN without any."""
    drawdowns: int
    """From below a peak until the peak is reached again: how many, one that lasts at the end included."""
    duration_max: int
    """From the last mark at the peak to the first at or above it again, or to the end."""
    duration_mean: float
    """NaN without any."""
    deepest_from: int
    """Last mark at the peak before the deepest drawdown; the curve's beginning without any."""
    deepest_at: int
    """Its lowest mark."""
    deepest_to: int
    """First mark at or above the peak again; -1 if there is none."""
    exposed: float
    """Share of the marks at which something was held."""
    exposure_mean: float
    """Mean exposure over all marks."""
    highest: float
    """Equity, the cash at the start included; account currency."""
    lowest: float
    mean: float
    """Equity over all marks."""


def walk(curve: Curve, begin: int, cash: float, days: Days | None = None, each_mark: bool = False) -> Walk:
    """Walk along a curve once.

    Args:
        curve: At least one mark.
        begin: Start of the first bar, ns, before the first mark.
        cash: Equity at that moment, > 0.
        days: The days that periods are; UTC's unless given. A mark at a day's very end belongs to that day.
        each_mark: Take each mark as a period: for weekly and monthly bars.
    """
    room = len(curve.time)
    if not each_mark and days is None:
        room = min(room, int((curve.time[-1] - curve.time[0]) // DAY_NS) + 2)
    dates = np.empty(room, np.int64)
    closes = np.empty(room)
    starts = _UTC if days is None else days.start
    marks = len(curve.time)
    if marks <= PLAIN_MOST:
        # As numbers of Python's own, which take a tenth of the time of NumPy's.
        time, equity = curve.time.tolist(), curve.equity.tolist()
        found = _walk(time, equity, begin, cash, starts, each_mark, dates, closes)
    else:
        found = _compiled()(curve.time, curve.equity, begin, cash, starts, each_mark, dates, closes)
    over_all = (
        np.count_nonzero(curve.exposure != 0.0) / marks,
        float(curve.exposure.sum()) / marks,
        *found[9:],
        float(curve.equity.sum()) / marks,
    )
    periods = int(found[0])
    dates, closes = dates[:periods], closes[:periods]
    if days is not None and not each_mark:
        dates = days.date[dates]
    # In plain Python some of them are NumPy's numbers, which JSON does not take.
    return Walk(
        dates, closes, *(value.item() if isinstance(value, np.generic) else value for value in (*found[1:9], *over_all))
    )


def drawdowns(equity: Numbers, cash: float) -> Numbers:
    """At each mark the fraction by which the equity stands below its highest so far, the cash at the start included.

    >>> drawdowns(np.array([110.0, 99.0]), 100.0).tolist()
    [0.0, 0.1]
    """
    peak = np.maximum(np.maximum.accumulate(equity), cash)
    fallen: Numbers = (peak - equity) / peak
    return fallen


_UTC: Final = np.empty(0, np.int64)


@cache
def _compiled() -> Any:
    # Not at import: Numba makes a folder where it keeps what it compiled.
    return entry(_walk)


def _walk(
    time: Times,
    equity: Numbers,
    begin: int,
    cash: float,
    starts: Times,
    each_mark: bool,
    dates: Times,
    closes: Numbers,
) -> Any:
    day_ns = 86_400 * 10**9
    periods, day, bound = 0, -1, time[0] - 1
    peak, peak_time = cash, begin
    # The lowest of the drawdown that lasts; without one it is the peak itself.
    low, low_time = peak, begin
    deepest, deepest_from, deepest_at, deepest_to = 0.0, begin, begin, np.int64(-1)
    count, depths, longest, durations = 0, 0.0, np.int64(0), 0.0
    lowest = cash
    last = len(time) - 1
    for place in range(len(time)):
        now, value = time[place], equity[place]
        if each_mark or now > bound:
            if each_mark:
                day = (now - 1) // day_ns
            elif len(starts) == 0:
                day = (now - 1) // day_ns
                bound = (day + 1) * day_ns
            else:
                day = np.searchsorted(starts, now - 1, side="right") - 1
                bound = starts[day + 1] if day + 1 < len(starts) else np.int64(9223372036854775807)
                day = max(day, 0)
            if place > 0:
                closes[periods - 1] = equity[place - 1]
            dates[periods] = day
            periods += 1
        if value < low:
            low, low_time = value, now
        if value >= peak or place == last:
            if low < peak:
                lowest = min(lowest, low)
                depth = (peak - low) / peak
                duration = now - peak_time
                count += 1
                depths += depth
                durations += duration
                longest = max(longest, duration)
                if depth > deepest:
                    deepest, deepest_from, deepest_at = depth, peak_time, low_time
                    deepest_to = now if value >= peak else np.int64(-1)
            if value >= peak:
                peak, peak_time, low = value, now, value
    closes[periods - 1] = equity[last]
    return (
        periods,
        deepest,
        depths / count if count else nan,
        count,
        longest,
        durations / count if count else nan,
        deepest_from,
        deepest_at,
        deepest_to,
        peak,
        lowest,
    )
