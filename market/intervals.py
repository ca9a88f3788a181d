"""The thirteen intervals, a closed set."""

from enum import IntEnum
from typing import Final

MINUTE_NS: Final = 60_000_000_000
"""Nanoseconds in a minute, the finest interval and the one that all others are rolled up from."""


class IntervalError(ValueError):
    """A text that names none of the thirteen intervals."""


class Interval(IntEnum):
    """The length of a bar; the value is its place from the shortest to the longest, and recovery data."""

    M1 = 0
    M3 = 1
    M5 = 2
    M15 = 3
    M30 = 4
    M45 = 5
    H1 = 6
    H2 = 7
    H3 = 8
    H4 = 9
    D1 = 10
    W1 = 11
    MO1 = 12

    def __str__(self) -> str:
        return NAMES[self]

    @property
    def minutes(self) -> int:
        """Length in minutes for an intraday interval; 0 for 1d, 1w and 1M, whose length is the calendar's."""
        return MINUTES[self]

    @property
    def intraday(self) -> bool:
        """Whether bars restart within the session (1m to 4h) and do not span it (1d, 1w, 1M)."""
        return self < Interval.D1


NAMES: Final = ("1m", "3m", "5m", "15m", "30m", "45m", "1h", "2h", "3h", "4h", "1d", "1w", "1M")
MINUTES: Final = (1, 3, 5, 15, 30, 45, 60, 120, 180, 240, 0, 0, 0)
INTERVALS: Final = tuple(Interval)
_BY_NAME: Final = {name: Interval(place) for place, name in enumerate(NAMES)}


def parse_interval(text: str) -> Interval:
    """Read an interval's name. Case matters between `1m` and `1M` only.

    Raises:
        IntervalError: The name is none of the thirteen.

    >>> parse_interval("1H"), parse_interval("1M"), parse_interval("1m")
    (<Interval.H1: 6>, <Interval.MO1: 12>, <Interval.M1: 0>)
    """
    name = text.strip()
    found = _BY_NAME.get(name, _BY_NAME.get(name.lower()))
    if found is None:
        msg = f"interval {text!r} is none of {' '.join(NAMES)}"
        raise IntervalError(msg)
    return found
