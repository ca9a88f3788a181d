"""Long on a close above the highest high of the bars before, short on one below the lowest low.

A position is left when a close falls below the lowest low (rises above the highest high) of fewer bars before.
"""

from typing import Any, Self

import numpy as np
from pydantic import BaseModel, Field, model_validator

from strategies.interface import KEEP, Needs, State
from trading.indicators.donchian import donchian_begin, donchian_next


class Parameters(BaseModel):
    """Lengths of the channels that are entered and left by."""

    enter: int = Field(default=20, ge=1, le=100_000, description="bars of the channel that is broken out of")
    leave: int = Field(default=10, ge=1, le=100_000, description="bars of the channel that ends a position")
    shorts: bool = Field(default=True, description="go short too")

    @model_validator(mode="after")
    def _leave_within_enter(self) -> Self:
        if self.leave > self.enter:
            msg = f"leave {self.leave} is above enter {self.enter}"
            raise ValueError(msg)
        return self


_HELD, _TOP, _BOTTOM, _LEAVE_SHORT, _LEAVE_LONG = range(5)


def needs(p: Parameters) -> Needs:
    """The channel of the bars before has to be known."""
    return Needs(warm_up=p.enter + 1)


def begin(p: Parameters) -> State:
    """Both channels, the position, and where the channels stood a bar ago."""
    return donchian_begin(p.enter), donchian_begin(p.leave), np.array([0.0, np.nan, np.nan, np.nan, np.nan])


def decide(state: State, bar: Any, p: Any) -> float:
    """Enter beyond the wide channel of the bars before, leave beyond the narrow one."""
    memory = state[2]
    held = memory[_HELD]
    wanted: float = held
    if held * (bar.close - (memory[_LEAVE_LONG] if held > 0.0 else memory[_LEAVE_SHORT])) < 0.0:
        wanted = 0.0
    # A comparison with NaN is false: nothing is entered before a channel is known.
    if bar.close > memory[_TOP]:
        wanted = 1.0
    elif bar.close < memory[_BOTTOM]:
        wanted = -1.0 if p.shorts else 0.0
    memory[_BOTTOM], _, memory[_TOP] = donchian_next(state[0], bar.high, bar.low)
    memory[_LEAVE_LONG], _, memory[_LEAVE_SHORT] = donchian_next(state[1], bar.high, bar.low)
    if wanted == held:
        return KEEP
    memory[_HELD] = wanted
    return wanted
