"""Long when RSI comes back above its lower bound, short when it comes back below its upper one.

A market that fell until RSI stood below the bound is bought as it recovers, and one that rose is sold as it weakens. A
value on the bound keeps the side that it came from.
"""

from typing import Any, Self

import numpy as np
from pydantic import BaseModel, Field, model_validator

from strategies.interface import KEEP, Needs, State
from trading.indicators.crossing import side_of
from trading.indicators.rsi import rsi_begin, rsi_next


class Parameters(BaseModel):
    """The index and its bounds."""

    length: int = Field(default=14, ge=2, le=100_000, description="bars of the index")
    low: float = Field(default=30.0, ge=0, le=100, description="bought as it rises above")
    high: float = Field(default=70.0, ge=0, le=100, description="sold as it falls below")
    shorts: bool = Field(default=True, description="short when sold; flat if not")

    @model_validator(mode="after")
    def _low_below_high(self) -> Self:
        if self.low >= self.high:
            msg = f"low {self.low} is not below high {self.high}"
            raise ValueError(msg)
        return self


_LOW, _HIGH = range(2)


def needs(p: Parameters) -> Needs:
    """The index has to be known."""
    return Needs(warm_up=p.length + 1)


def begin(p: Parameters) -> State:
    """The index, and on which side of either bound it is: 0 until it is known."""
    return rsi_begin(p.length), np.zeros(2)


def decide(state: State, bar: Any, p: Any) -> float:
    """Turn as the index comes back from beyond a bound."""
    index = rsi_next(state[0], bar.close)
    sides = state[1]
    low, high = sides[_LOW], sides[_HIGH]
    sides[_LOW] = side_of(low, index - p.low)
    sides[_HIGH] = side_of(high, index - p.high)
    if low < 0.0 and sides[_LOW] > 0.0:
        return 1.0
    if high > 0.0 and sides[_HIGH] < 0.0:
        return -1.0 if p.shorts else 0.0
    return KEEP
