"""The limits of an account, as settings: how large, how fast, how much may be lost, and how old data may be."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_NS: dict[str, int] = {"second": 1_000_000_000, "minute": 60_000_000_000, "hour": 3_600_000_000_000}


class Limits(BaseModel):
    """What may refuse an order; `trading.risk` applies it. Orders that only close pass all but the guards of data."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    leverage: float = Field(default=1.0, ge=0.01, le=1_000)
    """Gross exposure at an order's fill, as a multiple of the equity."""
    shorting: bool = True
    """Whether positions may be short; if not, a target below 0 is 0."""
    position: float | None = Field(default=None, gt=0)
    """Value of one position, as a multiple of the equity."""
    position_value: float | None = Field(default=None, gt=0)
    """The same in account currency."""
    exposure: float | None = Field(default=None, gt=0)
    """Gross value of all positions, as a multiple of the equity."""
    daily_loss: float | None = Field(default=None, gt=0, lt=1)
    """Loss since the session began, as a fraction of the equity then: no new risk until the next session."""
    drawdown: float | None = Field(default=None, gt=0, lt=1)
    """Loss since the highest equity, as a fraction of it: no new risk from then on."""
    flatten: bool = False
    """Whether a loss limit also closes all positions, at the next price."""
    orders: int = Field(default=0, ge=0)
    """Orders in one second, minute or hour of the clock; 0 for any number."""
    orders_each: Literal["second", "minute", "hour"] = "minute"
    partial_bars: bool = False
    """Whether orders may be decided on bars built across an outage."""
    late_ms: int | None = Field(default=None, ge=0)
    """How long after its end a bar may come to be known for orders to be decided on it, ms."""
    interest_percent: float = Field(default=0.0, ge=0, lt=1_000)
    """A year of 365 days, on negative cash."""

    def write(self, account: Any) -> None:
        """Into an `ACCOUNT`."""
        unbounded = float("inf")
        account.leverage = self.leverage
        account.shorting = self.shorting
        account.position_max = unbounded if self.position is None else self.position
        account.position_value_max = unbounded if self.position_value is None else self.position_value
        account.exposure_max = unbounded if self.exposure is None else self.exposure
        account.limited = not self.position is self.position_value is self.exposure is None
        account.daily_loss_max = 1.0 if self.daily_loss is None else self.daily_loss
        account.drawdown_max = 1.0 if self.drawdown is None else self.drawdown
        account.flattens = self.flatten
        account.orders_max = self.orders
        account.orders_window = _NS[self.orders_each]
        account.window = -1
        account.partial_allowed = self.partial_bars
        account.late_max = -1 if self.late_ms is None else self.late_ms
        account.interest = self.interest_percent / 100

    def __str__(self) -> str:
        parts = ["no leverage" if self.leverage == 1 else f"gross exposure up to {self.leverage:g} x equity"]
        if not self.shorting:
            parts.append("long only")
        if self.position is not None:
            parts.append(f"a position up to {self.position:g} x equity")
        if self.position_value is not None:
            parts.append(f"a position up to {self.position_value:,.2f}")
        if self.exposure is not None:
            parts.append(f"all positions up to {self.exposure:g} x equity")
        after = ", then flat" if self.flatten else ""
        if self.daily_loss is not None:
            parts.append(f"no new risk after a loss of {self.daily_loss:.2%} in a session{after}")
        if self.drawdown is not None:
            parts.append(f"no new risk after a drawdown of {self.drawdown:.2%}{after}")
        if self.orders:
            parts.append(f"up to {self.orders} orders a {self.orders_each}")
        parts.append("orders on partial bars too" if self.partial_bars else "no orders on forming or partial bars")
        if self.late_ms is not None:
            parts.append(f"none on bars known more than {self.late_ms} ms late")
        if self.interest_percent:
            parts.append(f"{self.interest_percent:g} % a year on negative cash")
        return "; ".join(parts)
