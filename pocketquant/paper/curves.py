"""The equity of paper runs as a picture (PNG), a page that opens offline (HTML), and candles for a terminal."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from pocketquant.candles import Candle

POINTS_MAX: Final = 4_000
_DOWN: Final = "#d1495b"


class Point(NamedTuple):
    """One mark of an account."""

    time: int
    """ns."""
    equity: float
    drawdown: float
    """Fraction below the highest before."""


Drawn = Sequence[tuple[str, Sequence[Point]]]
"""Title and points of each curve, oldest first, at least one."""


def as_candles(points: Sequence[Point], columns: int) -> list[Candle]:
    """A curve as at most so many candles, each of a stretch of it and opening where the one before closed."""
    groups = _groups(points, columns)
    closes = [points[0].equity, *(group[-1].equity for group in groups)]
    found = []
    for (opened, close), group in zip(pairwise(closes), groups, strict=True):
        values = [opened, *(point.equity for point in group)]
        found.append(Candle(group[0].time, opened, max(values), min(values), close, 0.0))
    return found


def write_png(drawn: Drawn, path: Path) -> None:
    """Draw equity, and drawdown below it, with Matplotlib."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (above, below) = plt.subplots(
        2, 1, sharex=True, figsize=(12, 6.5), height_ratios=[3, 1], layout="constrained"
    )
    for title, points in drawn:
        kept = _thinned(points)
        times = [_moment(point.time) for point in kept]
        above.plot(times, [point.equity for point in kept], linewidth=1.4, label=title, drawstyle="steps-post")
        below.fill_between(
            times, [-100 * point.drawdown for point in kept], color=_DOWN, alpha=0.35, linewidth=0, step="post"
        )
    above.set_title("equity", loc="left")
    below.set_ylabel("drawdown %")
    above.legend(loc="upper left", fontsize=8)
    above.ticklabel_format(axis="y", useOffset=False)
    for axes in (above, below):
        axes.grid(visible=True, alpha=0.25)
    figure.savefig(path, dpi=110, format="png")
    plt.close(figure)


def write_html(drawn: Drawn, path: Path) -> None:
    """Write a page with equity and drawdown by Plotly, its script included, so that it needs no network."""
    from plotly import graph_objects
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.75, 0.25], vertical_spacing=0.04)
    for title, points in drawn:
        kept = _thinned(points)
        times = [_moment(point.time) for point in kept]
        figure.add_trace(
            graph_objects.Scatter(
                x=times, y=[point.equity for point in kept], mode="lines", line_shape="hv", name=title
            ),
            row=1,
            col=1,
        )
        figure.add_trace(
            graph_objects.Scatter(
                x=times,
                y=[-100 * point.drawdown for point in kept],
                mode="lines",
                line={"color": _DOWN, "width": 1, "shape": "hv"},
                fill="tozeroy",
                name="drawdown %",
                showlegend=False,
            ),
            row=2,
            col=1,
        )
    figure.update_layout(
        title="equity",
        template="plotly_white",
        legend={"orientation": "h", "y": 1.08},
        showlegend=True,
        margin={"l": 60, "r": 30, "t": 90, "b": 40},
    )
    figure.update_yaxes(title_text="drawdown %", row=2, col=1)
    figure.write_html(path, include_plotlyjs=True, full_html=True)


def _thinned(points: Sequence[Point]) -> list[Point]:
    """Fewer points that look the same: of each stretch the highest, the lowest and the last."""
    if len(points) <= POINTS_MAX:
        return list(points)
    kept = [points[0]]
    for group in _groups(points, POINTS_MAX // 3):
        ends = (max(group, key=_equity), min(group, key=_equity), group[-1])
        kept += sorted(set(ends))
    return kept


def _groups(points: Sequence[Point], most: int) -> list[Sequence[Point]]:
    """At most so many stretches of nearly equal length."""
    count = min(most, len(points))
    cuts = [place * len(points) // count for place in range(count + 1)]
    return [points[begin:end] for begin, end in pairwise(cuts)]


def _equity(point: Point) -> float:
    return point.equity


def _moment(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns / 1e9, UTC)
