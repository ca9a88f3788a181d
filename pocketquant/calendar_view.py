"""A calendar of what is held: a line a month and a letter a day, or a line a year and a letter a month."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from history.coverage import Day

WHOLE, MOST, SOME, NONE, CLOSED = "█", "▓", "░", "·", " "
LEGEND: Final = f"{WHOLE} all held or quiet  {MOST} over half  {SOME} less  {NONE} nothing  (blank: no session)"
_EPOCH: Final = date(1970, 1, 1)
_MONTH_RULER: Final = "         " + "".join(f"{day:<5}" for day in (1, 6, 11, 16, 21, 26, 31)).rstrip()
_YEAR_RULER: Final = "      JFMAMJJASOND"
_TWO_YEARS: Final = timedelta(days=731)


def calendar_lines(days: "Sequence[Day]") -> Iterator[str]:
    """A ruler and a line a month, oldest first; of more than two years a line a year, a letter a month.

    >>> from history.coverage import Day
    >>> for line in calendar_lines([Day(20_454, 10, 10, 0), Day(20_455, 10, 4, 2), Day(20_457, 10, 0, 0)]): print(line)
             1    6    11   16   21   26   31
    2026-01  █▓ ·
    >>> for line in calendar_lines([Day(19_000, 10, 10, 0), Day(20_455, 10, 4, 2), Day(20_457, 10, 0, 0)]): print(line)
          JFMAMJJASOND
    2022  █
    2026  ░
    """
    dates = [_EPOCH + timedelta(days=one.day) for one in days]
    if not dates:
        return
    if dates[-1] - dates[0] <= _TWO_YEARS:
        yield _MONTH_RULER
        yield from _lines(_by((f"{when:%Y-%m}" for when in dates), (when.day for when in dates), days), 31)
        return
    yield _YEAR_RULER
    yield from _lines(_by((f"{when:%Y}" for when in dates), (when.month for when in dates), days), 12)


def _by(names: Iterable[str], places: Iterable[int], days: "Sequence[Day]") -> "dict[str, dict[int, list[Day]]]":
    found: dict[str, dict[int, list[Day]]] = {}
    for name, place, day in zip(names, places, days, strict=True):
        found.setdefault(name, {}).setdefault(place, []).append(day)
    return found


def _lines(rows: "dict[str, dict[int, list[Day]]]", width: int) -> Iterator[str]:
    for name, cells in rows.items():
        letters = (_letter(cells[place]) if place in cells else CLOSED for place in range(1, width + 1))
        yield f"{name}  {''.join(letters)}".rstrip()


def _letter(days: "list[Day]") -> str:
    missing = sum(day.missing for day in days)
    expected = sum(day.expected for day in days)
    if missing == 0:
        return WHOLE
    if missing == expected:
        return NONE
    return MOST if 2 * missing < expected else SOME
