"""Long and short by MACD: at crosses of its signal line, or at divergences of its histogram.

`cross`: long when the difference of the averages crosses above its signal line, short when it crosses below.
`divergence`: long when the price made a lower low than in the histogram's spell below zero before, yet the histogram a
higher one, and turns up. Left where the histogram makes its lower low after all, or, once the spell is over, on a close
below its low; turned short by the mirror image at the highs.
"""

from enum import IntEnum
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, Field, model_validator

from strategies.interface import KEEP, Needs, State
from trading.indicators.crossing import side_of
from trading.indicators.macd import macd_begin, macd_next


class Rule(IntEnum):
    """What is traded."""

    CROSS = 0
    DIVERGENCE = 1


class Parameters(BaseModel):
    """Lengths of the averages, and the rule."""

    fast: int = Field(default=12, ge=1, le=100_000, description="bars of the fast average")
    slow: int = Field(default=26, ge=2, le=100_000, description="bars of the slow average")
    signal: int = Field(default=9, ge=1, le=100_000, description="bars of the signal line")
    rule: Rule = Field(default=Rule.CROSS, description="cross of the signal line, or divergence of the histogram")
    shorts: bool = Field(default=True, description="go short; flat if not")

    @model_validator(mode="after")
    def _fast_below_slow(self) -> Self:
        if self.fast >= self.slow:
            msg = f"fast {self.fast} is not below slow {self.slow}"
            raise ValueError(msg)
        return self


_SIDE, _BEFORE, _HELD, _STOP, _DONE = range(5)
"""Of the histogram the side and the last value; the position, the price at which it is left; acted on this spell."""

_PEAK, _EXTREME, _LAST_PEAK, _LAST_EXTREME = range(4)
"""By side: the histogram's largest value and the price's extreme of the spell there, and of the one before."""


def needs(p: Parameters) -> Needs:
    """The signal line has to be known."""
    return Needs(warm_up=p.slow + p.signal - 1)


def begin(p: Parameters) -> State:
    """The MACD, and what crosses and divergences remember; spells below zero first, then those above."""
    return macd_begin(p.fast, p.slow, p.signal), np.zeros(5), np.full((2, 4), np.nan)


def decide(state: State, bar: Any, p: Any) -> float:
    """Turn at a cross, or at a divergence."""
    _, _, histogram = macd_next(state[0], bar.close)
    if histogram != histogram:  # noqa: PLR0124  # NaN is what does not equal itself.
        return KEEP
    memory = state[1]
    before = memory[_SIDE]
    side = side_of(before, histogram)
    memory[_SIDE] = side
    least = -1.0 if p.shorts else 0.0
    if p.rule == Rule.CROSS:
        return max(side, least) if side * before < 0.0 else KEEP
    if side == 0.0:
        return KEEP

    # Below zero all is mirrored, so that a spell's peak is its largest value and its extreme the largest price.
    spell = state[2][0 if side < 0.0 else 1]
    depth = side * histogram
    reach = side * (bar.low if side < 0.0 else bar.high)
    turned = depth < memory[_BEFORE] and side == before
    memory[_BEFORE] = depth
    if side != before:
        spell[_LAST_PEAK] = spell[_PEAK]
        spell[_LAST_EXTREME] = spell[_EXTREME]
        spell[_PEAK] = depth
        spell[_EXTREME] = reach
        memory[_DONE] = 0.0
    else:
        spell[_PEAK] = max(spell[_PEAK], depth)
        spell[_EXTREME] = max(spell[_EXTREME], reach)

    held = memory[_HELD]
    # A comparison with NaN, of a side that has had no two spells yet, is false.
    diverges = spell[_EXTREME] > spell[_LAST_EXTREME] and spell[_PEAK] < spell[_LAST_PEAK]
    if memory[_DONE] == 1.0:
        # The price may go on as long as the histogram still does not confirm it.
        memory[_STOP] = side * spell[_EXTREME]
    if turned and diverges and memory[_DONE] == 0.0:
        memory[_DONE] = 1.0
        memory[_STOP] = side * spell[_EXTREME]
        wanted = -side
    elif (memory[_DONE] == 1.0 and not diverges) or held * (bar.close - memory[_STOP]) < 0.0:
        wanted = 0.0
    else:
        return KEEP
    if wanted == held:
        return KEEP
    memory[_HELD] = wanted
    return max(wanted, least)
