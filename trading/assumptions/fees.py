"""Fees: what a venue or a broker charges for a fill."""

import re
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from market.errors import DeskError
from trading.assumptions.venue_fees import VENUES
from trading.book import NO_SCHEDULE, TIERS, TURNOVER_DAYS, schedule_at
from trading.jit import compiles
from trading.records import Liquidity

_DAY_NS: Final = 86_400_000_000_000


class Fees(BaseModel):
    """fixed + per_unit x units + bps of the notional; the order's first fill pays at least `least`.

    In the symbol's currency. A venue's tiers go by what the account traded there in the last 30 days and replace `bps`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    fixed: float = Field(default=0.0, ge=0)
    """An order."""
    per_unit: float = Field(default=0.0, ge=0)
    """A unit: 0.005 a share."""
    bps: float = Field(default=0.0, ge=0, lt=10_000)
    """Of the notional, 1/10,000."""
    maker_bps: float | None = Field(default=None, gt=-10_000, lt=10_000)
    """The same where a limit order rested in the book; below 0 is a rebate, None as `bps`."""
    least: float = Field(default=0.0, ge=0)
    """An order pays at least this."""
    most_bps: float = Field(default=0.0, ge=0)
    """A fill pays at most this part of its notional, 1/10,000; 0 for no bound."""
    venue: Literal["", "kraken", "coinbase", "binance", "okx"] = ""
    """Whose tiers apply; empty for none."""

    def write(self, position: Any, schedules: Any) -> None:
        """Into the terms of a `POSITION` and, for a venue, the `SCHEDULE` that the position names."""
        position.fee_fixed = self.fixed
        position.fee_unit = self.per_unit
        position.fee_least = self.least
        position.fee_most = self.most_bps / 10_000
        position.taker = self.bps / 10_000
        position.maker = position.taker if self.maker_bps is None else self.maker_bps / 10_000
        if not self.venue:
            position.schedule = NO_SCHEDULE
            return
        schedule = schedules[position.schedule]
        tiers = VENUES[self.venue]
        schedule.volume[:] = float("inf")
        for place, tier in enumerate(tiers):
            schedule.volume[place] = tier.volume
            schedule.maker[place] = tier.maker_bps / 10_000
            schedule.taker[place] = tier.taker_bps / 10_000

    def __str__(self) -> str:
        parts = [f"{self.fixed:g} an order"] if self.fixed else []
        if self.per_unit:
            parts.append(f"{self.per_unit:g} a unit")
        if self.venue:
            parts.append(f"{self.venue}'s maker and taker tiers by 30 days of the account's own volume")
        elif self.maker_bps is not None:
            parts.append(f"{self.bps:g} bps to take, {self.maker_bps:g} bps to make")
        elif self.bps:
            parts.append(f"{self.bps:g} bps")
        text = " and ".join(parts) if parts else "none"
        text += f", at least {self.least:g}" if self.least else ""
        return text + (f", at most {self.most_bps:g} bps" if self.most_bps else "")


_PART: Final = re.compile(
    r"(?P<bps>[\d.]+)bps|(?P<per_unit>[\d.]+)/(?:share|unit)|(?P<least>[\d.]+)min|(?P<fixed>[\d.]+)"
)


def parse_fees(text: str) -> Fees:
    """Read `none`, `5bps`, `10/25bps` (maker/taker), `0.005/share`, `1` (an order), `1min`, a venue, or some with `+`.

    Raises:
        DeskError: It is none of these.

    >>> parse_fees("0.005/share+1min").least
    1.0
    """
    found: dict[str, Any] = {}
    for part in text.lower().replace(" ", "").split("+"):
        makes = re.fullmatch(r"(-?[\d.]+)/([\d.]+)bps", part)
        match = _PART.fullmatch(part)
        try:
            if part in {"none", "0"}:
                continue
            if part in VENUES:
                found["venue"] = part
            elif makes:
                found["maker_bps"], found["bps"] = float(makes[1]), float(makes[2])
            elif match:
                name = str(match.lastgroup)
                found[name] = float(match[name])
            else:
                raise ValueError  # noqa: TRY301 - One sentence for all that is not understood.
        except ValueError:
            venues = ", ".join(VENUES)
            forms = f"5bps, 10/25bps (maker/taker), 0.005/share, 1 (an order), 1min, or {venues}"
            msg = f"fees {text!r} are not understood at {part!r}: write {forms}"
            raise DeskError(msg) from None
    try:
        return Fees(**found)
    except ValueError as error:
        msg = f"fees {text!r} are out of range: no number below 0 (but a maker's), and bps below 10,000"
        raise DeskError(msg) from error


@compiles
def fee_fraction(account: Any, position: Any, liquidity: int) -> float:
    """Fraction of the notional that a fill pays now."""
    if position.schedule == NO_SCHEDULE:
        return float(position.maker) if liquidity == Liquidity.MAKER else float(position.taker)
    schedule = schedule_at(account, position.schedule)
    traded = 0.0
    for day in range(TURNOVER_DAYS):
        traded += schedule.turnover[day]
    tier = 0
    while tier + 1 < TIERS and schedule.volume[tier + 1] <= traded:
        tier += 1
    return float(schedule.maker[tier]) if liquidity == Liquidity.MAKER else float(schedule.taker[tier])


@compiles
def fee(position: Any, fraction: float, units: float, notional: float, first: bool) -> float:
    """What a fill pays, in the symbol's currency; `first` of its order."""
    charged = position.fee_unit * units + fraction * notional
    if first:
        charged += position.fee_fixed
        if position.fee_least > 0.0:
            charged = max(charged, position.fee_least)
    if position.fee_most > 0.0:
        charged = min(charged, position.fee_most * notional)
    return float(charged)


@compiles
def pass_days(account: Any, position: Any, time: int) -> None:
    """Forget what was traded 30 days ago; before a fill, so that it is charged by what counts then. Days are UTC."""
    if position.schedule == NO_SCHEDULE:
        return
    schedule = schedule_at(account, position.schedule)
    today = time // _DAY_NS
    while schedule.day < today:
        schedule.day = max(schedule.day + 1, today - TURNOVER_DAYS)
        schedule.turnover[schedule.day % TURNOVER_DAYS] = 0.0


@compiles
def turned_over(account: Any, position: Any, notional: float) -> None:
    """Count a fill, in account currency, towards its venue's tiers."""
    if position.schedule != NO_SCHEDULE:
        schedule = schedule_at(account, position.schedule)
        schedule.turnover[schedule.day % TURNOVER_DAYS] += notional
