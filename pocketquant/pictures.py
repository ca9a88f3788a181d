"""Candles as a picture (PNG) and as a page that opens offline (HTML)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pocketquant.candles import Candle

_UP: Final = "#2e9e6b"
_DOWN: Final = "#d1495b"


def write_png(candles: Sequence[Candle], title: str, path: Path) -> None:
    """Draw candles and volume with Matplotlib; one step a bar, so that closed hours leave no hole."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (prices, volumes) = plt.subplots(
        2, 1, sharex=True, figsize=(12, 6.5), height_ratios=[4, 1], layout="constrained"
    )
    places = range(len(candles))
    colours = [_UP if candle.close >= candle.open else _DOWN for candle in candles]
    prices.vlines(places, [c.low for c in candles], [c.high for c in candles], colors=colours, linewidth=1)
    # A body of no height would not be seen, so its edge is drawn too.
    prices.bar(
        places,
        [abs(c.close - c.open) for c in candles],
        bottom=[min(c.open, c.close) for c in candles],
        color=colours,
        edgecolor=colours,
        width=0.7,
    )
    volumes.bar(places, [c.volume for c in candles], color=colours, width=0.7)
    every = max(1, len(candles) // 8)
    ticks = list(places)[::every]
    volumes.set_xticks(ticks, [f"{_moment(candles[place].start):%Y-%m-%d\n%H:%M}" for place in ticks])
    prices.set_title(title, loc="left")
    prices.set_ylabel("price")
    volumes.set_ylabel("volume")
    for axes in (prices, volumes):
        axes.grid(visible=True, alpha=0.25)
    prices.ticklabel_format(axis="y", useOffset=False)
    figure.savefig(path, dpi=110, format="png")
    plt.close(figure)


def write_html(candles: Sequence[Candle], title: str, path: Path) -> None:
    """Write a page with candles and volume by Plotly, its script included, so that it needs no network."""
    from plotly import graph_objects
    from plotly.subplots import make_subplots

    times = [_moment(candle.start) for candle in candles]
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.8, 0.2], vertical_spacing=0.03)
    figure.add_trace(
        graph_objects.Candlestick(
            x=times,
            open=[c.open for c in candles],
            high=[c.high for c in candles],
            low=[c.low for c in candles],
            close=[c.close for c in candles],
            increasing_line_color=_UP,
            decreasing_line_color=_DOWN,
            name="price",
        ),
        row=1,
        col=1,
    )
    colours = [_UP if candle.close >= candle.open else _DOWN for candle in candles]
    figure.add_trace(
        graph_objects.Bar(x=times, y=[c.volume for c in candles], marker_color=colours, name="volume"), row=2, col=1
    )
    figure.update_layout(
        title=title,
        xaxis_rangeslider_visible=False,
        showlegend=False,
        template="plotly_white",
        margin={"l": 50, "r": 30, "t": 60, "b": 40},
    )
    figure.write_html(path, include_plotlyjs=True, full_html=True)


def _moment(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns // 10**9, UTC)
