"""Pictures of runs in their artifacts: equity beside buy and hold, entries and exits, and many runs as a map."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from backtest.report import Chart, Report
    from trading.records import Records

WIDTH: Final = 7.6
"""Inches; in Prefect's UI a picture is 690 pixels wide."""
POINTS_MOST: Final = 1_200
"""Of a line; a picture is about as many pixels wide."""
MARKS_MOST: Final = 150
"""More entries and exits than these hide the price: the newest are drawn."""
COLUMNS_WRITTEN: Final = 12
"""In the cells of a map with more, numbers would run into each other."""
COLUMNS_NAMED: Final = 24

_OURS: Final = "#3b6fd4"
_THEIRS: Final = "#9aa7b8"
_UP: Final = "#2e9e6b"
_DOWN: Final = "#d1495b"


def equity(report: "Report") -> "Figure":
    """Equity beside buy and hold, and below it how far both stand under their peaks; lines where windows begin."""
    from matplotlib.figure import Figure

    from backtest.curve import drawdowns
    from backtest.thinning import places

    curve, cash = report.curve, report.metrics.equity_start
    kept = places([curve.equity, report.benchmark_equity], POINTS_MOST)
    times = _times(curve.time[kept])
    figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.plot(times, report.benchmark_equity[kept], color=_THEIRS, linewidth=1, label="buy and hold")
    upper.plot(times, curve.equity[kept], color=_OURS, linewidth=1.3, label="strategy")
    upper.set_ylabel(report.currency, fontsize=8)
    upper.legend(loc="best", fontsize=8, frameon=False)
    upper.ticklabel_format(axis="y", useOffset=False, style="plain")
    lower.plot(times, -100 * drawdowns(report.benchmark_equity, cash)[kept], color=_THEIRS, linewidth=0.8)
    lower.fill_between(times, -100 * drawdowns(curve.equity, cash)[kept], 0, color=_DOWN, alpha=0.55, linewidth=0)
    lower.set_ylabel("drawdown %", fontsize=8)
    for bound in report.bounds:
        for axes in (upper, lower):
            axes.axvline(_times(np.array([bound]))[0], color="#b8bec8", linewidth=0.7, linestyle=":")
    _quiet(upper, lower)
    return figure


def trades(chart: "Chart", made: "Records") -> "Figure":
    """A symbol's closes, and each trade as a line from its entry to its exit, green if it won; the newest of many.

    Args:
        chart: The bars of the symbol.
        made: Its trades, by exit.
    """
    from matplotlib.figure import Figure

    shown = made[-MARKS_MOST:]
    bars = chart.bars
    if len(shown) < len(made):
        bars = bars[bars["start"] >= int(shown["entry_time"].min())]
    from backtest.thinning import places

    kept = places([bars["close"]], POINTS_MOST)
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(_times(bars["start"][kept]), bars["close"][kept], color=_THEIRS, linewidth=0.9, zorder=1)
    for won, colour, name in ((True, _UP, "won"), (False, _DOWN, "lost")):
        mine = shown[(shown["pnl"] > 0) == won]
        if len(mine):
            ends = [np.array([mine[f"entry_{what}"], mine[f"exit_{what}"]]) for what in ("time", "price")]
            axes.plot(_times(ends[0]), ends[1], color=colour, linewidth=1.6, label=[name, *[""] * (len(mine) - 1)])
    for side, marker, name in ((1, "^", "long"), (-1, "v", "short")):
        mine = shown[shown["side"] == side]
        if len(mine):
            axes.scatter(
                _times(mine["entry_time"]), mine["entry_price"], marker=marker, s=34, c=_OURS, zorder=3, label=name
            )
    if len(shown):
        axes.legend(loc="best", fontsize=8, frameon=False, ncols=4)
    newest = f": the newest {len(shown)} of {len(made)} trades" if len(shown) < len(made) else ""
    axes.set_title(f"{chart.symbol} {chart.interval}{newest}", fontsize=9, loc="left")
    axes.ticklabel_format(axis="y", useOffset=False, style="plain")
    _quiet(axes)
    return figure


def grid(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Any,
    title: str,
    form: str = "{:.1f}",
    *,
    good: int = 1,
    axes: tuple[str, str] = ("", ""),
) -> "Figure":
    """Numbers as a map: green where they are good, and where there are both, white is 0.

    Args:
        rows: Names.
        columns: Names.
        values: (rows, columns) of float64; NaN where there is none, which stays white.
        title: Over the map.
        form: Of a number, where there is room to write it.
        good: 1 where more is better, -1 where less is.
        axes: What the columns and the rows are, where that must be said.
    """
    from matplotlib.figure import Figure

    found = np.asarray(values, float)
    height = 1.0 + 0.3 * len(rows)
    figure = Figure(figsize=(min(WIDTH, max(4.5, 2.0 + 0.75 * len(columns))), height), layout="constrained")
    drawn = figure.subplots()
    low, high = (np.nanmin(found), np.nanmax(found)) if np.isfinite(found).any() else (0.0, 0.0)
    if low < 0 < high or low == high:
        low, high = (-max(abs(low), abs(high), 1e-12), max(abs(low), abs(high), 1e-12))
    drawn.imshow(found, cmap="RdYlGn" if good > 0 else "RdYlGn_r", vmin=low, vmax=high, aspect="auto")
    step = -(-len(columns) // COLUMNS_NAMED)
    named = range(0, len(columns), step)
    drawn.set_xticks(list(named), [columns[place] for place in named], fontsize=7, rotation=0 if len(named) < 9 else 45)
    drawn.set_yticks(range(len(rows)), rows, fontsize=7)
    drawn.tick_params(length=0)
    drawn.set_xlabel(axes[0], fontsize=8)
    drawn.set_ylabel(axes[1], fontsize=8)
    for spine in drawn.spines.values():
        spine.set_visible(False)
    if len(columns) <= COLUMNS_WRITTEN:
        for (row, column), value in np.ndenumerate(found):
            if np.isfinite(value):
                drawn.text(column, row, form.format(value), ha="center", va="center", fontsize=7)
    drawn.set_title(title, fontsize=9, loc="left")
    return figure


def curves(names: Sequence[str], lines: Sequence[tuple[str, Any]], title: str) -> "Figure":
    """A line each over the values of one parameter.

    Args:
        names: Of the values.
        lines: Names, and a number at each value; NaN where there is none.
        title: Over the picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
    axes = figure.subplots()
    for (name, values), colour in zip(lines, (_OURS, _THEIRS), strict=False):
        axes.plot(range(len(names)), values, color=colour, linewidth=1.4, marker="o", markersize=3, label=name)
    step = -(-len(names) // COLUMNS_NAMED)
    named = range(0, len(names), step)
    axes.set_xticks(list(named), [names[place] for place in named])
    axes.legend(loc="best", fontsize=8, frameon=False)
    axes.set_title(title, fontsize=9, loc="left")
    _quiet(axes)
    return figure


def pairs(names: Sequence[str], first: tuple[str, Any], second: tuple[str, Any], title: str) -> "Figure":
    """Two columns for each name: what was promised, and what was kept.

    Args:
        names: Of the pairs.
        first: What the one is, and its numbers; NaN where there is none.
        second: The same of the other.
        title: Over the picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(names))
    for (name, values), colour, aside in ((first, _THEIRS, -0.2), (second, _OURS, 0.2)):
        axes.bar(places + aside, np.nan_to_num(np.asarray(values, float)), width=0.4, color=colour, label=name)
    axes.axhline(0, color="#4a5568", linewidth=0.7)
    # A single pair is one among those that may come, and no slab.
    axes.set_xlim(-0.7, max(len(names), 6) - 0.3)
    named = range(0, len(names), -(-len(names) // 8))
    axes.set_xticks(list(named), [names[place] for place in named])
    axes.legend(loc="best", fontsize=8, frameon=False)
    axes.set_title(title, fontsize=9, loc="left")
    _quiet(axes)
    return figure


def _quiet(*drawn: "Axes") -> None:
    for axes in drawn:
        axes.grid(visible=True, alpha=0.25)
        axes.tick_params(labelsize=8)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)


def _times(times: Any) -> Any:
    """Moments as the axes take them."""
    return times.astype("datetime64[ns]")
