"""What the benchmarks of backtests share: the bars, and how vectorbt is imported."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from market.bars import BAR, BarState
from market.intervals import MINUTE_NS, Interval
from market.symbols import Symbol

SYMBOL = Symbol("SIM", "WALK")
BEGIN = 1_599_999_960 * 10**9
CASH = 10_000.0
MISSING = "run `sh infra/setup.sh bench` and use .venv-bench"


def bars(count: int) -> np.ndarray:
    """Minutes of a walk around 100, in cents, each opening where the last closed."""
    random = np.random.default_rng(1)
    prices = np.round(100 * np.exp(np.cumsum(random.normal(0, 0.0005, count + 1))), 2)
    made = np.zeros(count, BAR)
    made["start"] = BEGIN + np.arange(count) * MINUTE_NS
    made["end"] = made["start"] + MINUTE_NS
    made["open"], made["close"] = prices[:-1], prices[1:]
    made["high"] = np.maximum(made["open"], made["close"]) + 0.02
    made["low"] = np.minimum(made["open"], made["close"]) - 0.02
    made["volume"], made["state"], made["interval"] = 1e6, BarState.CLOSED, Interval.M1
    return made


def imported() -> Any:
    """The module; its templates name a kind of chart that plotly has no more, which nothing here draws."""
    import plotly.graph_objects as go

    template = go.layout.Template
    begin: Any = template.__init__

    def tolerant(self: Any, arg: Any = None, **options: Any) -> None:
        begin(self, arg, **{**options, "skip_invalid": True})

    template.__init__ = tolerant
    import vectorbt as vbt

    return vbt
