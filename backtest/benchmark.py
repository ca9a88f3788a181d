"""What every run is shown beside: everything bought at the first open, and held."""

from collections.abc import Mapping

import numpy as np

from backtest.curve import Curve
from backtest.stream import Bars, Stream


def buy_and_hold(
    shown: Stream, marks: Curve, cash: float, first: int = 0, rates: Mapping[int, Bars] | None = None
) -> Curve:
    """Equal parts of the cash in each symbol at its first open, in fractions and without costs, marked at the closes.

    Splits and dividends are in it as far as the strategy sees adjusted bars. Before a symbol's first bar its part is
    cash.

    Args:
        shown: The run's bars.
        marks: Moments at which to mark.
        cash: To begin with.
        first: Row from which on the run trades.
        rates: By a symbol's place the bars of its currency's rate, where that is not the account's.
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
        if rates and place in rates:
            # As for the account: a close is known from the next moment on.
            known = np.searchsorted(rates[place]["end"], [int(mine["start"][0]), *marks.time], side="left") - 1
            rate = rates[place]["close"][np.maximum(known, 0)]
            value = np.where(at >= 0, value * rate[1:] / rate[0], part)
        equity += value
        held += np.where(at >= 0, value, 0.0)
    return Curve(marks.time, equity, equity - held, held / equity)
