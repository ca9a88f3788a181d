"""Lots and ticks: the smallest step of a size, and of a price."""

from decimal import Decimal
from math import ceil, floor, isfinite
from typing import Any, Final

from numpy import rint
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from market.errors import DeskError
from trading.book import LOTS_MAX, QUANTA
from trading.jit import compiles

_SMALLEST: Final = Decimal("1e-8")


class Lots(BaseModel):
    """The steps of one symbol. Sizes are cut to whole lots; limit prices are moved to a tick against the order."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    lot: float = Field(default=1.0, gt=0, le=1e9)
    """Smallest size and step of sizes, units: a whole number of 1e-8."""
    tick: float = Field(default=0.0, ge=0, le=1e9)
    """Smallest step of prices; 0 takes any price."""

    @field_validator("lot")
    @classmethod
    def _whole_quanta(cls, lot: float) -> float:
        if Decimal(repr(lot)) % _SMALLEST:
            msg = f"a lot is a whole number of 1e-8 units, and {lot!r} is not"
            raise ValueError(msg)
        return lot

    def of_size(self, lot: float) -> "Lots":
        """The same with another smallest size.

        Raises:
            DeskError: It is none.
        """
        try:
            return Lots(lot=lot, tick=self.tick)
        except ValidationError as error:
            rule = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
            msg = f"--lot {lot:g}: {rule}"
            raise DeskError(msg) from error

    def write(self, position: Any) -> None:
        """Into the terms of a `POSITION`."""
        position.lot = self.lot
        position.lot_quanta = float(round(Decimal(repr(self.lot)) / _SMALLEST))
        position.tick = self.tick

    def __str__(self) -> str:
        ticks = f", prices in steps of {self.tick:g}" if self.tick else ""
        return f"sizes in lots of {self.lot:g}{ticks}"


def fractional_lot(price: float) -> float:
    """A lot for what trades in fractions: the power of ten from 1e-8 to 1 that is worth about 0.001 or less.

    >>> fractional_lot(60_000.0), fractional_lot(0.00002)
    (1e-08, 1.0)
    """
    if not (isfinite(price) and price > 0):
        return 1e-8
    for power in range(8):
        lot = float(Decimal(1).scaleb(-power))
        if lot * price <= 1e-3:
            return lot
    return 1e-8


@compiles
def whole_lots(lots: float) -> int:
    """The lots that fit: rounded down, none below 0, one too many where they exceed what the ledger counts."""
    if not lots > 0.0:
        return 0
    if lots > LOTS_MAX:
        return int(LOTS_MAX) + 1
    return floor(lots)


@compiles
def units_of(position: Any, lots: int) -> float:
    """Units of whole lots, the nearest float64 to the exact decimal."""
    return float(lots * position.lot_quanta / QUANTA)


@compiles
def on_tick(position: Any, price: float, up: bool) -> float:
    """The nearest price on a tick, not below (`up`) or not above."""
    if not (position.tick > 0.0 and isfinite(price)):
        return price
    steps = price / position.tick
    # A price that is on a tick but for the error of a division stays where it is.
    if abs(steps - rint(steps)) < 1e-6:
        return price
    return float((ceil(steps) if up else floor(steps)) * position.tick)
