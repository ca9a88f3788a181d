"""Limits over all runs together: what they may hold, what they may lose in a day, how many orders a minute.

A run is told before each decision what the others leave it (`trading.headroom`). What another run may come to hold by
orders that work counts as held, so that two that decide on one bar cannot both have the same room.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

import msgspec

from market.intervals import MINUTE_NS
from trading.book import QUANTA
from trading.headroom import Headroom

DAY_NS: Final = 1440 * MINUTE_NS


class Held(Protocol):
    """A run, as far as its money goes."""

    run: str

    @property
    def equity(self) -> int:
        """Quanta."""
        ...

    @property
    def state(self) -> str:
        """As in the book."""
        ...

    def committed(self) -> float:
        """Gross value of what is held and of what working orders may add, account currency."""
        ...


class Overall(msgspec.Struct, array_like=True):
    """The limits, and what was counted against them. Recovery data."""

    day: int
    """Days since 1970 (UTC)."""
    began_with: dict[str, int]
    """By run its equity when the day began, or when it did; quanta."""
    minute: int
    """Minutes since 1970 of the last decision."""
    orders: int
    """Orders in it."""
    max_exposure: float | None = None
    max_daily_loss: float | None = None
    max_orders_per_minute: int = 0
    flatten: bool = False
    tripped: bool = False
    """Whether the day's loss was reached."""

    def limited(self, body: Mapping[str, Any]) -> "Overall":
        """The same with other limits."""
        return Overall(
            self.day, self.began_with, self.minute, self.orders, body.get("max_exposure"), body.get("max_daily_loss"),
            int(body.get("max_orders_per_minute") or 0), bool(body.get("flatten")), self.tripped,
        )  # fmt: skip

    def limits(self) -> dict[str, Any]:
        """As `limited` takes them."""
        return {
            "max_exposure": self.max_exposure,
            "max_daily_loss": self.max_daily_loss,
            "max_orders_per_minute": self.max_orders_per_minute,
            "flatten": self.flatten,
        }

    def began(self, run: Held) -> None:
        """A run has begun."""
        self.began_with[run.run] = run.equity

    def ended(self, run: str) -> None:
        """A run is no more."""
        self.began_with.pop(run, None)

    def new_moment(self, clock: int, runs: Iterable[Held]) -> float | None:
        """Hold the day's loss against its limit; the loss if it has just been reached, account currency.

        Args:
            clock: The journal's, ns.
            runs: All of them.
        """
        day = clock // DAY_NS
        if day != self.day:
            self.day, self.tripped = day, False
            self.began_with = {run.run: run.equity for run in runs}
            return None
        if self.max_daily_loss is None or self.tripped:
            return None
        loss = sum(self.began_with.get(run.run, run.equity) - run.equity for run in runs) / QUANTA
        if loss <= self.max_daily_loss:
            return None
        self.tripped = True
        return loss


class Shared:
    """What is left at one boundary, run by run."""

    def __init__(self, overall: Overall, committed: dict[str, float] | None) -> None:
        self._overall = overall
        self._committed = committed

    @classmethod
    def of(cls, overall: Overall, runs: Iterable[Held]) -> "Shared":
        """At the beginning of a boundary."""
        bounded = overall.max_exposure is not None
        return cls(overall, {run.run: run.committed() for run in runs} if bounded else None)

    def headroom(self, run: Held, time: int) -> Headroom | None:
        """What is left for one run; None where nothing is limited.

        Args:
            run: Which.
            time: End of the bar that it decides on, ns.
        """
        overall = self._overall
        if self._committed is None and not overall.max_orders_per_minute:
            return None
        exposure = None
        if self._committed is not None and overall.max_exposure is not None:
            others = sum(value for name, value in self._committed.items() if name != run.run)
            exposure = max(overall.max_exposure - others, 0.0)
        orders = overall.orders if time // MINUTE_NS == overall.minute else 0
        return Headroom(exposure, overall.max_orders_per_minute, orders)

    def took(self, run: Held, orders: int, time: int) -> None:
        """A run has decided, and so many orders of it count."""
        overall = self._overall
        if self._committed is not None:
            self._committed[run.run] = run.committed()
        if overall.max_orders_per_minute:
            minute = time // MINUTE_NS
            if minute != overall.minute:
                overall.minute, overall.orders = minute, 0
            overall.orders += orders
