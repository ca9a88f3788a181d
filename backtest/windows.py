"""Windows of a walk-forward: where each begins to learn and to be tested, by the calendar or by numbers of bars."""

import datetime as dt
import re
from calendar import monthrange
from typing import Final, NamedTuple

import numpy as np

from backtest.curve import DAY_NS, Times
from backtest.report import moment
from market.errors import DeskError

_UNITS: Final = {"y": "years", "m": "months", "w": "weeks", "d": "days", "": "bars"}
_EPOCH: Final = dt.date(1970, 1, 1)
WINDOWS_MAX: Final = 1_000


class Length(NamedTuple):
    """A length of time."""

    number: int
    unit: str
    """`y`, `m` (months), `w`, `d`; empty for bars."""

    def __str__(self) -> str:
        return f"{self.number}{self.unit}"

    @property
    def words(self) -> str:
        """For people: `2 years`, `1 month`, `500 bars`."""
        return f"{self.number:,} {_UNITS[self.unit] if self.number != 1 else _UNITS[self.unit][:-1]}"


class Fold(NamedTuple):
    """One window, ns. A bar belongs to where it ends: after the one bound and not after the other."""

    train_from: int
    test_from: int
    """End of what is learned from, and begin of what is tested on."""
    test_to: int


def parse_length(text: str) -> Length:
    """A length as a user writes it: `2y`, `6m` (months), `8w`, `90d`, or `500` for bars.

    Raises:
        DeskError: It is none.
    """
    found = re.fullmatch(r"(\d{1,7})([ymwd]?)", text.strip().lower())
    if found is None or int(found[1]) == 0:
        msg = f"{text!r} is no length of time: write 2y, 6m (months), 8w, 90d, or 500 for so many bars"
        raise DeskError(msg)
    return Length(int(found[1]), found[2])


def folds(ends: Times, begin: int, train: Length, test: Length, *, anchored: bool) -> list[Fold]:
    """The windows of a run's bars, one after the other, each tested on what comes next.

    By the calendar they begin at midnight UTC of the first bar's day. The last one ends with the bars.

    Args:
        ends: Of the run's own bars, ns, rising; those of several symbols that end together may repeat.
        begin: Start of the first bar, ns.
        train: How long each learns; the first one, if anchored.
        test: How long each is tested, and so how far the windows are apart.
        anchored: All learn from the first bar on; else from as long before as they learn.

    Raises:
        DeskError: There are no bars to test on, or too many windows.
    """
    moments = np.unique(ends)
    origin = begin // DAY_NS * DAY_NS
    last = int(moments[-1])
    found: list[Fold] = []
    number = 0
    while True:
        train_from = _after(moments, origin, [] if anchored else [test] * number)
        test_from = _after(moments, origin, [train, *[test] * number])
        test_to = _after(moments, origin, [train, *[test] * (number + 1)])
        if test_from is None or test_from >= last or train_from is None:
            break
        bound = last if test_to is None else min(test_to, last)
        # A window in which nothing traded is none.
        if np.searchsorted(moments, bound, side="right") > np.searchsorted(moments, test_from, side="right"):
            found.append(Fold(train_from, test_from, bound))
        number += 1
        if len(found) > WINDOWS_MAX:
            msg = f"a test of {test.words} makes more than {WINDOWS_MAX:,} windows: give it a longer --test"
            raise DeskError(msg)
    if not found:
        msg = (
            f"the bars last from {moment(begin)} to {moment(last)}, {len(moments):,} of them, and --train {train} "
            "leaves none to test on: train for a shorter time, or give it more bars"
        )
        raise DeskError(msg)
    return found


def _after(moments: Times, origin: int, lengths: list[Length]) -> int | None:
    """The moment so long after the origin; None if there are not so many bars.

    Months are added up before they are counted from a date, so that the 31st comes back after a short month.
    """
    months = sum(one.number * (12 if one.unit == "y" else 1) for one in lengths if one.unit in {"y", "m"})
    days = sum(one.number * (7 if one.unit == "w" else 1) for one in lengths if one.unit in {"w", "d"})
    bars = sum(one.number for one in lengths if not one.unit)
    date = _EPOCH + dt.timedelta(days=origin // DAY_NS)
    year, month = divmod(date.year * 12 + date.month - 1 + months, 12)
    if year > dt.MAXYEAR:
        return None
    date = date.replace(year=year, month=month + 1, day=min(date.day, monthrange(year, month + 1)[1]))
    found = ((date - _EPOCH).days + days) * DAY_NS
    if not bars:
        return found
    place = int(np.searchsorted(moments, found, side="right")) + bars
    return int(moments[place - 1]) if place <= len(moments) else None
