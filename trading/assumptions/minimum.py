"""Minimum notional: the smallest order that a venue takes, by its value."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from trading.jit import compiles


class Minimum(BaseModel):
    """An order that opens or adds is refused below this; what closes a position whole never is."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    notional: float = Field(default=0.0, ge=0)
    """Price x units, in the symbol's currency."""

    def write(self, position: Any) -> None:
        """Into the terms of a `POSITION`."""
        position.minimum = self.notional

    def __str__(self) -> str:
        return f"orders of {self.notional:g} or more" if self.notional else "orders of any value"


@compiles
def too_small(position: Any, lots: int, price: float) -> bool:
    """Whether an order for so many lots (below 0 to sell) is worth less than the venue takes."""
    if position.minimum <= 0.0 or position.lots + lots == 0:
        return False
    return bool(abs(lots) * position.lot * price < position.minimum)
