"""A run itself: a strategy is shown its bars, and an account is taken over them by what it decided."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from backtest.account_kernels import PLAIN, Loops, compiled_loops
from backtest.curve import Curve
from backtest.stream import Stream
from market.errors import DeskError
from market.intervals import INTERVALS, Interval
from strategies.interface import REQUESTS_MAX
from strategies.loader.decider import Decider
from strategies.loader.files import Strategy
from trading.book import KEEP_ALL, Book, Logs, empty_logs
from trading.filling import at_end
from trading.ledger import Fault
from trading.opening import Conditions, open_account
from trading.records import ORDER, OrderFlag, Records

CHUNK: Final = 16_384
"""Bars on which decisions are worked out at a time."""
ROOM_MOST: Final = 65_536
"""Records in each of the account's logs: 25 MB, of which no more is touched than is written."""
PLAIN_MOST: Final = 6_000
"""Bars that plain Python is through with before a compiled loop is read from disk."""

_FAULTS: Final = {
    Fault.MONEY: "an amount grew beyond what the ledger can count",
    Fault.UNBALANCED: "the ledger does not balance: this is a defect of PocketQuant",
    Fault.PRICE: "a price or rate is not above 0",
}


class Outcome(NamedTuple):
    """What came of a run."""

    trades: Records
    """`TRADE` by exit; those still open at the end come last."""
    orders: Records
    """`ORDER` by id, those still working among them."""
    fills: Records
    """`FILL` in their order."""
    curve: Curve
    mode: str
    """How the strategy ran: `compiled` or `plain`."""
    why_plain: str
    """Why it is plain; empty if it is compiled."""


class Decisions:
    """The deciders of a run: one for all symbols together, or one for each."""

    def __init__(
        self,
        strategy: Strategy,
        parameters: BaseModel,
        symbols: Sequence[str],
        interval: Interval,
        loops: Path,
        *,
        compiled: bool = True,
    ) -> None:
        """Begin; arguments and errors are those of `Decider`."""
        self._deciders = [Decider(strategy, parameters, symbols, interval, loops, compiled=compiled)]
        decides_on = max(self._deciders[0].needs.together, len(self._deciders[0].needs.symbols or ()))
        if decides_on == 1:
            self._deciders += [
                Decider(strategy, parameters, symbols, interval, loops, compiled=compiled) for _ in symbols[1:]
            ]
        elif len(symbols) != decides_on:
            msg = f"strategy {strategy.name} decides on {decides_on} symbols together; the run has {len(symbols)}"
            raise DeskError(msg)
        self.places_orders = strategy.places_orders
        self.mode = self._deciders[0].mode
        self.why = self._deciders[0].why

    def exposures(self, seen: Records) -> NDArray[np.float64]:
        """The exposure wanted after each bar; NaN leaves the position as it is."""
        if len(self._deciders) == 1:
            return self._deciders[0].exposures(seen)
        found = np.full(len(seen), np.nan)
        for place, decider in enumerate(self._deciders):
            mine = seen["symbol"] == place
            found[mine] = decider.exposures(seen[mine])
        return found

    def requests(self, seen: Records) -> tuple[NDArray[np.int64], Records]:
        """How many orders were asked for after each bar, and those that were written, bar by bar."""
        if len(self._deciders) == 1:
            return self._deciders[0].requests(seen)
        counts = np.zeros(len(seen), np.int64)
        orders, rows = [], []
        for place, decider in enumerate(self._deciders):
            mine = np.flatnonzero(seen["symbol"] == place)
            asked = decider.requests(seen[mine])
            counts[mine] = asked.counts
            orders.append(asked.orders)
            rows.append(np.repeat(mine, np.minimum(asked.counts, REQUESTS_MAX)))
        return counts, np.concatenate(orders, dtype=ORDER)[np.argsort(np.concatenate(rows), kind="stable")]


def simulate(
    shown: Stream,
    decisions: Decisions,
    conditions: Conditions,
    cash: float,
    currency: str,
    *,
    first: int = 0,
    loops: Loops | None = None,
    keep: int = KEEP_ALL,
    curve_to: Callable[[Curve, int], None] | None = None,
    logs: Logs | None = None,
    tell: Callable[[float, int], None] = lambda _share, _row: None,
) -> Outcome:
    """Run.

    Args:
        shown: The bars.
        decisions: The strategy, before its first bar.
        conditions: What the run takes for granted.
        cash: Of the account's currency, at the start.
        currency: The account's own.
        first: Row from which on is traded; bars before it are shown to the strategy and nothing else.
        loops: Compiled or plain; None chooses by the number of bars.
        keep: `trading.book.KEEP_...`: which records are kept.
        curve_to: Given the curve part by part, and of how many marks it is in all; the arrays are written over after
            each. What comes of the run has no curve then.
        logs: By `logs_for`, of a run whose records are not looked at any more: they are written over.
        tell: Told between chunks how much is done, 0 to 1, and the row that is next.

    Raises:
        DeskError: The strategy went wrong, says on which bar; or the account cannot go on.
    """
    rows = len(shown.views)
    loops = loops or (PLAIN if rows <= PLAIN_MOST else compiled_loops())
    names = [str(symbol) for symbol in shown.symbols]
    book = open_account(names, conditions, cash, currency, room=_room(rows), keep=keep, logs=logs)
    alone = (
        len(shown.symbols) == 1 and not decisions.places_orders and len(shown.changes) == 0 and bool(shown.own.all())
    )
    marks = _Marks(shown, first, alone, curve_to)
    kept = _Logs(book)
    # As columns: a record's own attributes take Python microseconds.
    faults, full = book.accounts["fault"], book.accounts["full"]
    at = np.array([np.searchsorted(shown.changes["row"], first), marks.first], np.int64)
    most = min(CHUNK + len(shown.symbols) * len(INTERVALS), rows)
    room_for = np.empty(most), np.empty(most, np.int64)
    row = 0
    while row < rows:
        last = _chunk_end(shown, row)
        asked = _Asked(shown, decisions, row, last)
        place = max(row, first)
        while place < last:
            if alone:
                place = loops.alone(
                    book.accounts, shown.views, shown.sessions, asked.exposures, row, place, last, *room_for,
                    marks.begin, marks.times, *marks.columns,
                )  # fmt: skip
            else:
                place = loops.together(
                    book.accounts, shown.views, shown.own, shown.sessions, shown.changes, asked.exposures, asked.orders,
                    asked.counts, asked.begins, row, place, last, at, *marks.columns,
                )  # fmt: skip
            if faults[0]:
                bar = shown.views[place - 1]
                end = np.datetime64(int(bar["end"]) // 10**9, "s")
                msg = f"the run stopped at the bar that ended {end}Z: {_FAULTS[Fault(int(faults[0]))]}"
                raise DeskError(msg)
            if full[0]:
                kept.empty()
        marks.written(max(row, first), last)
        row = last
        tell(row / rows, row)
    if rows:
        at_end(book.account, rows - 1, int(shown.views["start"][-1]))
    orders, fills, trades = kept.all()
    return Outcome(
        trades=trades,
        orders=orders,
        fills=fills,
        curve=marks.curve(),
        mode=decisions.mode,
        why_plain=decisions.why,
    )


def logs_for(rows: int) -> Logs:
    """Logs of a run on so many bars, for one after the other."""
    return empty_logs(_room(rows))


def _room(rows: int) -> int:
    return min(max(rows // 16, 1_024), ROOM_MOST)


class _Asked:
    """What was decided on the rows of a chunk."""

    def __init__(self, shown: Stream, decisions: Decisions, row: int, last: int) -> None:
        seen = shown.seen[row:last]
        if not decisions.places_orders:
            self.exposures = decisions.exposures(seen)
            self.orders, self.counts, self.begins = _NO_ORDERS, _NO_COUNTS, _NO_COUNTS
            return
        self.exposures = _NO_EXPOSURES
        self.counts, self.orders = decisions.requests(seen)
        written = np.minimum(self.counts, REQUESTS_MAX)
        self.begins = np.cumsum(written) - written
        if len(shown.factor):
            by = np.repeat(shown.factor[row:last], written)
            for name in ("limit", "stop", "volatility"):
                self.orders[name] /= by
            distance = self.orders["flag"] & int(OrderFlag.TRAIL_FRACTION) == 0
            self.orders["trail"][distance] /= by[distance]


class _Marks:
    """The curve as it is written."""

    def __init__(
        self, shown: Stream, first: int, alone: bool, curve_to: Callable[[Curve, int], None] | None = None
    ) -> None:
        views = shown.views
        self.begin = 0
        """Row of the first place, where the loop of one series writes."""
        self._curve_to = curve_to
        self._in_parts = alone and curve_to is not None
        if alone or (len(shown.symbols) == 1 and bool(shown.own.all())):
            self.first = first
            # Of one series that decides alone the loop writes them.
            room = min(len(views), CHUNK + len(INTERVALS)) if self._in_parts else len(views)
            self.times = np.empty(room, np.int64) if alone else np.ascontiguousarray(views["end"])
        else:
            self.first = 0
            self.times = np.unique(views["end"][first:][shown.own[first:]])
        count = len(self.times)
        self.columns = (np.empty(count), np.empty(count), np.empty(count))
        self._marks = len(views) - first if alone else count - self.first
        if self._in_parts:
            self.begin = first

    def written(self, row: int, last: int) -> None:
        """Rows are done: where the curve is not kept, it is handed over, and the next begins where it began."""
        if self._in_parts and self._curve_to is not None and last > row:
            self._curve_to(self._part(0, last - row), self._marks)
            self.begin = last

    def curve(self) -> Curve:
        """From the first mark on; none where it is not kept."""
        if self._in_parts:
            return self._part(0, 0)
        whole = self._part(self.first, len(self.times))
        if self._curve_to is None:
            return whole
        self._curve_to(whole, self._marks)
        return self._part(0, 0)

    def _part(self, begin: int, end: int) -> Curve:
        return Curve(self.times[begin:end], *(column[begin:end] for column in self.columns))


class _Logs:
    """What the account's logs held each time that they were emptied."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._orders: list[Records] = []
        self._fills: list[Records] = []
        self._trades: list[Records] = []

    def empty(self) -> None:
        """Take over what is in the logs."""
        account = self._book.account
        for kept, log in zip((self._orders, self._fills, self._trades), self._now(), strict=True):
            kept.append(log.copy())
        account.done = account.fills = account.trades = account.full = 0

    def all(self) -> tuple[Records, Records, Records]:
        """Orders by id, those still working among them, fills and trades; the book is not used any more."""
        done, fills, trades = self._now()
        working = self._book.orders[: self._book.account.working]
        orders = _joined([*self._orders, done, working])
        if (orders["id"][1:] < orders["id"][:-1]).any():
            orders = orders[np.argsort(orders["id"], kind="stable")]
        return orders, _joined([*self._fills, fills]), _joined([*self._trades, trades])

    def _now(self) -> tuple[Records, Records, Records]:
        book, account = self._book, self._book.account
        return book.done[: account.done], book.fills[: account.fills], book.trades[: account.trades]


def _joined(parts: list[Records]) -> Records:
    """All records in one array: the only part that has any as it is, without a copy."""
    filled = [part for part in parts if len(part)]
    return filled[0] if len(filled) == 1 else np.concatenate(filled or parts[:1])


_NO_EXPOSURES: Final = np.zeros(0)
_NO_ORDERS: Final = np.zeros(0, ORDER)
_NO_COUNTS: Final = np.zeros(0, np.int64)


def _chunk_end(shown: Stream, row: int) -> int:
    """The row after a chunk: never between bars that end together."""
    rows = len(shown.views)
    last = min(row + CHUNK, rows)
    while last < rows and shown.views["end"][last] == shown.views["end"][last - 1]:
        last += 1
    return last
