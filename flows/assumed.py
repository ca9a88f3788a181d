"""The card of a form that says what a run takes for granted; what its texts mean is read by `trading.as_written`."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from trading.opening import Conditions

Fraction = Annotated[float, Field(gt=0, lt=1)]
Multiple = Annotated[float, Field(gt=0)]


class Assumed(BaseModel):
    """Fees, slippage, limits and the like; each as the option of `pq backtest` of its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fees: str = Field(default="none", description="5bps, 10/25bps (make/take), 0.005/share, kraken.")
    slippage: str = Field(default="none", description="5bps, 0.02 (a spread), 10%volume, or some with +.")
    leverage: Annotated[float, Field(ge=0.01, le=1_000)] = Field(default=1.0, description="Gross exposure over equity.")
    long_only: bool = Field(default=False, description="Hold no short positions.")
    flat: bool = Field(default=False, description="Hold nothing after the session's last close.")
    fill: Literal["open", "close"] = Field(
        default="open", description="Market orders fill at the next open, or at the close they are decided on."
    )
    signals: Literal["all", "splits", "none"] = Field(
        default="all", description="What is taken out of the prices that the strategy sees."
    )
    partial_bars: bool = Field(default=False, description="Decide on bars that were built across an outage, too.")
    lot: Multiple | None = Field(default=None, description="Smallest size. None: 1; of what never closes, a fraction.")
    tick_size: Annotated[float, Field(ge=0)] = Field(default=0.0, description="Smallest step of prices.")
    minimum: Annotated[float, Field(ge=0)] = Field(default=0.0, description="Smallest value of an order.")
    borrow: Annotated[float, Field(ge=0)] = Field(default=0.0, description="Percent a year on short positions.")
    funding: Annotated[float, Field(gt=-100, lt=100)] = Field(
        default=0.0, description="Percent of a position every 8 hours; long pays."
    )
    interest: Annotated[float, Field(ge=0)] = Field(default=0.0, description="Percent a year on borrowed cash.")
    max_position: Multiple | None = Field(default=None, description="Value of one position, as a multiple of equity.")
    max_exposure: Multiple | None = Field(default=None, description="Of all positions, as a multiple of equity.")
    max_daily_loss: Fraction | None = Field(
        default=None, description="Fraction lost in a session after which no risk is taken."
    )
    max_drawdown: Fraction | None = Field(
        default=None, description="Fraction lost from the peak after which no risk is taken."
    )
    max_orders: Annotated[int, Field(ge=0)] = Field(default=0, description="Orders a minute; 0 for any number.")
    flatten_on_loss: bool = Field(default=False, description="A loss limit that is reached closes all positions, too.")

    def conditions(self, currency: str = "USD") -> "Conditions":
        """The same for a run.

        Raises:
            DeskError: A text is not understood.
        """
        from trading import as_written

        return as_written.conditions(self.model_dump(exclude={"lot"}), currency)
