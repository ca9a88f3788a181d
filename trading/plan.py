"""What is to be run: everything that a result depends on, but the bars themselves."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from trading.opening import Conditions


class Plan(BaseModel):
    """One run. Two runs of one plan on the same bars have the same results, to the byte."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: str
    """Its name, as `pq strategies` lists it."""
    source_hash: str
    """SHA-256 of its file."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """All of them, by name; enumerations by the names of their members."""
    symbols: tuple[str, ...] = Field(min_length=1)
    """`EXCHANGE:TICKER`, in the order of `VIEW.symbol`."""
    interval: str
    start: int | None = None
    """ns; bars that start at this moment or later."""
    end: int | None = None
    """ns; bars that start before this moment."""
    trade_from: int | None = None
    """ns; bars that start before are shown to the strategy and not traded on. None trades on all."""
    cash: float = 10_000.0
    """Of the account's currency."""
    currency: str = "USD"
    quoted: dict[str, str] = Field(default_factory=dict)
    """By symbol the currency of its prices, where that is not the account's."""
    rates: dict[str, str] = Field(default_factory=dict)
    """By currency the symbol whose closes are the account's currency for one unit of it: `EUR` by `FX:EURUSD`."""
    lot: float | None = None
    """Smallest size, units. None is 1 for what has sessions, and of what never closes a power of ten that is worth
    0.001 of the currency or less."""
    conditions: Conditions = Conditions()
    where: Literal["store", "archive", "file"] = "store"
    filled_by: Literal["bars", "ticks"] = "bars"
    """What fills orders: the bars themselves, or the journal's ticks between them."""
    file: str | None = None
    """Path of the file of bars."""
    zone: str = "UTC"
    """Of the file's stamps where they name none."""
    seed: int = 1
    """Of the places of the look-ahead check, and of the draws of trades."""
    look_ahead_check: bool = True
    monte_carlo: int = Field(default=1_000, ge=0, le=100_000)
    """How often the trades are drawn anew; 0 for not at all."""
