"""Moving average convergence and divergence: a fast less a slow exponential average, and that one's own average."""

import numpy as np
from numpy.typing import NDArray

from trading.indicators.ema import EMA_SIZE, ema_at, ema_begin
from trading.jit import inlined

_WAIT = 0
_FAST = 1
_SLOW = _FAST + EMA_SIZE
_SIGNAL = _SLOW + EMA_SIZE


def macd_begin(fast: int = 12, slow: int = 26, signal: int = 9) -> NDArray[np.float64]:
    """State of a MACD: float64[13].

    Raises:
        ValueError: A length is not 1 to 1,000,000, or fast is not shorter than slow.
    """
    if fast >= slow:
        msg = f"MACD takes a fast length shorter than the slow one; they are {fast} and {slow}"
        raise ValueError(msg)
    return np.concatenate([[slow - fast], ema_begin(fast), ema_begin(slow), ema_begin(signal)])


@inlined
def macd_next(state: NDArray[np.float64], value: float) -> tuple[float, float, float]:
    """The difference, its signal line and the histogram (difference less signal); NaN while they warm up.

    The fast average begins so that its first mean ends where the slow one's does, as TA-Lib has it.
    """
    slow = ema_at(state, _SLOW, value)
    if state[_WAIT] > 0.0:
        state[_WAIT] -= 1.0
        return np.nan, np.nan, np.nan
    difference = ema_at(state, _FAST, value) - slow
    if difference != difference:  # noqa: PLR0124  # NaN is what does not equal itself.
        return np.nan, np.nan, np.nan
    signal = ema_at(state, _SIGNAL, difference)
    return difference, signal, difference - signal
