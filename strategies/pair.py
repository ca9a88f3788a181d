"""Two symbols against each other: an example with two symbols, and with orders instead of exposures.

When the logarithm of the ratio of their closes is far above its average, the first is sold and the second bought, half
of the equity each; far below, the other way round. Both are closed when it is back at the average. Nothing is decided
before both bars of an end have closed.
"""

from math import log
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, Field, model_validator

from strategies.interface import Needs, State
from trading.indicators.deviation import deviation_begin, deviation_next
from trading.indicators.sma import sma_begin, sma_next
from trading.records import Records
from trading.requests import target


class Parameters(BaseModel):
    """How far the ratio goes before it is traded."""

    length: int = Field(default=60, ge=2, le=100_000, description="bars of the average")
    enter: float = Field(default=2.0, gt=0, le=10, description="standard deviations at which both are entered")
    leave: float = Field(default=0.0, ge=0, le=10, description="standard deviations at which both are closed")
    exposure: float = Field(default=0.5, gt=0, le=5, description="fraction of the equity in either symbol")

    @model_validator(mode="after")
    def _leave_before_enter(self) -> Self:
        if self.leave >= self.enter:
            msg = f"leave {self.leave} is not below enter {self.enter}"
            raise ValueError(msg)
        return self


def needs(p: Parameters) -> Needs:
    """Two symbols at once."""
    return Needs(warm_up=p.length, together=2)


def begin(p: Parameters) -> State:
    """Average and deviation of the ratio, the last close and its bar's end by symbol, and the side that is held."""
    return sma_begin(p.length), deviation_begin(p.length), np.zeros(2), np.zeros(2, np.int64), np.zeros(1)


def decide(state: State, bar: Any, p: Any, orders: Records) -> int:
    """Sell the dear one and buy the cheap one."""
    closes, ends, held = state[2], state[3], state[4]
    closes[bar.symbol] = bar.close
    ends[bar.symbol] = bar.end
    if ends[0] != ends[1]:
        return 0
    ratio = log(closes[0] / closes[1])
    distance = ratio - sma_next(state[0], ratio)
    unit = deviation_next(state[1], ratio)
    # Comparisons with NaN are false: nothing happens before the average is known.
    wanted = held[0]
    if held[0] * distance >= -p.leave * unit and held[0] != 0.0:
        wanted = 0.0
    if distance > p.enter * unit:
        wanted = -1.0
    elif distance < -p.enter * unit:
        wanted = 1.0
    if wanted == held[0]:
        return 0
    held[0] = wanted
    n = target(orders, 0, 0, wanted * p.exposure)
    return target(orders, n, 1, -wanted * p.exposure)
