"""Pictures in the artifacts of runs: what is held by day, how true the live bars are, how long restores take."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DAYS_SHOWN: Final = 53 * 7
"""A year of squares is what can still be told apart; the newest are shown."""
WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONDAY: Final = 4
"""Days from 1970-01-01, a Thursday, to the first Monday."""


class DayShare(NamedTuple):
    """How much of one day is known."""

    day: int
    """Days since 1970."""
    share: float
    """0 to 1."""


def calendar(series: Sequence[tuple[str, Sequence[DayShare]]]) -> "Figure":
    """What is known of each day, a square a day: a column a week, a row a weekday, one calendar a series.

    Args:
        series: Their names, and their days in order; at least one of each.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 0.5 + 1.6 * len(series)), layout="constrained")
    grid = figure.subplots(len(series), 1, squeeze=False)
    for axes, (name, days) in zip(grid[:, 0], series, strict=True):
        _squares(axes, name, days[-DAYS_SHOWN:])
    return figure


def squares(days: Sequence[DayShare]) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    """The shares of days as (7, weeks), Monday first; NaN where there is no day.

    >>> squares([DayShare(4, 1.0), DayShare(12, 0.5)])[:2].tolist()
    [[1.0, nan], [nan, 0.5]]
    """
    first = (days[0].day - _MONDAY) // 7
    weeks = (days[-1].day - _MONDAY) // 7 - first + 1
    found = np.full((7, weeks), np.nan)
    for day, share in days:
        found[(day - _MONDAY) % 7, (day - _MONDAY) // 7 - first] = share
    return found


def _squares(axes: "Axes", name: str, days: Sequence[DayShare]) -> None:
    found = squares(days)
    # At least half a year wide, so that a few days are not drawn as slabs.
    weeks = max(found.shape[1], 26)
    padded = np.full((7, weeks), np.nan)
    padded[:, : found.shape[1]] = found
    axes.pcolormesh(np.flipud(padded), cmap="RdYlGn", vmin=0, vmax=1, edgecolors="white", linewidth=0.6)
    axes.set_aspect("equal", anchor="W")
    axes.set_yticks([6.5, 4.5, 2.5], [WEEKDAYS[0], WEEKDAYS[2], WEEKDAYS[4]], fontsize=6)
    monday = (days[0].day - _MONDAY) // 7 * 7 + _MONDAY
    months = [(week, _date(monday + 7 * week)) for week in range(found.shape[1])]
    firsts = [(week, day) for week, day in months if day.day <= 7] or months[:1]
    axes.set_xticks([week for week, _ in firsts], [f"{day:%b %y}" for _, day in firsts], fontsize=6)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(name, fontsize=8, loc="left")


def _date(day: int) -> datetime:
    return datetime.fromtimestamp(day * 86_400, UTC)


def columns(points: Sequence[tuple[int, float]], unit: str, bad: Sequence[bool] = ()) -> "Figure":
    """A column a moment.

    Args:
        points: When (ns), and how much, in order; at least one.
        unit: Of how much.
        bad: Which columns are red; none unless given.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 2.4), layout="constrained")
    axes = figure.subplots()
    colours = ["tab:red" if is_bad else "tab:blue" for is_bad in bad or [False] * len(points)]
    axes.bar(range(len(points)), [value for _, value in points], color=colours, width=0.7)
    # A single column is one among those that may come, and no slab.
    axes.set_xlim(-0.7, max(len(points), 12) - 0.3)
    step = -(-len(points) // 8)
    shown = range(0, len(points), step)
    axes.set_xticks(list(shown), [f"{_date(points[place][0] // 86_400_000_000_000):%Y-%m-%d}" for place in shown])
    axes.tick_params(labelsize=7)
    axes.set_ylabel(unit, fontsize=8)
    axes.set_ylim(bottom=0)
    return figure


def bars(shares: Sequence[tuple[str, float, float]], title: str) -> "Figure":
    """Shares from 0 to 1, a horizontal bar each, and what is known to be doubtful after it in grey.

    The colour tells of the rest only: green where there is none.

    Args:
        shares: Names, shares, and the shares of what is known to be doubtful; at least one.
        title: Over the picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.7 + 0.22 * len(shares)), layout="constrained")
    axes = figure.subplots()
    names, values, known = zip(*reversed(shares), strict=True)
    colours = [_colour(value + doubtful) for value, doubtful in zip(values, known, strict=True)]
    axes.barh(range(len(names)), values, color=colours, height=0.7)
    axes.barh(range(len(names)), known, left=values, color="lightgrey", height=0.7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_xlim(0, 1)
    axes.tick_params(axis="x", labelsize=7)
    axes.set_title(title, fontsize=8, loc="left")
    return figure


def _colour(share: float) -> str:
    """Of a share; sums of shares end a hair below 1.

    >>> [_colour(share) for share in (1.0, 0.1 + 0.2 + 0.7, 0.995, 0.5)]
    ['tab:green', 'tab:green', 'tab:orange', 'tab:red']
    """
    return "tab:green" if share > 1 - 1e-9 else "tab:orange" if share >= 0.99 else "tab:red"
