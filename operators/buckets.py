"""Which bar of each interval holds a minute: the calendar's arrays, read only when a bucket changes."""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from market.intervals import MINUTE_NS, MINUTES, Interval
from market.sessions import Calendar
from operators.jit import njit

_LENGTHS: Final = np.array(MINUTES, np.int64)
_DAY: Final = int(Interval.D1)
_OPEN, _CLOSE, _DAY_START = 0, 1, 2


@lru_cache(maxsize=64)
def packed(calendar: Calendar) -> NDArray[np.int64]:
    """A calendar as the kernel reads it, one line of cache a session, shared by all shards.

    Returns:
        (sessions, 8) int64 in minutes since 1970: open, close, then start and end of day, week and month. Read-only.
    """
    rows = np.column_stack(
        [
            calendar.open, calendar.close, calendar.day_start, calendar.day_end,
            calendar.week_start, calendar.week_end, calendar.month_start, calendar.month_end,
        ]
    ).astype(np.int64, order="C")  # fmt: skip
    rows.setflags(write=False)
    return rows


@njit
def find_session(sessions: NDArray[np.int64], guess: int, minute: int) -> int:
    """The last session that has opened by `minute` (which may lie behind its close); -1 before all of them.

    Args:
        sessions: (sessions, 8), see `packed`.
        guess: A row to try first, of any int value.
        minute: Minutes since 1970.
    """
    count = sessions.shape[0]
    if 0 <= guess < count and sessions[guess, _OPEN] <= minute:
        if guess + 1 == count or minute < sessions[guess + 1, _OPEN]:
            return guess
        low = guess + 1
    else:
        low = 0
    high = count
    # The first session that opens after `minute` is in [low, high].
    while low < high:
        middle = (low + high) >> 1
        if sessions[middle, _OPEN] <= minute:
            low = middle + 1
        else:
            high = middle
    return low - 1


@njit
def holds(sessions: NDArray[np.int64], session: int, minute: int) -> bool:
    """Whether a session that has opened by `minute` is not over at it."""
    return bool(session >= 0 and minute < sessions[session, _CLOSE])


@njit
def close_of(sessions: NDArray[np.int64], session: int) -> int:
    """When the session closes, ns."""
    return int(sessions[session, _CLOSE]) * MINUTE_NS


@njit
def bucket(sessions: NDArray[np.int64], session: int, interval: int, minute: int) -> tuple[int, int]:
    """`[start, end)` in ns of the bar that holds a minute of the session."""
    if interval >= _DAY:
        column = _DAY_START + 2 * (interval - _DAY)
        return sessions[session, column] * MINUTE_NS, sessions[session, column + 1] * MINUTE_NS
    length = _LENGTHS[interval]
    first = sessions[session, _OPEN]
    start = first + (minute - first) // length * length
    return start * MINUTE_NS, min(start + length, sessions[session, _CLOSE]) * MINUTE_NS
