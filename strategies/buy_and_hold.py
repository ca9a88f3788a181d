"""Long from the first bar to the last: what every other strategy has to beat."""

from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from strategies.interface import KEEP, Needs, State


class Parameters(BaseModel):
    """How much of the equity."""

    exposure: float = Field(default=1.0, gt=0, le=10, description="fraction of the equity that is bought")


def needs(p: Parameters) -> Needs:  # noqa: ARG001  # Every strategy has these three.
    """Nothing but its bars."""
    return Needs()


def begin(p: Parameters) -> State:  # noqa: ARG001
    """Whether it has bought."""
    return (np.zeros(1),)


def decide(state: State, bar: Any, p: Any) -> float:  # noqa: ARG001
    """Buy once."""
    if state[0][0] == 1.0:
        return KEEP
    state[0][0] = 1.0
    exposure: float = p.exposure
    return exposure
