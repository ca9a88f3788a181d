"""What limits over all accounts leave one of them: lent to it before it decides, so that its own rules apply them.

An account knows nothing of others. Its exposure limit and its order rate are narrowed for a decision, and a rerun that
is told the same headroom comes to the same orders.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

from market.intervals import MINUTE_NS
from trading.book import QUANTA
from trading.limits import Limits


class Headroom(NamedTuple):
    """What is left for one account at one decision."""

    exposure: float | None = None
    """Gross value that its positions may have, account currency; None for no bound but its own."""
    orders_max: int = 0
    """Orders that all accounts may place in a minute of the clock; 0 for any number."""
    orders: int = 0
    """How many of them were placed so far in the minute of the decision."""

    def plain(self) -> dict[str, Any]:
        """For JSON; `read` takes it back."""
        return {"exposure": self.exposure, "orders": [self.orders_max, self.orders]}

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> Self:
        """From JSON."""
        orders: Sequence[int] = plain["orders"]
        return cls(plain["exposure"], int(orders[0]), int(orders[1]))


class Lent(NamedTuple):
    """The account's own order rate, put aside while it decides."""

    orders_max: int
    orders_window: int
    window: int
    window_orders: int
    before: int
    """Orders that the window in force had counted before the decision."""
    narrowed: bool
    """Whether the rate of all accounts took the place of the account's own."""


def lend(account: Any, limits: Limits, headroom: Headroom | None, time: int) -> Lent:
    """Narrow an account's limits to what is left for it; give the result to `take_back` after the decision.

    The exposure stays as narrow until the next decision: an order fills later.

    Args:
        account: The account.
        limits: Its own.
        headroom: What is left; None where no limit is over all accounts.
        time: End of the bar that is decided on, ns.
    """
    # From its own limits each time, so that those of all leave nothing behind when they are taken off.
    own = float("inf") if limits.exposure is None else limits.exposure
    bounded = not limits.position is limits.position_value is limits.exposure is None
    left = 0
    if headroom is not None:
        left = headroom.orders_max - headroom.orders
        if headroom.exposure is not None:
            equity = account.equity / QUANTA
            own = min(own, max(headroom.exposure, 0.0) / equity) if equity > 0 else 0.0
            bounded = True
    account.exposure_max = own
    account.limited = bounded
    orders_max, length = int(account.orders_max), int(account.orders_window)
    window, counted = int(account.window), int(account.window_orders)
    before = counted if orders_max and time // length == window else 0
    lent = Lent(orders_max, length, window, counted, before, narrowed=False)
    if headroom is None or headroom.orders_max <= 0 or (orders_max and orders_max - before <= left):
        return lent
    account.orders_max = headroom.orders_max
    account.orders_window = MINUTE_NS
    account.window = time // MINUTE_NS
    account.window_orders = headroom.orders
    return lent._replace(before=headroom.orders, narrowed=True)


def take_back(account: Any, lent: Lent, time: int) -> int:
    """Give an account its own order rate back; returns how many orders were counted while it decided."""
    if not lent.orders_max and not lent.narrowed:
        return 0
    if not lent.narrowed:
        own = time // lent.orders_window == account.window
        return int(account.window_orders) - lent.before if own else 0
    placed = int(account.window_orders) - lent.before
    account.orders_max = lent.orders_max
    account.orders_window = lent.orders_window
    same = bool(lent.orders_max) and time // lent.orders_window == lent.window
    account.window = time // lent.orders_window if lent.orders_max else lent.window
    account.window_orders = (lent.window_orders if same else 0) + placed if lent.orders_max else lent.window_orders
    return placed
