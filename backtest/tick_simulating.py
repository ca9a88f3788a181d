"""A run that is filled by ticks: bars are decided on as they came to be known, and the journal's ticks fill."""

from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtest.curve import Curve, Times
from backtest.simulating import Decisions, Outcome
from backtest.stream import DIVIDEND, RATE, SPLIT, Stream
from backtest.tick_account import Asked, TickAccount
from backtest.tick_order import UNKNOWN, Standing, Stretch
from backtest.ticks import Ticks
from market.intervals import MINUTE_NS
from trading.assumptions.corporate_actions import apply_dividend, apply_split
from trading.filling import at_end
from trading.ledger import set_rate
from trading.opening import Conditions, open_account
from trading.records import Records

ROOM: Final = 4_096
"""Records in each of the account's logs."""


class Filled(NamedTuple):
    """What came of a run."""

    outcome: Outcome
    ticks: Ticks
    strays: int
    """Bars that came to be known after their boundary."""


def simulate_over_ticks(
    stretches: Iterable[Stretch],
    begin: Standing,
    shown: Stream,
    known: Times,
    traded: NDArray[np.bool_],
    decisions: Decisions,
    conditions: Conditions,
    cash: float,
    currency: str,
    *,
    tell: Callable[[Standing], None] = lambda _standing: None,
) -> Filled:
    """Run.

    Args:
        stretches: Of the journal, from `begin` on.
        begin: Where they begin.
        shown: The bars, by their ends.
        known: By row of `shown` the row of the journal at which it came to be known; bars up to the last boundary of
            `begin` are shown before the first tick.
        traded: By row of `shown` whether what is decided on it becomes orders.
        decisions: The strategy, before its first bar.
        conditions: What the run takes for granted.
        cash: Of the account's currency, at the start.
        currency: The account's own.
        tell: Told after each stretch how things stand.

    Raises:
        DeskError: The strategy went wrong, says on which bar; or the account cannot go on.
    """
    book = open_account([str(symbol) for symbol in shown.symbols], conditions, cash, currency, room=ROOM)
    account = TickAccount(book)
    waiting = np.argsort(known, kind="stable")
    at = int(np.searchsorted(known[waiting], begin.boundary, side="right"))
    if at:
        Asked(shown, decisions, np.sort(waiting[:at]).tolist())
    changes = _Changes(shown)
    changes.rates(account, begin)
    marks: list[tuple[int, float, float, float]] = []
    seen, strays = _Seen(), 0
    last_row, last_time = begin.seq, 0
    for stretch in stretches:
        seen.take(stretch)
        bounds = stretch.boundaries
        upto = np.searchsorted(known[waiting], bounds.seq, side="right")
        groups = [np.sort(waiting[first:last]) for first, last in zip((at, *upto[:-1]), upto, strict=True)]
        asked = Asked(shown, decisions, np.concatenate([*groups, waiting[:0]]).tolist())
        place = tick = 0
        for number, group in enumerate(groups):
            row, end = int(bounds.seq[number]), int(bounds.ticks[number])
            changes.over(account, stretch, tick, end)
            tick = end
            for bar in group.tolist():
                if traded[bar]:
                    asked.hand(account, shown.views[bar], row, place)
                place += 1
            strays += int((known[group] < row).sum())
            changes.rates(account, Standing(row, 0, row, int(bounds.minute[number])))
            own = group[shown.own[group] & traded[group]]
            if len(own):
                time = int(shown.views["end"][own].max())
                if not marks or time > marks[-1][0]:
                    marks.append((time, *account.mark()))
        changes.over(account, stretch, tick, len(stretch.ticks))
        if len(upto):
            at = int(upto[-1])
        if len(stretch.ticks):
            last_row, last_time = int(stretch.rows[-1]), int(stretch.ticks["start"][-1])
        tell(stretch.after)
    if last_time:
        at_end(book.account, last_row, last_time)
    working = book.orders[: book.account.working].copy()
    logs = account.logs()
    orders = np.concatenate([logs.orders, working])
    columns = np.array(marks, [("time", "<i8"), ("equity", "<f8"), ("cash", "<f8"), ("exposure", "<f8")])
    return Filled(
        Outcome(
            trades=logs.trades,
            orders=orders[np.argsort(orders["id"], kind="stable")],
            fills=logs.fills,
            curve=Curve(*(np.ascontiguousarray(columns[name]) for name in ("time", "equity", "cash", "exposure"))),
            mode=decisions.mode,
            why_plain=decisions.why,
        ),
        seen.ticks(),
        strays,
    )


class _Changes:
    """Splits, dividends and rates on their way to the account."""

    def __init__(self, shown: Stream) -> None:
        order = np.argsort(shown.changes["time"], kind="stable")
        every = [shown.changes[place] for place in order.tolist()]
        self._rates = [change for change in every if change.kind == RATE]
        self._acts = [change for change in every if change.kind in (SPLIT, DIVIDEND)]

    def over(self, account: TickAccount, stretch: Stretch, first: int, last: int) -> None:
        """Go over ticks; what happens to a symbol's shares happens before its first tick from that moment on."""
        for change in self._acts.copy():
            part = stretch.ticks[first:last]
            due = (part["symbol"] == change.place) & (part["start"] >= change.time)
            if due.any():
                place = first + int(np.argmax(due))
                account.over(stretch, first, place)
                first = place
                row = int(stretch.rows[place])
                if change.kind == SPLIT:
                    apply_split(account.book.account, change.place, change.value, change.time, row)
                else:
                    apply_dividend(account.book.account, change.place, change.value)
                account.settle(row)
                self._acts.remove(change)
        account.over(stretch, first, last)

    def rates(self, account: TickAccount, now: Standing) -> None:
        """Exchange rates whose bars are over: known from the decisions of their boundary on."""
        if now.minute == UNKNOWN:
            return
        while self._rates and self._rates[0].time <= now.minute * MINUTE_NS:
            change = self._rates.pop(0)
            set_rate(account.book.account, change.place, change.value)
            account.settle(now.seq)


class _Seen:
    """The ticks that came by."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)
        self._count = self._first = self._last = 0

    def take(self, stretch: Stretch) -> None:
        """Take note of a stretch."""
        ticks = stretch.ticks
        if not len(ticks):
            return
        self._count += len(ticks)
        self._first = self._first or int(stretch.rows[0])
        self._last = int(stretch.rows[-1])
        for name in ("start", "close", "volume", "symbol"):
            self._hash.update(np.ascontiguousarray(ticks[name]).tobytes())

    def ticks(self) -> Ticks:
        """All of them."""
        return Ticks(self._count, self._first, self._last, self._hash.hexdigest())


def rows_known(shown: Stream, series: Sequence[tuple[int, Records]]) -> Times:
    """By row of `shown` the journal's row at which the bar came to be known, -1 for those from before.

    Args:
        shown: Made of the series.
        series: Place of the symbol, and `BAR` records, in the order in which they were given to `stream`.
    """
    parts = np.concatenate([bars for _, bars in series])
    places = np.repeat([place for place, _ in series], [len(bars) for _, bars in series])
    order = np.arange(len(parts))
    if len(series) > 1:
        order = np.lexsort((places, -parts["interval"].astype(np.int64), parts["end"]))
    assert np.array_equal(parts["end"][order], shown.views["end"]), "one order of the bars"
    known: Times = parts["seq"][order]
    return known
