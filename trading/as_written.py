"""What a run takes for granted, as users write it: options of a command, fields of a form, keys of a setting."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from market.errors import DeskError
from trading.assumptions.borrow import Borrow
from trading.assumptions.corporate_actions import CorporateActions
from trading.assumptions.fees import parse_fees
from trading.assumptions.fills import Fills
from trading.assumptions.lots import Lots
from trading.assumptions.minimum import Minimum
from trading.assumptions.session_end import SessionEnd
from trading.assumptions.slippage import parse_slippage
from trading.limits import Limits
from trading.opening import Conditions, Terms

_NAMES: Final = {
    "tick": "tick-size",
    "notional": "minimum",
    "short_percent": "borrow",
    "funding_percent": "funding",
    "interest_percent": "interest",
    "position": "max-position",
    "exposure": "max-exposure",
    "daily_loss": "max-daily-loss",
    "drawdown": "max-drawdown",
    "orders": "max-orders",
}
"""What a user calls a field."""


def conditions(written: Mapping[str, Any], currency: str) -> Conditions:
    """Read conditions.

    Args:
        written: By name, all of them: `fees` and `slippage` as texts; `tick_size`, `minimum`, `borrow` and
            `interest` (percent a year), `funding` (percent every 8 hours), `flat`, `fill`, `signals`, `leverage`,
            `long_only`, `max_position`, `max_exposure`, `max_daily_loss`, `max_drawdown`, `max_orders` (a minute),
            `flatten_on_loss`, `partial_bars`.
        currency: Of prices.

    Raises:
        DeskError: One is out of range, or not understood.
    """
    try:
        return Conditions(
            others=Terms(
                currency=currency,
                lots=Lots(tick=written["tick_size"]),
                minimum=Minimum(notional=written["minimum"]),
                fees=parse_fees(written["fees"]),
                slippage=parse_slippage(written["slippage"]),
                borrow=Borrow(short_percent=written["borrow"], funding_percent=written["funding"]),
                session_end=SessionEnd(flat=written["flat"]),
            ),
            fills=Fills(at=written["fill"]),
            actions=CorporateActions(signals=written["signals"]),
            limits=Limits(
                leverage=written["leverage"],
                shorting=not written["long_only"],
                position=written["max_position"],
                exposure=written["max_exposure"],
                daily_loss=written["max_daily_loss"],
                drawdown=written["max_drawdown"],
                flatten=written["flatten_on_loss"],
                orders=written["max_orders"],
                partial_bars=written["partial_bars"],
                interest_percent=written["interest"],
            ),
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = str(first["loc"][-1])
        msg = f"{_NAMES.get(field, field)}: {first['msg']}; it is {first['input']!r}"
        raise DeskError(msg) from error
