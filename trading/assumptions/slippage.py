"""Slippage: how much worse than the bar's price a fill is that takes what is offered. A resting limit has none."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from market.errors import DeskError
from trading.assumptions.lots import on_tick
from trading.jit import compiles
from trading.records import Side


class Slippage(BaseModel):
    """price = raw +- (raw x bps / 10,000 + half the spread + raw x impact x units / the bar's volume).

    Then to the next tick against the order. A limit order is never filled beyond its limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    bps: float = Field(default=0.0, ge=0, lt=10_000)
    """Of the price, 1/10,000."""
    spread: float = Field(default=0.0, ge=0)
    """From bid to ask, in price; half of it is paid."""
    impact: float = Field(default=0.0, ge=0)
    """Fraction of the price that an order as large as the bar's whole volume moves it by; less for a smaller one."""
    volume_share: float = Field(default=0.0, ge=0, le=1)
    """Fraction of a bar's volume that can be filled in it, the rest waits for the next; 0 for all that is wanted."""

    def write(self, position: Any) -> None:
        """Into the terms of a `POSITION`."""
        position.slip = self.bps / 10_000
        position.half_spread = self.spread / 2
        position.impact = self.impact
        position.volume_share = self.volume_share

    def __str__(self) -> str:
        parts = []
        if self.bps:
            parts.append(f"{self.bps:g} bps")
        if self.spread:
            parts.append(f"half of a spread of {self.spread:g}")
        if self.impact:
            parts.append(f"{self.impact:g} of the price x share of the bar's volume")
        text = " and ".join(parts) if parts else "none"
        return f"{text}, at most {self.volume_share:g} of a bar's volume" if self.volume_share else text


def parse_slippage(text: str) -> Slippage:
    """Read `none`, `5bps`, `0.02` (a spread, in price), `10%volume` (share of volume), or several with `+`.

    Raises:
        DeskError: It is none of these.

    >>> parse_slippage("2bps+10%volume")
    Slippage(bps=2.0, spread=0.0, impact=0.0, volume_share=0.1)
    """
    found: dict[str, float] = {}
    for part in text.lower().replace(" ", "").split("+"):
        try:
            if part in {"none", "0"}:
                continue
            if part.endswith("bps"):
                found["bps"] = float(part[:-3])
            elif part.endswith("%volume"):
                found["volume_share"] = float(part[:-7]) / 100
            elif part.endswith("impact"):
                found["impact"] = float(part[:-6])
            else:
                found["spread"] = float(part)
        except ValueError:
            forms = "5bps, 0.02 (a spread), 10%volume or 0.1impact"
            msg = f"slippage {text!r} is not understood at {part!r}: write {forms}, several joined by +"
            raise DeskError(msg) from None
    try:
        return Slippage(**found)
    except ValueError as error:
        msg = f"slippage {text!r} is out of range: bps in [0, 10000), a share of volume up to 100 %, no number below 0"
        raise DeskError(msg) from error


@compiles
def slipped(position: Any, side: int, raw: float) -> float:
    """A price after slippage, without the impact of its size; not on a tick yet."""
    return float(max(0.0, raw + side * (raw * position.slip + position.half_spread)))


@compiles
def impacted(position: Any, side: int, raw: float, price: float, lots: int, volume: float) -> float:
    """The price after the impact of so many lots in a bar of this volume, on a tick against the order."""
    if position.impact > 0.0:
        share = 1.0 if not volume > 0.0 else min(1.0, lots * position.lot / volume)
        price += side * raw * position.impact * share
    if price == raw:
        # Nothing slipped: what traded is a price, whatever the tick.
        return price
    return max(0.0, on_tick(position, price, side == Side.BUY))


@compiles
def fillable(position: Any, volume: float) -> int:
    """Lots that a bar's volume leaves to fill; as good as all where it is not limited."""
    if position.volume_share <= 0.0:
        return 1 << 62
    if not volume > 0.0:
        return 0
    return int(position.volume_share * volume / position.lot)
