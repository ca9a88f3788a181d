"""Volume-weighted average price since an anchor, such as the session's start."""

import numpy as np
from numpy.typing import NDArray

from trading.indicators.exact import exact_sum
from trading.jit import inlined

_ANCHOR, _NOTIONAL, _NOTIONAL_REST, _VOLUME, _VOLUME_REST = range(5)


def vwap_begin() -> NDArray[np.float64]:
    """State of a volume-weighted average: float64[5]."""
    return np.array([np.nan, 0.0, 0.0, 0.0, 0.0])


@inlined
def vwap_next(state: NDArray[np.float64], notional: float, volume: float, anchor: float) -> float:
    """What was paid since the anchor changed, by what was traded; NaN before anything was.

    Args:
        state: From `vwap_begin`.
        notional: Sum of price x size of the bar; its typical price x volume where a provider does not say.
        volume: Units.
        anchor: Any number that stays the same as long as the average goes on: a day's number, a session's start.
    """
    if state[_ANCHOR] != anchor:
        state[_ANCHOR] = anchor
        state[_NOTIONAL] = 0.0
        state[_NOTIONAL_REST] = 0.0
        state[_VOLUME] = 0.0
        state[_VOLUME_REST] = 0.0
    state[_NOTIONAL], lost = exact_sum(state[_NOTIONAL], notional)
    state[_NOTIONAL_REST] += lost
    state[_VOLUME], lost = exact_sum(state[_VOLUME], volume)
    state[_VOLUME_REST] += lost
    traded = state[_VOLUME] + state[_VOLUME_REST]
    if traded <= 0.0:
        return np.nan
    average: float = (state[_NOTIONAL] + state[_NOTIONAL_REST]) / traded
    return average
