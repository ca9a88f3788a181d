"""What a report draws, as the script in the page reads it: equity and drawdown, and candles with entries and exits."""

import datetime as dt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backtest.curve import DAY_NS, Numbers, drawdowns
from backtest.monte_carlo import MonteCarlo
from backtest.report import Chart, Report, price
from backtest.thinning import candles, places
from trading.records import Records

MARKS_MAX: Final = 2_000
"""Entries and exits that are drawn of one symbol, the newest."""

_UP: Final = "#2e9e6b"
_DOWN: Final = "#d1495b"
_OURS: Final = "#3b6fd4"
_THEIRS: Final = "#9aa7b8"


def pictures(report: Report) -> dict[str, Any]:
    """Data and layout by the id of the element that they are drawn in."""
    drawn = {"equity": _equity(report)}
    if report.drawn is not None:
        drawn["fan"] = _fan(report.drawn, report.currency)
    for place, chart in enumerate(report.charts):
        drawn[f"chart-{place}"] = _candles(chart, report)
    return drawn


def chart_note(chart: Chart) -> str:
    """What a reader of the candles must know; empty if each candle is a bar."""
    _, every = candles(chart.bars)
    return "" if every == 1 else f"Each candle is {every} bars put together."


def _equity(report: Report) -> dict[str, Any]:
    curve, cash = report.curve, report.metrics.equity_start
    kept = places([curve.equity, report.benchmark_equity])
    times = _times(curve.time[kept])
    fallen = -100 * drawdowns(curve.equity, cash)[kept]
    theirs_fallen = -100 * drawdowns(report.benchmark_equity, cash)[kept]

    def line(name: str, values: Numbers, colour: str, **more: Any) -> dict[str, Any]:
        style = {"color": colour, "width": 1.6}
        return {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": times,
            "y": _rounded(values),
            "line": style,
        } | more

    below = {"yaxis": "y2", "showlegend": False}
    return {
        "data": [
            line("buy and hold", report.benchmark_equity[kept], _THEIRS),
            line("strategy", curve.equity[kept], _OURS),
            line("buy and hold's drawdown", theirs_fallen, _THEIRS, **below),
            line("drawdown", fallen, _DOWN, fill="tozeroy", **below),
        ],
        "layout": {
            "xaxis": {"type": "date", "anchor": "y2"},
            "yaxis": {"domain": [0.36, 1], "title": {"text": report.currency}},
            "yaxis2": {"domain": [0, 0.3], "ticksuffix": " %"},
            "shapes": [_bound(time) for time in _times(np.array(report.bounds, np.int64))],
        },
    }


def _bound(time: str) -> dict[str, Any]:
    """A line from top to bottom."""
    style = {"color": _THEIRS, "width": 1, "dash": "dot"}
    return {"type": "line", "xref": "x", "yref": "paper", "x0": time, "x1": time, "y0": 0, "y1": 1, "line": style}


def _fan(found: MonteCarlo, currency: str) -> dict[str, Any]:
    """Bands of the equity of accounts whose trades were drawn anew, and the run's own."""
    steps = found.steps.tolist()

    def line(name: str, values: Numbers, **more: Any) -> dict[str, Any]:
        return {"type": "scatter", "mode": "lines", "name": name, "x": steps, "y": _rounded(values)} | more

    bare = {"line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
    band = {"line": {"width": 0}, "fill": "tonexty", "hoverinfo": "skip"}
    low, lower, middle, upper, high = found.fan
    return {
        "data": [
            line("5 %", low, **bare),
            line("nine of ten", high, fillcolor="rgba(59, 111, 212, 0.14)", **band),
            line("25 %", lower, **bare),
            line("half of them", upper, fillcolor="rgba(59, 111, 212, 0.22)", **band),
            line("median", middle, line={"color": _OURS, "width": 1.2, "dash": "dot"}),
            line("the run", found.path, line={"color": _OURS, "width": 1.8}),
        ],
        "layout": {
            "xaxis": {"title": {"text": "trades"}},
            "yaxis": {"title": {"text": currency}},
        },
    }


def _candles(chart: Chart, report: Report) -> dict[str, Any]:
    bars, _ = candles(chart.bars)
    times = _times(bars["start"])
    chosen = report.trades[report.trades["symbol"] == report.symbols.index(chart.symbol)][-MARKS_MAX:]
    axis: dict[str, Any] = {"type": "date", "anchor": "y2", "rangeslider": {"visible": False}}
    weekend = (chart.bars["start"] // DAY_NS + 3) % 7 >= 5
    if not weekend.any():
        axis["rangebreaks"] = [{"bounds": ["sat", "mon"]}]
    volumes = {
        "type": "bar", "name": "volume", "x": times, "y": _rounded(bars["volume"]), "yaxis": "y2",
        "marker": {"color": _THEIRS}, "showlegend": False,
    }  # fmt: skip
    drawn = {
        "type": "candlestick", "name": chart.symbol.ticker, "x": times,
        **{name: _rounded(bars[name]) for name in ("open", "high", "low", "close")},
        "increasing": {"line": {"color": _UP, "width": 1}}, "decreasing": {"line": {"color": _DOWN, "width": 1}},
    }  # fmt: skip
    return {
        "data": [drawn, volumes, *_marks(chosen)],
        "layout": {
            "xaxis": axis,
            "yaxis": {"domain": [0.2, 1]},
            "yaxis2": {"domain": [0, 0.15], "showgrid": False},
            "hovermode": "closest",
        },
    }


def _marks(trades: Records) -> list[dict[str, Any]]:
    """Entries of both sides and exits; an exit is green if the trade won."""
    found = []
    for name, side, shape in (("long entry", 1, "triangle-up"), ("short entry", -1, "triangle-down")):
        entered = trades[trades["side"] == side]
        texts = [f"{name} {price(float(trade['units']))} at {price(float(trade['entry_price']))}" for trade in entered]
        found.append(_mark(name, shape, entered["entry_time"], entered["entry_price"], texts, _OURS))
    texts = [f"exit at {price(float(trade['exit_price']))}: {float(trade['gain']) * 100:+.2f} %" for trade in trades]
    colours = [_UP if trade["pnl"] > 0 else _DOWN for trade in trades]
    return [*found, _mark("exit", "x", trades["exit_time"], trades["exit_price"], texts, colours)]


def _mark(
    name: str, shape: str, times: NDArray[np.int64], prices: Numbers, texts: list[str], colour: Any
) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "name": name, "x": _times(times), "y": _rounded(prices), "text": texts,
        "hoverinfo": "text+x",
        "marker": {"symbol": shape, "size": 9, "color": colour, "line": {"width": 1, "color": "#ffffff"}},
    }  # fmt: skip


def _times(times: NDArray[np.int64]) -> list[str]:
    """Moments in the form that the script reads as UTC."""
    return [f"{dt.datetime.fromtimestamp(time // 10**9, dt.UTC):%Y-%m-%d %H:%M:%S}" for time in times.tolist()]


def _rounded(values: Numbers) -> list[float | None]:
    """Numbers with the digits that a picture can show."""
    return [float(f"{value:.8g}") if np.isfinite(value) else None for value in values.tolist()]
