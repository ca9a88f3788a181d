"""An account's equity over a run, and one walk along it: a close a day, the drawdowns, the time in the market."""

from functools import cache
from math import nan
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

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
    marks = len(curve.time)
    walker = Walker(begin, cash, days, each_mark, marks, int(curve.time[0]), int(curve.time[-1]))
    walker.go(curve)
    exposed = int(np.count_nonzero(curve.exposure != 0.0))
    return walker.walk(exposed, float(curve.exposure.sum()), float(curve.equity.sum()))


class Walker:
    """A walk along a curve that is given in parts, of which none is kept."""

    def __init__(
        self, begin: int, cash: float, days: Days | None, each_mark: bool, marks: int, first: int, last: int
    ) -> None:
        """Begin: at a curve of so many marks in all, from its first moment to its last; for the others see `walk`."""
        room = marks
        if not each_mark and days is None:
            room = min(room, int((last - first) // DAY_NS) + 2)
        self._days = None if each_mark else days
        self._starts = _UTC if days is None else days.start
        self._each_mark = each_mark
        self._marks = marks
        self._dates = np.empty(room, np.int64)
        self._closes = np.empty(room)
        # As `_walk` takes them apart.
        self._whole = np.array([0, first - 1, begin, begin, 0, 0, begin, begin, -1, last], np.int64)
        self._numbers = np.array([cash, cash, 0.0, 0.0, 0.0, cash])

    def go(self, part: Curve) -> None:
        """Walk along the next marks, at least one."""
        rest = self._starts, self._each_mark, self._dates, self._closes, self._whole, self._numbers
        if self._marks <= PLAIN_MOST:
            # As numbers of Python's own, which take a tenth of the time of NumPy's.
            _walk(part.time.tolist(), part.equity.tolist(), *rest)
        else:
            _compiled()(part.time, part.equity, *rest)

    def walk(self, exposed: int, exposures: float, equities: float) -> Walk:
        """What was found, once all marks were given.

        Args:
            exposed: Marks at which something was held.
            exposures: Sum over all marks.
            equities: Sum over all marks.
        """
        periods, _, peak_time, low_time, count, longest, *deepest_times, last = self._whole.tolist()
        peak, low, deepest, depths, durations, lowest = self._numbers.tolist()
        if low < peak:
            # The drawdown that lasts.
            lowest = min(lowest, low)
            depth = (peak - low) / peak
            count += 1
            depths += depth
            durations += last - peak_time
            longest = max(longest, last - peak_time)
            if depth > deepest:
                deepest, deepest_times = depth, [peak_time, low_time, -1]
        dates = self._dates[:periods]
        if self._days is not None:
            dates = self._days.date[dates]
        return Walk(
            dates=dates,
            closes=self._closes[:periods],
            drawdown_max=deepest,
            drawdown_mean=depths / count if count else nan,
            drawdowns=count,
            duration_max=longest,
            duration_mean=durations / count if count else nan,
            deepest_from=deepest_times[0],
            deepest_at=deepest_times[1],
            deepest_to=deepest_times[2],
            exposed=exposed / self._marks,
            exposure_mean=exposures / self._marks,
            highest=peak,
            lowest=lowest,
            mean=equities / self._marks,
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
    import numba

    # Not at import: Numba makes a folder where it keeps what it compiled.
    return numba.njit(cache=True, nogil=True)(_walk)


def _walk(
    time: Times,
    equity: Numbers,
    starts: Times,
    each_mark: bool,
    dates: Times,
    closes: Numbers,
    whole: Times,
    numbers: Numbers,
) -> None:
    day_ns = 86_400 * 10**9
    bound: Any = int(whole[1])
    periods, peak_time, low_time = int(whole[0]), int(whole[2]), int(whole[3])
    count, longest = int(whole[4]), int(whole[5])
    deepest_from, deepest_at, deepest_to = int(whole[6]), int(whole[7]), int(whole[8])
    # The lowest of the drawdown that lasts; without one it is the peak itself.
    peak, low, deepest = float(numbers[0]), float(numbers[1]), float(numbers[2])
    depths, durations, lowest = float(numbers[3]), float(numbers[4]), float(numbers[5])
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
        if value >= peak:
            if low < peak:
                lowest = min(lowest, low)
                depth = (peak - low) / peak
                duration = now - peak_time
                count += 1
                depths += depth
                durations += duration
                longest = max(longest, duration)
                if depth > deepest:
                    deepest, deepest_from, deepest_at, deepest_to = depth, peak_time, low_time, now
            peak, peak_time, low = value, now, value
    closes[periods - 1] = equity[len(time) - 1]
    whole[0], whole[1], whole[2], whole[3] = periods, bound, peak_time, low_time
    whole[4], whole[5] = count, longest
    whole[6], whole[7], whole[8] = deepest_from, deepest_at, deepest_to
    numbers[0], numbers[1], numbers[2] = peak, low, deepest
    numbers[3], numbers[4], numbers[5] = depths, durations, lowest
