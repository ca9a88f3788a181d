"""A sweep's first heat map in a terminal, where there is one: a coloured cell for each pair of values."""

import sys
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from backtest.sweep_report import SweepReport

WIDE: Final = 7
"""Characters of a cell."""


def heat_in_terminal(report: "SweepReport") -> None:
    """Draw it; nothing where the output is no terminal, or it is wider than the terminal."""
    if not sys.stdout.isatty():
        return
    from rich.console import Console
    from rich.text import Text

    from backtest.sweep import METRICS
    from backtest.sweep_report import label

    console, one = Console(), report.maps[0]
    margin = max(len(name) for name in (*one.rows, one.y))
    if margin + WIDE * len(one.columns) > console.width:
        return
    known = one.values[np.isfinite(one.values)]
    low, high = float(known.min()), float(known.max())
    best = known.max() if METRICS[report.metric] > 0 else known.min()
    console.print(f"\n{label(report.metric)} by {one.x} (across) and {one.y} (down)")
    console.print(" " * margin + "".join(f"{name:>{WIDE}}" for name in one.columns))
    for name, values in zip(one.rows, one.values.tolist(), strict=True):
        line = Text(f"{name:>{margin}}")
        for value in values:
            if not np.isfinite(value):
                line.append(f"{'-':>{WIDE}}", "dim")
                continue
            share = (value - low) / (high - low) if high > low else 1.0
            good = share if METRICS[report.metric] > 0 else 1 - share
            line.append(f"{value:>{WIDE}.4g}", f"{'bold ' if value == best else ''}black on {_colour(good)}")
        console.print(line)


def _colour(good: float) -> str:
    """Red for the worst, green for the best, pale between."""
    worst, middle, top = (209, 73, 91), (240, 238, 233), (46, 158, 107)
    below, above, share = (worst, middle, good * 2) if good < 0.5 else (middle, top, good * 2 - 1)
    return "rgb({},{},{})".format(*(round(a + (b - a) * share) for a, b in zip(below, above, strict=True)))
