"""Long and short by Bollinger bands: out of a squeeze, or back from the outer bands.

`squeeze`: once the bands are as narrow as they have been for `quiet` bars, the next close beyond a band is followed.
`reversion`: a close below the lower band is bought, one above the upper band is sold. Both leave at the middle.
"""

from enum import IntEnum
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from strategies.interface import KEEP, Needs, State
from trading.indicators.bollinger import bollinger_begin, bollinger_next
from trading.indicators.extremes import lowest_begin, lowest_next


class Rule(IntEnum):
    """What is traded."""

    SQUEEZE = 0
    REVERSION = 1


class Parameters(BaseModel):
    """The bands, and the rule."""

    length: int = Field(default=20, ge=2, le=100_000, description="bars of the bands")
    width: float = Field(default=2.0, gt=0, le=10, description="standard deviations from the middle to a band")
    rule: Rule = Field(default=Rule.REVERSION, description="breakout from a squeeze, or back from the outer bands")
    quiet: int = Field(default=120, ge=2, le=100_000, description="bars in which a squeeze is the narrowest")
    shorts: bool = Field(default=True, description="go short too")


_HELD, _SQUEEZED = range(2)


def needs(p: Parameters) -> Needs:
    """The bands have to be known, and how narrow they have been."""
    return Needs(warm_up=p.length + (p.quiet - 1 if p.rule == Rule.SQUEEZE else 0))


def begin(p: Parameters) -> State:
    """The bands, the narrowest of them, the position, and whether there was a squeeze."""
    return bollinger_begin(p.length, p.width), lowest_begin(p.quiet), np.zeros(2)


def decide(state: State, bar: Any, p: Any) -> float:
    """Enter beyond a band, leave at the middle."""
    lower, middle, upper = bollinger_next(state[0], bar.close)
    if middle != middle:  # noqa: PLR0124  # NaN is what does not equal itself.
        return KEEP
    memory = state[2]
    held = memory[_HELD]
    outside = 1.0 if bar.close > upper else -1.0 if bar.close < lower else 0.0
    wanted: float = held
    if held * (bar.close - middle) * (1.0 if p.rule == Rule.REVERSION else -1.0) >= 0.0:
        wanted = 0.0
    if p.rule == Rule.SQUEEZE:
        width = upper - lower
        narrowest = lowest_next(state[1], width)
        if outside != 0.0:
            if memory[_SQUEEZED] == 1.0:
                wanted = outside
            memory[_SQUEEZED] = 0.0
        elif width <= narrowest:
            memory[_SQUEEZED] = 1.0
    elif outside != 0.0:
        wanted = -outside
    if wanted < 0.0 and not p.shorts:
        wanted = 0.0
    if wanted == held:
        return KEEP
    memory[_HELD] = wanted
    return wanted
