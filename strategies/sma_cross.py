"""Long when a fast moving average of the close crosses above a slow one, short when it crosses below.

A cross is a change of the sign of the difference of the two; a tie keeps the side. There is no position before the
first cross.
"""

from typing import Any, Self

import numpy as np
from pydantic import BaseModel, Field, model_validator

from strategies.interface import KEEP, Needs, State
from trading.indicators.crossing import side_of
from trading.indicators.sma import sma_begin, sma_next


class Parameters(BaseModel):
    """Lengths of the two averages, and whether to go short."""

    fast: int = Field(default=10, ge=1, le=100_000, description="bars of the fast average")
    slow: int = Field(default=30, ge=2, le=100_000, description="bars of the slow average")
    shorts: bool = Field(default=True, description="short below the cross; flat if not")

    @model_validator(mode="after")
    def _fast_below_slow(self) -> Self:
        if self.fast >= self.slow:
            msg = f"fast {self.fast} is not below slow {self.slow}"
            raise ValueError(msg)
        return self


def needs(p: Parameters) -> Needs:
    """The slow average has to be known."""
    return Needs(warm_up=p.slow)


def begin(p: Parameters) -> State:
    """Both averages, and the side of the fast one: 0 until it is known."""
    return sma_begin(p.fast), sma_begin(p.slow), np.zeros(1)


def decide(state: State, bar: Any, p: Any) -> float:
    """Turn at a cross."""
    fast = sma_next(state[0], bar.close)
    slow = sma_next(state[1], bar.close)
    before = state[2][0]
    side = side_of(before, fast - slow)
    state[2][0] = side
    if side * before >= 0.0:
        return KEEP
    return max(side, -1.0 if p.shorts else 0.0)
