"""Slots: the bars that a calendar has room for, whether or not anything traded in them."""

import numpy as np
from numpy.typing import NDArray

from market.intervals import MINUTE_NS, MINUTES, Interval
from market.sessions import Calendar


def slots(calendar: Calendar, interval: Interval, start: int, end: int) -> NDArray[np.int64]:
    """Every bar of an interval that starts in a span.

    Args:
        calendar: The symbol's.
        interval: The length of the bars.
        start: ns; bars that start at this moment or later.
        end: ns; bars that start before this moment.

    Returns:
        Shape (bars, 2): start and end of each, ns, in order.

    >>> from market.sessions import calendar
    >>> hour = 60 * MINUTE_NS
    >>> (slots(calendar("24/7"), Interval.M45, 480_000 * hour, 480_002 * hour) - 480_000 * hour) // MINUTE_NS
    array([[  0,  45],
           [ 45,  90],
           [ 90, 135]])
    """
    first, last = -(-start // MINUTE_NS), -(-end // MINUTE_NS)
    if last <= first:
        return np.empty((0, 2), dtype=np.int64)
    bounds = _within(calendar, interval, first, last) if interval.intraday else _groups(calendar, interval)
    kept = bounds[(bounds[:, 0] >= first) & (bounds[:, 0] < last)]
    return np.asarray(kept * MINUTE_NS)


def bounds_of(
    times: NDArray[np.int64], interval: Interval, calendar: Calendar
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """As `Calendar.bounds`, for many moments at once.

    Args:
        times: ns, in any order.
        interval: Of the bars.
        calendar: The symbol's sessions.

    Returns:
        Start and end of the bar that holds each moment, ns, and whether there is one: else both mean nothing.
    """
    minutes = np.asarray(times, np.int64) // MINUTE_NS
    session = np.searchsorted(calendar.open, minutes, side="right") - 1
    known = session >= 0
    session = np.maximum(session, 0)
    close = calendar.close[session]
    inside = known & (minutes < close)
    if interval.intraday:
        opened, length = calendar.open[session], MINUTES[interval]
        start = opened + (minutes - opened) // length * length
        end = np.minimum(start + length, close)
    else:
        columns = {
            Interval.D1: (calendar.day_start, calendar.day_end),
            Interval.W1: (calendar.week_start, calendar.week_end),
            Interval.MO1: (calendar.month_start, calendar.month_end),
        }
        starts, ends = columns[interval]
        start, end = starts[session], ends[session]
    return start * MINUTE_NS, end * MINUTE_NS, inside


def _within(calendar: Calendar, interval: Interval, first: int, last: int) -> NDArray[np.int64]:
    """Intraday bars of the sessions that a span of minutes touches: they restart at each open, cut at each close."""
    low = int(np.searchsorted(calendar.close, first, side="right"))
    high = int(np.searchsorted(calendar.open, last, side="left"))
    opens, closes = calendar.open[low:high], calendar.close[low:high]
    length = MINUTES[interval]
    counts = -(-(closes - opens) // length)
    before = np.cumsum(counts) - counts
    place = np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(before, counts)
    starts = np.repeat(opens, counts) + place * length
    return np.stack([starts, np.minimum(starts + length, np.repeat(closes, counts))], axis=1)


def _groups(calendar: Calendar, interval: Interval) -> NDArray[np.int64]:
    """All daily, weekly or monthly bars of the calendar."""
    starts, ends = {
        Interval.D1: (calendar.day_start, calendar.day_end),
        Interval.W1: (calendar.week_start, calendar.week_end),
        Interval.MO1: (calendar.month_start, calendar.month_end),
    }[interval]
    distinct, first = np.unique(starts, return_index=True)
    return np.stack([distinct, ends[first]], axis=1)
