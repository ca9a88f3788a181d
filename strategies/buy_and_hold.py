"""Long from the first bar to the last: what every other strategy has to beat."""

from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from strategies.interface import Needs, State


class Parameters(BaseModel):
    """How much of the equity."""

    exposure: float = Field(default=1.0, gt=0, le=10, description="fraction of the equity that is bought")


def needs(p: Parameters) -> Needs:  # noqa: ARG001  # Every strategy has these three.
    """Nothing but its bars."""
    return Needs()


def begin(p: Parameters) -> State:  # noqa: ARG001
    """Nothing to remember."""
    return (np.zeros(1),)


def decide(state: State, bar: Any, p: Any) -> float:  # noqa: ARG001
    """The same on every bar: what is held already is not bought again, and one that comes late buys at once."""
    exposure: float = p.exposure
    return exposure
