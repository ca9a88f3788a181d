"""What a sweep's page draws, as the script in it reads it: heat maps, each parameter alone, and all figures as bars."""

from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backtest.heat_map import HeatMap, Profile
from backtest.report_pictures import pictures as pictures_of_run
from backtest.space import worded
from backtest.sweep import METRICS
from backtest.sweep_report import SweepReport, figure_worded, label

BARS: Final = 40

_UP: Final = "#2e9e6b"
_DOWN: Final = "#d1495b"
_MIDDLE: Final = "#f0eee9"
_OURS: Final = "#3b6fd4"
_THEIRS: Final = "#9aa7b8"
_SIGNED: Final = frozenset({
    "sharpe", "sortino", "calmar", "total_return", "cagr", "sqn", "expectancy", "expectancy_return", "kelly",
})  # fmt: skip
"""Figures of which 0 divides good from bad."""


def pictures(report: SweepReport) -> dict[str, Any]:
    """Data and layout by the id of the element that they are drawn in."""
    drawn = {f"map-{place}": _map(one, report) for place, one in enumerate(report.maps)}
    drawn |= {f"profile-{place}": _profile(one, report) for place, one in enumerate(report.profiles)}
    return {**drawn, "spread": _spread(report), "equity": pictures_of_run(report.best)["equity"]}


def _map(one: HeatMap, report: SweepReport) -> dict[str, Any]:
    texts = [
        [
            f"{worded(report.swept[place])}<br>{label(report.metric)} {figure_worded(report.metric, value, '')}"
            if place >= 0
            else "not tried"
            for value, place in zip(values.tolist(), places.tolist(), strict=True)
        ]
        for values, places in zip(one.values, one.places, strict=True)
    ]
    best = dict(zip(report.names, report.rows[0][0], strict=True))
    at = np.argwhere(one.places >= 0)
    top = max(at.tolist(), key=lambda cell: METRICS[report.metric] * one.values[tuple(cell)])
    star = {
        "type": "scatter", "mode": "markers", "x": [one.columns[top[1]]], "y": [one.rows[top[0]]], "hoverinfo": "skip",
        "marker": {"symbol": "star", "size": 13, "color": "#1d2733", "line": {"width": 1.5, "color": "#ffffff"}},
        "showlegend": False, "name": worded(best),
    }  # fmt: skip
    return {
        "data": [
            {
                "type": "heatmap", "x": list(one.columns), "y": list(one.rows), "z": _numbers(one.values),
                "text": texts, "hovertemplate": "%{text}<extra></extra>", "xgap": 1, "ygap": 1,
                "colorbar": {"title": {"text": label(report.metric)}, "thickness": 14}, **_colours(report.metric),
            },
            star,
        ],
        "layout": {
            "hovermode": "closest",
            "xaxis": {"type": "category", "title": {"text": one.x}},
            "yaxis": {"type": "category", "title": {"text": one.y}},
        },
    }  # fmt: skip


def _colours(metric: str) -> dict[str, Any]:
    """Green is good: the higher or the lower, and of figures with a sign what is above nothing."""
    low, high = (_DOWN, _UP) if METRICS[metric] > 0 else (_UP, _DOWN)
    scale = {"colorscale": [[0, low], [0.5, _MIDDLE], [1, high]]}
    return {**scale, "zmid": 0} if metric in _SIGNED else scale


def _profile(one: Profile, report: SweepReport) -> dict[str, Any]:
    def line(name: str, values: NDArray[np.float64], colour: str) -> dict[str, Any]:
        return {
            "type": "scatter", "mode": "lines+markers", "name": name, "x": list(one.labels), "y": _numbers(values),
            "line": {"color": colour, "width": 1.6}, "marker": {"size": 5},
        }  # fmt: skip

    return {
        "data": [line("best", one.best, _OURS), line("median", one.median, _THEIRS)],
        "layout": {
            "xaxis": {"type": "category", "title": {"text": one.name}},
            "yaxis": {"title": {"text": label(report.metric)}},
        },
    }


def _spread(report: SweepReport) -> dict[str, Any]:
    """How many candidates have which figure, where the best is, and where chance alone would put it."""
    counts, edges = np.histogram(report.values, bins=BARS)
    middles = (edges[:-1] + edges[1:]) / 2
    top = float(report.values[0])
    lines = [_line(top, "the best", _OURS, 0.92)]
    if report.metric == "sharpe" and isfinite(report.expected):
        lines.append(_line(report.expected, "expected of luck alone", _DOWN, 0.78))
    return {
        "data": [
            {
                "type": "bar", "x": _numbers(middles), "y": counts.tolist(), "name": "combinations",
                "marker": {"color": _THEIRS}, "showlegend": False,
            }
        ],
        "layout": {
            "bargap": 0.04,
            "hovermode": "closest",
            "xaxis": {"title": {"text": label(report.metric)}},
            "yaxis": {"title": {"text": "combinations"}},
            "shapes": [shape for shape, _ in lines],
            "annotations": [note for _, note in lines],
        },
    }  # fmt: skip


def _line(at: float, text: str, colour: str, height: float) -> tuple[dict[str, Any], dict[str, Any]]:
    shape = {
        "type": "line", "x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 1,
        "line": {"color": colour, "width": 1.6, "dash": "dot"},
    }  # fmt: skip
    note = {
        "x": at, "yref": "paper", "y": height, "text": text, "showarrow": False, "xanchor": "right", "xshift": -5,
        "font": {"color": colour},
    }  # fmt: skip
    return shape, note


def _numbers(values: NDArray[np.float64]) -> Any:
    """Numbers with the digits that a picture can show; what cannot be said is null."""
    if values.ndim > 1:
        return [_numbers(row) for row in values]
    return [float(f"{value:.6g}") if isfinite(value) else None for value in values.tolist()]
