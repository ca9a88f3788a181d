"""Prices adjusted for splits and dividends: worked out when bars are read, never stored.

A split of `r` for one divides the prices of all bars before its ex-date by `r` and multiplies their volumes by it, so
notional stays. A cash dividend `D` multiplies the prices before its ex-date by `1 - D / C`, with `C` the last raw close
before it: what a share lost by being sold without it, and so the return of one who reinvests; volumes stay.

Source: the multiplicative method of the Center for Research in Security Prices, which an "adjusted close" follows.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from market.actions import Action, ActionKind
from market.errors import DeskError
from market.intervals import MINUTE_NS
from market.sessions import Calendar

PRICES: Final = ("open", "high", "low", "close")


class Adjust(StrEnum):
    """Which actions a reader wants taken out of the prices."""

    NONE = "none"
    """Prices as they traded."""
    SPLITS = "splits"
    ALL = "all"
    """Splits and dividends."""


class Cut(NamedTuple):
    """A moment before which prices were on another footing."""

    time: int
    """ns: the open of the first session without what was paid or split; bars that start before it change."""
    price: float
    """What their prices are multiplied by, > 0."""
    volume: float
    """What their volumes are multiplied by, > 0."""
    action: Action


def ex_time(action: Action, calendar: Calendar) -> int:
    """The open of the first session on or after the ex-date, ns.

    Raises:
        DeskError: The calendar does not reach that day.
    """
    day = (np.datetime64(action.date, "D") - np.datetime64("1970-01-01", "D")).astype(np.int64)
    place = int(np.searchsorted(calendar.day, day))
    if place == len(calendar.day):
        msg = f"{action.kind} of {action.symbol} on {action.date}: calendar {calendar.name} does not reach that day"
        raise DeskError(msg)
    return int(calendar.day_start[place]) * MINUTE_NS


def cuts(
    actions: Iterable[Action],
    calendar: Calendar,
    adjust: Adjust,
    close_before: Callable[[int], float | None],
    until: int,
) -> list[Cut]:
    """The cuts that a reader's prices are to be adjusted by, by time.

    Args:
        actions: Of one symbol.
        calendar: The symbol's.
        adjust: Which of them count.
        close_before: The last raw close before a moment (ns), None if none is known.
        until: ns; actions that take effect after this moment are left out.

    Raises:
        DeskError: A dividend has no close before it, or is not smaller than that close.
    """
    found = []
    for action in sorted(actions):
        if adjust is Adjust.NONE or (adjust is Adjust.SPLITS and action.kind is not ActionKind.SPLIT):
            continue
        time = ex_time(action, calendar)
        if time > until:
            continue
        if action.kind is ActionKind.SPLIT:
            found.append(Cut(time, 1 / action.value, action.value, action))
            continue
        close = close_before(time)
        if close is None:
            # No price before it is known, so no bar before it is there to be changed.
            continue
        if action.value >= close:
            msg = (
                f"dividend of {action.symbol} on {action.date}: {action.value:g} is not below the close before it, "
                f"{close:g}; correct it with `pq actions import`, or read with --adjust splits"
            )
            raise DeskError(msg)
        found.append(Cut(time, 1 - action.value / close, 1.0, action))
    return sorted(found, key=lambda cut: cut.time)


def factors(starts: NDArray[np.int64], made: list[Cut]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the prices and the volumes of bars with these starts (ns) are multiplied by: 1 after the last cut.

    >>> factors(np.array([5, 20]), [])[0].tolist()
    [1.0, 1.0]
    """
    # Products from the newest cut back, so that a bar after all cuts keeps its price to the last bit.
    times = np.array([cut.time for cut in made], dtype=np.int64)
    back_price = np.ones(len(made) + 1)
    back_volume = np.ones(len(made) + 1)
    for place in range(len(made) - 1, -1, -1):
        back_price[place] = back_price[place + 1] * made[place].price
        back_volume[place] = back_volume[place + 1] * made[place].volume
    passed = np.searchsorted(times, starts, side="right")
    return back_price[passed], back_volume[passed]


def straddled(starts: NDArray[np.int64], ends: NDArray[np.int64], made: list[Cut]) -> NDArray[np.bool_]:
    """Which bars hold prices from both sides of a cut: a week or month can, and no factor mends its raw numbers."""
    times = np.array([cut.time for cut in made], dtype=np.int64)
    held: NDArray[np.bool_] = np.searchsorted(times, ends, side="left") > np.searchsorted(times, starts, side="right")
    return held
