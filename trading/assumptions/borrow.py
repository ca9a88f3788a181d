"""What it costs to hold: borrowed shares, perpetual contracts' funding, interest on borrowed money."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from trading.jit import compiles

YEAR_NS: Final = 365 * 86_400_000_000_000
_HOUR_NS: Final = 3_600_000_000_000


class Borrow(BaseModel):
    """Rates of one symbol, charged when its session ends and when its position changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    short_percent: float = Field(default=0.0, ge=0, lt=1_000)
    """A year of 365 days, of a short position's value."""
    funding_percent: float = Field(default=0.0, gt=-100, lt=100)
    """Of a position's value at each funding: above 0 long pays and short gets it. 0.01 is usual."""
    funding_hours: int = Field(default=8, ge=1, le=24)
    """Funding is at the whole multiples of so many hours, UTC."""

    def write(self, position: Any) -> None:
        """Into the terms of a `POSITION`."""
        position.borrow = self.short_percent / 100
        position.funding = self.funding_percent / 100
        position.funding_every = self.funding_hours * _HOUR_NS

    def __str__(self) -> str:
        parts = []
        if self.short_percent:
            parts.append(f"{self.short_percent:g} % a year on short positions")
        if self.funding_percent:
            parts.append(f"funding of {self.funding_percent:g} % each {self.funding_hours} hours")
        return " and ".join(parts) if parts else "none"


@compiles
def holding_cost(position: Any, value: float, start: int, end: int) -> float:
    """What holding a value (below 0 if short) over (start, end] costs, in the value's currency; below 0 is income."""
    if end <= start:
        return 0.0
    cost = 0.0
    if value < 0.0:
        cost -= value * position.borrow * (float(end - start) / YEAR_NS)
    if position.funding != 0.0:
        times = end // position.funding_every - start // position.funding_every
        cost += value * position.funding * times
    return float(cost)
