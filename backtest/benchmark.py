"""What every run is shown beside: everything bought at the first open, and held."""

import numpy as np

from backtest.curve import Curve
from backtest.stream import Stream


def buy_and_hold(shown: Stream, marks: Curve, cash: float, first: int = 0) -> Curve:
    """Equal parts of the cash in each symbol at its first open, in fractions and without costs, marked at the closes.

    Splits and dividends are in it as far as the strategy sees adjusted bars. Before a symbol's first bar its part is
    cash.

    Args:
        shown: The run's bars.
        marks: Moments at which to mark.
        cash: To begin with.
        first: Row from which on the run trades.
    """
    part = cash / len(shown.symbols)
    equity, held = np.zeros(len(marks.time)), np.zeros(len(marks.time))
    for place in range(len(shown.symbols)):
        mine = shown.seen[first:][(shown.seen["symbol"][first:] == place) & shown.own[first:]]
        if len(mine) == 0:
            equity += part
            continue
        at = np.searchsorted(mine["end"], marks.time, side="right") - 1
        value = np.where(at >= 0, part * mine["close"][np.maximum(at, 0)] / mine["open"][0], part)
        equity += value
        held += np.where(at >= 0, value, 0.0)
    return Curve(marks.time, equity, equity - held, held / equity)
