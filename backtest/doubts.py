"""What a reader must know of a run's bars before trusting it: gaps, bars that are not whole, jumps like splits."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from backtest.reading import Series
from backtest.report import moment
from market.adjustment import Cut
from market.bars import BarState
from market.errors import DeskError
from market.sessions import Calendar
from market.slots import slots

RATIOS: Final = (2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 25.0, 30.0, 50.0, 100.0, 1.5)
"""Splits as companies make them; their inverses are reverse splits."""
NEAR: Final = 0.06
"""How far an open may be from what a split alone would make of the close before, as a fraction."""
LEAST: Final = 0.30
"""A smaller jump of the price is taken for news."""


def check_prices(series: Series) -> None:
    """Refuse prices that no fill can be at.

    Raises:
        DeskError: A price is zero, negative, not a number, or outside of its bar's range.
    """
    bars = series.bars
    low = np.minimum.reduce([bars["open"], bars["high"], bars["low"], bars["close"]])
    high = np.maximum.reduce([bars["open"], bars["high"], bars["low"], bars["close"]])
    bad = ~((low > 0) & (high < np.inf) & (bars["low"] <= low) & (bars["high"] >= high))
    if bad.any():
        bar = bars[int(np.flatnonzero(bad)[0])]
        prices = " ".join(f"{name} {float(bar[name]):g}" for name in ("open", "high", "low", "close"))
        rule = "prices must be above 0" if not float(bar["low"]) > 0 else "open and close must lie between low and high"
        msg = (
            f"{series.symbol} {series.interval} bar of {moment(int(bar['start']))}: {rule}, and it has {prices}; "
            "mend it, or leave it out with --start and --end"
        )
        raise DeskError(msg)


def gaps(series: Series, calendar: Calendar) -> int:
    """Bars that the calendar has room for between the first and the last, and that are not there."""
    starts = series.bars["start"]
    room = slots(calendar, series.interval, int(starts[0]), int(starts[-1]) + 1)[:, 0]
    return int((~np.isin(room, starts)).sum())


def jumps(series: Series, known: Sequence[Cut]) -> list[tuple[int, float]]:
    """Opens (start of the bar, ns) that look as if the symbol had been split there, and the ratio; known splits aside.

    A heuristic: the open is within 6 % of the close before divided by a common ratio, and at least 30 % away from it.
    """
    bars = series.bars
    change = bars["close"][:-1] / bars["open"][1:]
    moved = np.abs(np.log(change)) >= -np.log1p(-LEAST)
    found = []
    for place in np.flatnonzero(moved).tolist():
        start = int(bars["start"][place + 1])
        if any(int(bars["start"][place]) < cut.time <= start for cut in known):
            continue
        ratios = [ratio for one in RATIOS for ratio in (one, 1 / one)]
        near = min(ratios, key=lambda ratio: abs(np.log(change[place] / ratio)))
        if abs(np.log(change[place] / near)) <= np.log1p(NEAR):
            found.append((start, near))
    return found


def notes(series: Series, calendar: Calendar, known: Sequence[Cut]) -> list[str]:
    """Sentences on one series."""
    name = f"{series.symbol} {series.interval}"
    said = []
    missing = gaps(series, calendar)
    if missing:
        total = len(series.bars) + missing
        said.append(f"{name} has gaps: {missing:,} of {total:,} bars that its calendar has room for are not there.")
    partial = int((series.bars["state"] == BarState.PARTIAL).sum())
    if partial:
        said.append(f"{partial:,} bars of {name} are partial: they were built across an outage.")
    for start, ratio in jumps(series, known):
        words = f"{ratio:g} for 1" if ratio >= 1 else f"1 for {1 / ratio:g}"
        said.append(
            f"{name} opens at {moment(start)} as after a split of {words} that no corporate action explains: "
            "what the strategy made of it may be no trade at all."
        )
    return said
