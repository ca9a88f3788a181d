"""A cross of moving averages that is taken only the way a longer interval goes: an example with two intervals.

Long when the fast average crosses above the slow one while the last closed bar of the longer interval closed above its
own average, short the other way round, flat at a cross against the trend. The longer interval's bar is seen once it has
closed, never while it forms.
"""

from typing import Any, Self

import numpy as np
from pydantic import BaseModel, Field, model_validator

from market.intervals import Interval
from strategies.interface import KEEP, Needs, State
from trading.indicators.crossing import side_of
from trading.indicators.sma import sma_begin, sma_next


class Parameters(BaseModel):
    """Lengths of the averages, and the interval of the trend."""

    fast: int = Field(default=10, ge=1, le=100_000, description="bars of the fast average")
    slow: int = Field(default=30, ge=2, le=100_000, description="bars of the slow average")
    trend_interval: Interval = Field(default=Interval.D1, description="longer interval that gives the direction")
    trend: int = Field(default=20, ge=1, le=100_000, description="bars of the longer interval's average")
    shorts: bool = Field(default=True, description="go short too")

    @model_validator(mode="after")
    def _fast_below_slow(self) -> Self:
        if self.fast >= self.slow:
            msg = f"fast {self.fast} is not below slow {self.slow}"
            raise ValueError(msg)
        return self


_SIDE, _TREND = range(2)


def needs(p: Parameters) -> Needs:
    """All three averages have to be known, and the longer interval seen."""
    return Needs(warm_up=max(p.slow, p.trend), intervals=(p.trend_interval,))


def begin(p: Parameters) -> State:
    """The averages, the side of the fast one, and the direction of the trend; 0 until they are known."""
    return sma_begin(p.fast), sma_begin(p.slow), sma_begin(p.trend), np.zeros(2)


def decide(state: State, bar: Any, p: Any) -> float:
    """Turn at a cross, if the trend agrees."""
    memory = state[3]
    if bar.interval == p.trend_interval:
        memory[_TREND] = side_of(memory[_TREND], bar.close - sma_next(state[2], bar.close))
        return KEEP
    fast = sma_next(state[0], bar.close)
    slow = sma_next(state[1], bar.close)
    before = memory[_SIDE]
    side = side_of(before, fast - slow)
    memory[_SIDE] = side
    if side * before >= 0.0:
        return KEEP
    if side != memory[_TREND]:
        return 0.0
    return max(side, -1.0 if p.shorts else 0.0)
