"""An account that is taken over stretches of ticks, up to wherever something is decided, and what it logged."""

from typing import Final, NamedTuple

import numpy as np

from backtest.simulating import Decisions
from backtest.stream import Stream
from backtest.tick_order import Stretch
from market.errors import DeskError
from strategies.interface import REQUESTS_MAX
from trading.book import QUANTA, Book
from trading.ledger import Fault, gross
from trading.records import OrderFlag, Records
from trading.snapshot import Logs, drained
from trading.step import submit, want
from trading.ticks import compiled_over_ticks, over_ticks

FAULTS: Final = {
    Fault.MONEY: "an amount grew beyond what the ledger can count",
    Fault.UNBALANCED: "the ledger does not balance: this is a defect of PocketQuant",
    Fault.PRICE: "a price or rate is not above 0",
}


class AccountStopped(DeskError):  # noqa: N818 - named for what it is.
    """An account that cannot go on: its numbers could not be trusted."""


class Mark(NamedTuple):
    """What an account is worth, account currency."""

    equity: float
    cash: float
    exposure: float
    """Gross, as a fraction of the equity."""


class TickAccount:
    """A book, and all that it has logged since it was taken over."""

    def __init__(self, book: Book, *, compiled: bool = True) -> None:
        """Take a book over.

        Args:
            book: With empty logs.
            compiled: Whether ticks are gone over by compiled code.
        """
        self.book = book
        self._over = compiled_over_ticks() if compiled else over_ticks
        self._kept: list[Logs] = []

    def over(self, stretch: Stretch, first: int, last: int) -> None:
        """Go over the ticks [first, last) of a stretch.

        Raises:
            AccountStopped: The account cannot go on.
        """
        while first < last:
            first = self._over(self.book.accounts, stretch.ticks, stretch.sessions, stretch.rows, first, last)
            self.settle(int(stretch.rows[first - 1]))

    def decide(self, view: Records, row: int, exposure: float) -> None:
        """Hold an exposure from the next tick on; NaN leaves everything as it is."""
        want(self.book.account, view, row, exposure)
        self.settle(row)

    def place(self, view: Records, row: int, requests: Records, count: int) -> None:
        """Place orders; of more than `REQUESTS_MAX` all are refused."""
        submit(self.book.account, view, row, requests, count)
        self.settle(row)

    def settle(self, row: int) -> None:
        """After a step: stop at a fault, make room in the logs.

        Raises:
            AccountStopped: The account cannot go on.
        """
        account = self.book.account
        if account.fault:
            msg = f"the account stopped at row {row} of the journal: {FAULTS[Fault(int(account.fault))]}"
            raise AccountStopped(msg)
        if account.full:
            self._kept.append(drained(self.book))

    @property
    def holds(self) -> bool:
        """Whether anything is held."""
        return bool((self.book.positions["lots"] != 0).any())

    def mark(self) -> Mark:
        """Its worth at the last prices."""
        account = self.book.account
        value = float(account.equity)
        exposure = float(gross(account)) / value if account.marked != 0 else 0.0
        return Mark(value / QUANTA, float(self.book.currencies[0].cash) / QUANTA, exposure)

    def logs(self) -> Logs:
        """All that was logged so far: orders by their ends, fills, trades."""
        self._kept.append(drained(self.book))
        return Logs(*(np.concatenate(parts) for parts in zip(*self._kept, strict=True)))


class Asked:
    """What a strategy decided on some bars, which it was shown in their order."""

    def __init__(self, shown: Stream, decisions: Decisions, rows: list[int]) -> None:
        """Show the bars.

        Args:
            shown: Of the run.
            decisions: The strategy.
            rows: Places in `shown`, in the order in which they are shown.

        Raises:
            StrategyError: The strategy went wrong; says on which bar.
        """
        seen = shown.seen[rows]
        self._exposures: list[float] = []
        if not decisions.places_orders:
            self._exposures = decisions.exposures(seen).tolist()
            self.counts = [0] * len(rows)
            return
        counts, self._orders = decisions.requests(seen)
        self.counts = counts.tolist()
        written = np.minimum(counts, REQUESTS_MAX)
        self._begins = (np.cumsum(written) - written).tolist()
        if len(shown.factor):
            by = np.repeat(shown.factor[rows], written)
            for name in ("limit", "stop", "volatility"):
                self._orders[name] /= by
            distance = self._orders["flag"] & int(OrderFlag.TRAIL_FRACTION) == 0
            self._orders["trail"][distance] /= by[distance]

    def exposure(self, place: int) -> float | None:
        """Of the bar at a place: what is to be held, NaN to keep it; None where orders are asked for."""
        return self._exposures[place] if self._exposures else None

    def orders(self, place: int) -> Records:
        """Of the bar at a place: the orders, prices as traded."""
        begin = self._begins[place]
        return self._orders[begin : begin + min(self.counts[place], REQUESTS_MAX)]

    def hand(self, account: TickAccount, view: Records, row: int, place: int) -> None:
        """Give what was decided at a place to an account."""
        if self._exposures:
            account.decide(view, row, self._exposures[place])
        elif self.counts[place] > 0:
            account.place(view, row, self.orders(place), self.counts[place])
