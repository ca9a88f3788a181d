"""A sweep's first heat map in a terminal, where there is one: a coloured cell for each pair of values."""

import sys
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rich.text import Text

    from backtest.sweep_report import SweepReport


def heat_in_terminal(report: "SweepReport") -> None:
    """Draw it; nothing where the output is no terminal, or the map is wider than it."""
    if not sys.stdout.isatty():
        return
    from rich.console import Console

    console = Console(highlight=False)
    for line in heat_lines(report, console.width):
        console.print(line)


def heat_lines(report: "SweepReport", width: int) -> "list[Text]":
    """The map, and what it is above it; none if there is no map, or it is wider than so many characters."""
    from rich.text import Text

    from backtest.sweep import METRICS
    from backtest.sweep_report import figure_worded, label

    if not report.maps:
        return []
    one, sign = report.maps[0], METRICS[report.metric]
    texts = [
        [figure_worded(report.metric, value if np.isfinite(value) else None, "") for value in values]
        for values in one.values.tolist()
    ]
    wide = 1 + max(len(text) for line in [one.columns, *texts] for text in line)
    margin = max(len(name) for name in one.rows)
    if margin + wide * len(one.columns) > width:
        return []
    known = one.values[np.isfinite(one.values)] * sign
    low, high = float(known.min()), float(known.max())
    lines = [Text(f"\n{label(report.metric)} by {one.x} (across) and {one.y} (down)")]
    lines.append(Text(" " * margin + "".join(f"{name:>{wide}}" for name in one.columns)))
    for name, values, words in zip(one.rows, one.values.tolist(), texts, strict=True):
        line = Text(f"{name:>{margin}}")
        for value, text in zip(values, words, strict=True):
            share = (value * sign - low) / (high - low) if high > low else 1.0
            best = "bold " if value * sign == high else ""
            line.append(f"{text:>{wide}}", f"{best}black on {_colour(share)}" if np.isfinite(value) else "dim")
        lines.append(line)
    return lines


def _colour(good: float) -> str:
    """Red for the worst, green for the best, pale between."""
    worst, middle, top = (209, 73, 91), (240, 238, 233), (46, 158, 107)
    below, above, share = (worst, middle, good * 2) if good < 0.5 else (middle, top, good * 2 - 1)
    return "rgb({},{},{})".format(*(round(a + (b - a) * share) for a, b in zip(below, above, strict=True)))
