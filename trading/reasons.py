"""Why an order ended as it did, as a sentence: the rule, and the value that broke it."""

from typing import Any, Final

from trading.records import Reason, State

_ENDS: Final = {
    Reason.CANCELLED: "cancelled by the strategy",
    Reason.OCO: "cancelled because the other order of its group filled",
    Reason.PARENT: "cancelled because its entry ended without a fill",
    Reason.REPLACED: "cancelled because a newer decision took its place",
    Reason.POSITION_CLOSED: "cancelled because there was nothing left to close",
    Reason.ALREADY_DONE: "cancelled because the position already was as wanted",
    Reason.DAY_OVER: "expired at the end of its session",
    Reason.TIME_OVER: "expired at its time",
    Reason.KILLED: "stopped by the kill switch",
    Reason.MARGIN_CALL: "stopped because nothing was left of the equity",
}
_RULES: Final = {
    Reason.NO_CASH: "cash and leverage pay for {allowed:,.2f}, and it takes {found:,.2f}",
    Reason.MINIMUM_NOTIONAL: "the venue takes orders of {allowed:,.2f} or more, and it is worth {found:,.2f}",
    Reason.BELOW_LOT: "it is less than one lot of {allowed:g}",
    Reason.TOO_LARGE: "the ledger counts at most {allowed:,.8g} units of this lot: take a larger one (--lot)",
    Reason.BAD_SIZE: "a size must be a number above 0, and is {found:g}",
    Reason.BAD_PRICE: "a price must be a number above 0, and a trail by fraction below 1, and is {found:g}",
    Reason.BAD_REQUEST: "its kind, side, sizing and time in force do not go together",
    Reason.UNKNOWN_SYMBOL: "the run's symbols are numbered 0 to {allowed:.0f}, and it is for {found:.0f}",
    Reason.NO_SHORTING: "positions must not be short",
    Reason.NO_RATE: "no exchange rate of the symbol's currency is known yet",
    Reason.TOO_MANY_ORDERS: "there is room for {allowed:.0f} orders, and with it there are {found:.0f}",
    Reason.MAX_POSITION: "a position may be worth {allowed:,.2f}, and would be {found:,.2f}",
    Reason.MAX_EXPOSURE: "all positions may be worth {allowed:,.2f}, and would be {found:,.2f}",
    Reason.MAX_DAILY_LOSS: "the session's loss may be {allowed:.2%}, and is {found:.2%}",
    Reason.MAX_DRAWDOWN: "the drawdown may be {allowed:.2%}, and is {found:.2%}",
    Reason.ORDER_RATE: "{allowed:.0f} orders may be placed in that time, and it is number {found:.0f}",
    Reason.BAR_FORMING: "the bar that it was decided on is still forming",
    Reason.BAR_PARTIAL: "the bar that it was decided on was built across an outage",
    Reason.BAR_LATE: "the bar that it was decided on may be known {allowed:.0f} ms late, and was {found:.0f} ms",
    Reason.KILLED: "the kill switch is on",
    Reason.MARGIN_CALL: "nothing is left of the equity: {found:,.2f}",
}
"""Of refusals; what a rule needs is in the order's `found` and `allowed`."""


def explained(order: Any) -> str:
    """One clause on an `ORDER`, to be read after its name.

    >>> import numpy as np
    >>> from trading.records import ORDER
    >>> order = np.zeros(1, ORDER)[0]
    >>> order.state, order.reason, order.found, order.allowed = State.REJECTED, Reason.MAX_POSITION, 12_000, 10_000
    >>> explained(order)
    'refused: a position may be worth 10,000.00, and would be 12,000.00'
    """
    state, reason = State(int(order["state"])), Reason(int(order["reason"]))
    if state is State.REJECTED:
        rule = _RULES.get(reason, str(reason))
        return "refused: " + rule.format(found=float(order["found"]), allowed=float(order["allowed"]))
    if state is State.FILLED:
        return f"filled: {reason}"
    if state in {State.CANCELLED, State.EXPIRED}:
        done = float(order["filled"])
        part = f" after {done:g} of {float(order['units']):g} units" if done else ""
        return _ENDS.get(reason, f"{state}: {reason}") + part
    return {State.NEW: "waits for its entry", State.PARTIALLY_FILLED: "partly filled"}.get(state, "working")
