"""Slots by number: counting the bars that a calendar has room for, without listing them."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from market.intervals import MINUTE_NS, MINUTES, Interval
from market.sessions import Calendar

Array = NDArray[np.int64]


class _Runs(NamedTuple):
    """Runs of slots, each run evenly spaced; all in minutes, in order."""

    start: Array
    """First slot of each run."""
    before: Array
    """n + 1: how many slots there are before each run, and in all."""
    length: int
    """Minutes from one slot of a run to the next."""


def slot_number(calendar: Calendar, interval: Interval, time_ns: int) -> int:
    """How many slots of the calendar start before a moment.

    >>> from market.sessions import calendar
    >>> day, clock = 86_400 * 10**9, calendar("24/7")
    >>> slot_number(clock, Interval.H1, 20_001 * day) - slot_number(clock, Interval.H1, 20_000 * day)
    24
    """
    runs = _runs(calendar, interval)
    # A slot that starts within the last minute before the moment counts: round up.
    minute = -(-time_ns // MINUTE_NS)
    run = int(np.searchsorted(runs.start, minute, side="left")) - 1
    if run < 0:
        return 0
    inside = -(-(minute - int(runs.start[run])) // runs.length)
    return min(int(runs.before[run]) + inside, int(runs.before[run + 1]))


def slot_start(calendar: Calendar, interval: Interval, number: int) -> int:
    """Start of the slot with that many before it, ns; numbers beyond the calendar's ends give its first or last."""
    runs = _runs(calendar, interval)
    number = min(max(number, 0), int(runs.before[-1]) - 1)
    run = int(np.searchsorted(runs.before, number, side="right")) - 1
    return (int(runs.start[run]) + (number - int(runs.before[run])) * runs.length) * MINUTE_NS


def slots_between(calendar: Calendar, interval: Interval, start: int, end: int) -> int:
    """How many slots start in `[start, end)`, ns."""
    return max(0, slot_number(calendar, interval, end) - slot_number(calendar, interval, start))


def slots_back(calendar: Calendar, interval: Interval, time_ns: int, count: int) -> int:
    """Start of the oldest of the last `count` slots that start before a moment, ns."""
    return slot_start(calendar, interval, slot_number(calendar, interval, time_ns) - count)


def next_slot(calendar: Calendar, interval: Interval, time_ns: int) -> int:
    """Start of the first slot at a moment or after it, ns."""
    return slot_start(calendar, interval, slot_number(calendar, interval, time_ns))


@cache
def _runs(calendar: Calendar, interval: Interval) -> _Runs:
    if interval.intraday:
        length = MINUTES[interval]
        counts = -(-(calendar.close - calendar.open) // length)
        start = calendar.open
    else:
        column = {Interval.D1: calendar.day_start, Interval.W1: calendar.week_start, Interval.MO1: calendar.month_start}
        start = np.unique(column[interval])
        length, counts = 1, np.ones(len(start), np.int64)
    return _Runs(start, np.concatenate(([0], np.cumsum(counts))), length)
