"""Two providers of one symbol held against each other: a sample of bars, and what of it differs too much."""

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from history.fetching import fetch_bars
from history.order import ordered
from history.roster import roster
from history.slot_numbers import slot_number, slot_start
from market.bars import BAR, BarState
from market.errors import DeskError
from market.intervals import Interval
from market.sessions import calendar_for
from market.symbols import Symbol
from sinks.findings_book import Finding, FindingsBook

if TYPE_CHECKING:
    from history.desk import HistoryDesk

BARS: Final = 50
"""Bars of a sample: a page of any provider."""
WITHIN: Final = 500
"""The newest so many bars are sampled from."""

_FIGURES: Final = ("open", "high", "low", "close")
"""Volumes are not compared: each provider counts the trades of its own tape."""


class Checked(NamedTuple):
    """What one comparison came to."""

    symbol: Symbol
    interval: Interval
    first: str
    """Provider."""
    second: str
    compared: int
    """Bars that both have."""
    alone: int
    """Bars that only one of them has."""
    findings: tuple[Finding, ...]
    """By start and figure."""


def cross_check(
    desk: "HistoryDesk",
    symbol: Symbol,
    interval: Interval,
    *,
    chance: Random,
    providers: Sequence[str] | None = None,
    bars: int = BARS,
    say: Callable[[str], None] = lambda _: None,
) -> Checked:
    """Compare a sample of official bars of two providers; differences above the setting go into the book of findings.

    Args:
        desk: Whose providers and settings they are.
        symbol: The instrument.
        interval: Of the bars.
        chance: Chooses which of the newest 500 bars.
        providers: The two; None takes the first two in order that can be asked.
        bars: How many follow each other in the sample.
        say: Told of waits.

    Raises:
        DeskError: There are not two providers to ask, or one of them did not give the bars.
    """
    first, second = _pair(desk, symbol, providers)
    calendar = calendar_for(symbol)
    # The bar that is not over is nobody's to judge.
    last = slot_number(calendar, interval, desk.now_ns()) - 1
    begin = last - chance.randint(bars, max(bars, WITHIN))
    span = slot_start(calendar, interval, begin), slot_start(calendar, interval, begin + bars)
    ours, theirs = (_official(desk, symbol, interval, name, span, say) for name in (first, second))
    both, left, right = np.intersect1d(ours["start"], theirs["start"], assume_unique=True, return_indices=True)
    pairs = ours[left], theirs[right]
    findings = _differing(desk, symbol, interval, (first, second), pairs)
    with FindingsBook(desk.folders.history) as book:
        book.note(findings)
    alone = len(ours) + len(theirs) - 2 * len(both)
    return Checked(symbol, interval, first, second, len(both), alone, findings)


def _pair(desk: "HistoryDesk", symbol: Symbol, providers: Sequence[str] | None) -> tuple[str, str]:
    if providers is None:
        offered = roster(desk).offered
        providers = [name for name in ordered(desk, symbol) if name in offered and not offered[name].missing]
    if len(set(providers)) < 2:
        there = f"there is only {providers[0]}" if providers else "none can be asked"
        msg = (
            f"{symbol} cannot be compared: two providers are wanted, and {there}; `pq providers` says what others need"
        )
        raise DeskError(msg)
    return providers[0], providers[1]


def _official(
    desk: "HistoryDesk",
    symbol: Symbol,
    interval: Interval,
    name: str,
    span: tuple[int, int],
    say: Callable[[str], None],
) -> NDArray[np.void]:
    parts = fetch_bars(desk, symbol, interval, start=span[0], end=span[1], provider=name, say=say)
    rows = np.concatenate([np.empty(0, BAR), *(part.batch.rows for part in parts)])
    return np.asarray(rows[rows["state"] == BarState.OFFICIAL])


def _differing(
    desk: "HistoryDesk",
    symbol: Symbol,
    interval: Interval,
    names: tuple[str, str],
    pairs: tuple[NDArray[np.void], NDArray[np.void]],
) -> tuple[Finding, ...]:
    """One finding a figure that differs by more than the setting."""
    ours, theirs = pairs
    most = desk.settings.cross_check_percent
    found = []
    for field in _FIGURES:
        mine, other = ours[field], theirs[field]
        with np.errstate(divide="ignore", invalid="ignore"):
            percent = np.where(mine == other, 0.0, 100 * np.abs(other - mine) / np.abs(mine))
        found += [
            Finding(
                symbol, interval, int(ours["start"][place]), field, names[0], float(mine[place]), names[1],
                float(other[place]), float(percent[place]), desk.now_ns(),
            )
            for place in np.flatnonzero(percent > most).tolist()
        ]  # fmt: skip
    return tuple(sorted(found, key=lambda one: (one.start, _FIGURES.index(one.field))))
