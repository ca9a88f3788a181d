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

_OURS: Final = "#3b6fd4"
_THEIRS: Final = "#9aa7b8"
_UP: Final = "#2e9e6b"
_DOWN: Final = "#d1495b"


def equity(report: "Report") -> "Figure":
    """Equity beside buy and hold, and below it how far both stand under their peaks."""
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
    upper.legend(loc="upper left", fontsize=8, frameon=False)
    upper.ticklabel_format(axis="y", useOffset=False, style="plain")
    lower.plot(times, -100 * drawdowns(report.benchmark_equity, cash)[kept], color=_THEIRS, linewidth=0.8)
    lower.fill_between(times, -100 * drawdowns(curve.equity, cash)[kept], 0, color=_DOWN, alpha=0.55, linewidth=0)
    lower.set_ylabel("drawdown %", fontsize=8)
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


def grid(rows: Sequence[str], columns: Sequence[str], values: Any, title: str, form: str = "{:.1f}") -> "Figure":
    """Numbers as a map: red below 0, green above.

    Args:
        rows: Names.
        columns: Names.
        values: (rows, columns) of float64; NaN where there is none, which stays white.
        title: Over the map.
        form: Of a number, where there is room to write it.
    """
    from matplotlib.figure import Figure

    found = np.asarray(values, float)
    height = 1.0 + 0.3 * len(rows)
    figure = Figure(figsize=(min(14.0, max(4.5, 2.0 + 0.75 * len(columns))), height), layout="constrained")
    axes = figure.subplots()
    most = float(np.nanmax(np.abs(found))) if np.isfinite(found).any() else 1.0
    axes.imshow(found, cmap="RdYlGn", vmin=-most or -1.0, vmax=most or 1.0, aspect="auto")
    axes.set_xticks(range(len(columns)), columns, fontsize=7, rotation=30 if len(columns) > 4 else 0, ha="center")
    axes.set_yticks(range(len(rows)), rows, fontsize=7)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if len(columns) <= 16:
        for (row, column), value in np.ndenumerate(found):
            if np.isfinite(value):
                axes.text(column, row, form.format(value), ha="center", va="center", fontsize=7)
    axes.set_title(title, fontsize=9, loc="left")
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
