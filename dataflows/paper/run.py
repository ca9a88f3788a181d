"""One run: its account, its strategy's state, and what has been counted. It knows neither the engine nor other runs."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from dataflows.paper import rows
from dataflows.paper.events import Begin
from dataflows.paper.kept import FAILED, FLATTENING, KILLED, RUNNING, STOPPED, VERSION, Kept
from dataflows.paper.shown import Shown
from dataflows.paper.starting import Chosen, chosen, deciders
from market.errors import DeskError
from sinks.paper_book import Control
from strategies.interface import REQUESTS_MAX
from strategies.loader.decider import Decider
from trading import risk
from trading.assumptions.corporate_actions import apply_dividend, apply_split
from trading.book import QUANTA, Book
from trading.called import Step
from trading.headroom import Headroom, lend, take_back
from trading.ledger import Fault, gross
from trading.opening import open_account
from trading.records import ORDER, OrderFlag, Records, Sizing
from trading.sizing import lot_value, sign, wanted
from trading.snapshot import from_bytes, to_bytes
from trading.ticks import compiled_over_ticks

_LOGS: Final = ("done", "fills", "trades")
_READ: Final = (*_LOGS, "full", "working", "fault", "equity", "marked")

Rows = dict[str, list[dict[str, Any]]]
Decided = tuple[NDArray[np.float64], None] | tuple[NDArray[np.int64], Records]
"""Exposures; or how many orders on each bar, and the orders."""

FAULTS: Final = {
    Fault.MONEY: "an amount grew beyond what the ledger can count",
    Fault.UNBALANCED: "the ledger does not balance: this is a defect of PocketQuant",
    Fault.PRICE: "a price is not above 0",
}
REMEMBERED: Final = 2
"""Bars of each series that are remembered as they were shown: only the last one that closed is ever corrected."""


class Run:
    """A run that was started."""

    def __init__(self, run: str, kept: Kept, told: Chosen, made: list[Decider], book: Book, step: Step) -> None:
        self.run = run
        self.kept = kept
        self.told = told
        self.book = book
        self.symbols = told.plan.symbols
        self.series = {
            (symbol, int(interval)): place for place, symbol in enumerate(self.symbols) for interval in told.intervals
        }
        """By symbol and interval that it sees, the symbol's place."""
        self._deciders = made
        self._step = step
        self._counters = {name: book.accounts[name] for name in _READ}
        self._cash = book.currencies["cash"]
        """Columns of the account's record: to read one costs a tenth of what a record's attribute does."""
        self._written: dict[int, tuple[Any, ...]] = {}
        working = book.orders[: int(book.account.working)]
        self._clients = {
            int(order["id"]): rows.client_id(run, int(order["placed_at"]), int(order["symbol"]), int(order["id"]))
            for order in working
        }

    @classmethod
    def start(cls, control: Control, begin: Begin, loops: Path, step: Step) -> "Run":
        """Begin; the bars before its first are still to be shown.

        Args:
            control: The start, with its place.
            begin: What it begins with.
            loops: Folder of compiled loops.
            step: The compiled step.

        Raises:
            DeskError: Its strategy cannot begin.
        """
        told = begin.run
        plan = told.plan
        book = open_account(plan.symbols, plan.conditions, plan.cash, plan.currency)
        equity = int(book.account.equity)
        kept = Kept(
            VERSION, control.number, control.asked_at, control.body, dict(begin.streams), control.applied_seq or 0,
            RUNNING, "", False, {}, 0, equity, {}, {}, b"", [],
        )  # fmt: skip
        return cls(control.run, kept, told, deciders(told, loops), book, step)

    @classmethod
    def restore(cls, run: str, state: bytes, loops: Path, step: Step) -> "Run":
        """Go on from `snapshot`.

        Raises:
            DeskError: It is of another version, or its strategy cannot be used any more.
        """
        kept = msgspec.msgpack.decode(state, type=Kept)
        if kept.version != VERSION:
            msg = (
                f"paper run {run} was saved by another version of PocketQuant (layout {kept.version}, this one knows "
                f"{VERSION}): go on with that version, or remove the run"
            )
            raise DeskError(msg)
        told = chosen(kept.body)
        made = [] if kept.broken else deciders(told, loops)
        for decider, data in zip(made, kept.deciders, strict=True) if not kept.broken else ():
            decider.restore(data)
        return cls(run, kept, told, made, from_bytes(kept.account), step)

    def snapshot(self) -> bytes:
        """All that it goes on from, as bytes."""
        self.kept.account = to_bytes(self.book)
        self.kept.deciders = [decider.snapshot() for decider in self._deciders]
        return msgspec.msgpack.encode(self.kept)

    # What it is

    @property
    def state(self) -> str:
        """As in the book."""
        return self.kept.state

    @property
    def decides(self) -> bool:
        """Whether its decisions become orders."""
        return self.kept.state == RUNNING

    @property
    def listens(self) -> bool:
        """Whether it is shown bars; also when stopped, so that it is whole when it is revived."""
        return not self.kept.broken

    @property
    def holds(self) -> bool:
        """Whether anything is held."""
        return bool((self.book.positions["lots"] != 0).any())

    @property
    def trades_on(self) -> bool:
        """Whether ticks change anything but its marks' time: orders may work, or something is held."""
        return self.kept.state == RUNNING or self.holds or bool(self._counters["working"][0])

    @property
    def equity(self) -> int:
        """Quanta."""
        return int(self._counters["equity"][0])

    @property
    def faulty(self) -> bool:
        """Whether the ledger has stopped."""
        return bool(self._counters["fault"][0])

    def equity_row(self, closed_until: int, end: int, seq: int) -> dict[str, Any]:
        """A point of the curve: see `rows.equity_row`."""
        equity, marked = int(self._counters["equity"][0]), int(self._counters["marked"][0])
        # What is marked is the gross value where there is one symbol, but for its sign.
        held = abs(marked) if len(self.symbols) == 1 else gross(self.book.account)
        return rows.equity_row(self.run, equity, int(self._cash[0]), held, closed_until, end, seq)

    @property
    def mode(self) -> tuple[str, str]:
        """`compiled` or `plain`, and why it is plain."""
        return (self._deciders[0].mode, self._deciders[0].why) if self._deciders else ("", "")

    # Ticks

    def over_ticks(
        self, views: Records, sessions: NDArray[np.int64], seqs: NDArray[np.int64], out: Rows, log_seq: int
    ) -> str:
        """Take the account over ticks; why the run has to fail, empty if it has not."""
        over, accounts, place, last = compiled_over_ticks(), self.book.accounts, 0, len(views)
        counters = self._counters
        while place < last:
            place = over(accounts, views, sessions, seqs, place, last)
            if counters["fills"][0] or counters["done"][0] or counters["trades"][0]:
                self.drain(out, log_seq)
            if counters["fault"][0]:
                return FAULTS[Fault(int(counters["fault"][0]))]
        return ""

    # Bars

    def decide(self, views: Records) -> list[Decided]:
        """What the strategy wants after each bar: by decider, of the bars that are its own.

        Raises:
            DeskError: It raised, or returned what cannot be; says on which bar.
        """
        return [self._decided(decider, views[mine]) for decider, mine in self._shares(views)]

    def place(self, shown: Shown, decided: Sequence[Decided], seq: int, headroom: Headroom | None, out: Rows) -> int:
        """Let decisions become orders, and write both down.

        Args:
            shown: The bars.
            decided: On them.
            seq: The boundary's row.
            headroom: What the limits over all runs leave it; None if there are none.
            out: Rows are added to it.

        Returns:
            How many orders were counted by the rate limits.
        """
        views = shown.views
        exposures, counts, requests = self._in_order(views, decided)
        book = self.book
        # Where nothing is over all runs, and was not, there is nothing to be lent.
        lent = None
        if headroom is not None or self.kept.narrowed:
            lent = lend(book.account, self.told.plan.conditions.limits, headroom, shown.end)
            self.kept.narrowed = headroom is not None
        noted = None if headroom is None else headroom.plain()
        decisions = out.setdefault("decisions", [])
        number = self.kept.counts.get("decisions", 0)
        for place, exposure in enumerate(exposures):
            _, end, *_, symbol, interval, _, late = shown.values[place]
            if requests is None:
                self._step.want(book.accounts, book.positions, views, place, seq, exposure)
            elif counts[place] > 0:
                asked = self._as_traded(requests[place], self.symbols[symbol])
                self._step.submit(book.accounts, views, place, seq, asked, counts[place])
            number += 1
            decisions.append(
                {
                    "run": self.run,
                    "number": number,
                    "seq": seq,
                    "log_seq": shown.log_seqs[place],
                    "time": end,
                    "symbol": self.symbols[symbol],
                    "interval": rows.interval_name(interval),
                    "exposure": exposure,
                    "requests": counts[place],
                    "bars": shown.seen[place],
                    "headroom": noted,
                    "late_ms": late,
                }
            )
        self.kept.counts["decisions"] = number
        counted = take_back(book.account, lent, shown.end) if lent is not None else 0
        self.drain(out, shown.last_log_seq)
        return counted

    def on_footing(self, views: Records) -> Records:
        """Bars as the strategy sees them: on the footing of the start, whatever was split or paid since."""
        if not self.kept.footing:
            return views
        seen = views.copy()
        for symbol, (price, volume) in self.kept.footing.items():
            mine = seen["symbol"] == self.symbols.index(symbol)
            for name in ("open", "high", "low", "close"):
                seen[name][mine] *= price
            seen["volume"][mine] *= volume
            seen["notional"][mine] *= price * volume
        return seen

    def note_shown(self, values: Sequence[tuple[Any, ...]]) -> None:
        """Remember the bars that were shown: a correction is told only of what was seen.

        Args:
            values: Of `VIEW` records.
        """
        self.kept.last_bar = max(self.kept.last_bar, values[-1][1])
        self.remember(values)

    def remember(self, values: Sequence[tuple[Any, ...]]) -> None:
        """The same of bars from before the start, which nothing was decided on."""
        for start, _, first, high, low, close, volume, _, _, symbol, interval, *_ in values:
            name = f"{self.symbols[symbol]} {interval}"
            shown = (start, first, high, low, close, volume)
            self.kept.seen[name] = [shown, *self.kept.seen.get(name, [])][:REMEMBERED]

    def seen_before(self, symbol: str, interval: int, start: int) -> tuple[float, ...] | None:
        """Open, high, low, close and volume of a bar as it was shown; None if it was not, or long ago."""
        known = self.kept.seen.get(f"{symbol} {interval}", [])
        return next((bar[1:] for bar in known if bar[0] == start), None)

    # Its end and its life

    def kill(self, closes: bool, clock: int, seq: int, out: Rows, log_seq: int) -> None:
        """Cancel what works, and close what is held if so asked; nothing is decided any more."""
        risk.kill(self.book.account, closes, clock, seq)
        self.drain(out, log_seq)
        if closes:
            self.kept.state = FLATTENING if self.holds else KILLED
        else:
            self.kept.state = FAILED if self.kept.broken else STOPPED

    def fail(self, why: str, clock: int, seq: int, out: Rows, log_seq: int) -> None:
        """End because of the strategy: what is held stays, and is marked."""
        self.kept.broken = why
        self._deciders = []
        self.kill(False, clock, seq, out, log_seq)

    def revive(self) -> None:
        """Go on."""
        risk.revive(self.book.account)
        self.kept.state = RUNNING

    def act(self, action: str, body: dict[str, Any], seq: int, out: Rows, log_seq: int) -> None:
        """Do a split or a dividend to what is held, and keep what the strategy sees on one footing.

        Args:
            action: `split` or `dividend`.
            body: `symbol`; `value`, units for one, or the currency paid for one; `time`, ns.
            seq: The row after which it takes effect.
            out: Rows are added to it.
            log_seq: Place in the log by then.
        """
        symbol, value = str(body["symbol"]), float(body["value"])
        place = self.symbols.index(symbol)
        rule = self.told.plan.conditions.actions
        before = self._last_close(symbol)
        price, volume = self.kept.footing.get(symbol, (1.0, 1.0))
        if action == "split":
            if rule.apply:
                apply_split(self.book.account, place, value, int(body["time"]), seq)
            if rule.signals != "none":
                self.kept.footing[symbol] = price * value, volume / value
        else:
            if rule.apply:
                apply_dividend(self.book.account, place, value)
            if rule.signals == "all" and before is not None and before > value:
                self.kept.footing[symbol] = price / (1 - value / before), volume
        self.drain(out, log_seq)

    def _last_close(self, symbol: str) -> float | None:
        """Of the newest of its own bars that it was shown, as traded; None before the first."""
        known = self.kept.seen.get(f"{symbol} {int(self.told.interval)}")
        return known[0][4] if known else None

    def committed(self) -> float:
        """Gross value of what is held and of what working orders may add, account currency."""
        account: Any = self.book.account
        total = float(np.abs(self.book.positions["value"]).sum())
        for order in self.book.orders[: int(account.working)]:
            position: Any = self.book.positions[int(order["symbol"])]
            price = float(position.price)
            if not price > 0:
                continue
            after = wanted(account, position, order, price) if order["sizing"] != Sizing.PARENT else 0
            if abs(after) > abs(position.lots) or sign(after) * sign(position.lots) < 0:
                more = abs(after) - (abs(position.lots) if sign(after) == sign(position.lots) else 0)
                total += more * lot_value(account, position, price)
        return total / QUANTA

    # Rows

    def count(self, kind: str) -> int:
        """The number of the next row of a kind."""
        number = self.kept.counts.get(kind, 0) + 1
        self.kept.counts[kind] = number
        return number

    def drain(self, out: Rows, log_seq: int) -> None:
        """Take what is in the account's logs, and what its working orders have come to, into rows."""
        counters = self._counters
        done, fills, trades = (int(counters[name][0]) for name in _LOGS)
        working = int(counters["working"][0])
        if not (done or fills or trades or working or self._written):
            return
        book, orders = self.book, out.setdefault("orders", [])
        if done:
            for values in book.done[:done].tolist():
                self._order(values, log_seq, orders)
                self._written.pop(values[0], None)
        for values in book.orders[:working].tolist() if working else ():
            known = rows.changing(values)
            if self._written.get(values[0]) != known:
                self._order(values, log_seq, orders)
                self._written[values[0]] = known
        if fills:
            out.setdefault("fills", []).extend(
                rows.fill_row(self.run, values, self.symbols, self._clients) for values in book.fills[:fills].tolist()
            )
            self.kept.counts["fills"] = self.kept.counts.get("fills", 0) + fills
        if trades:
            out.setdefault("trades", []).extend(
                rows.trade_row(self.run, self.count("trades"), values, self.symbols)
                for values in book.trades[:trades].tolist()
            )
        if not working:
            self._clients.clear()
        for name in (*_LOGS, "full"):
            counters[name][0] = 0

    def _order(self, values: Sequence[Any], log_seq: int, orders: list[dict[str, Any]]) -> None:
        row = rows.order_row(self.run, values, self.symbols)
        number = row["number"]
        if number > self.kept.counts.get("orders", 0):
            self.kept.counts["orders"] = number
            row["log_seq"] = log_seq
        self._clients[number] = row["client_id"]
        orders.append(row)

    def row(self, **columns: Any) -> dict[str, Any]:
        """A row of the run itself with some of its columns."""
        return {"run": self.run, "number": self.kept.number, **columns}

    def figures(self) -> dict[str, Any]:
        """How it stands."""
        self.kept.peak = max(self.kept.peak, self.equity)
        counts = self.kept.counts
        return self.row(
            **rows.figures(self.book, self.symbols),
            drawdown=1 - self.equity / self.kept.peak if self.kept.peak > 0 else 0.0,
            orders=counts.get("orders", 0),
            fills=counts.get("fills", 0),
            trades=counts.get("trades", 0),
            last_bar=self.kept.last_bar or None,
        )

    # Deciders

    def _as_traded(self, requests: Records, symbol: str) -> Records:
        """Requests whose prices are of the footing that the strategy sees, as prices that trade."""
        price, _ = self.kept.footing.get(symbol, (1.0, 1.0))
        if price != 1.0:
            for name in ("limit", "stop", "volatility"):
                requests[name] /= price
            distance = requests["flag"] & int(OrderFlag.TRAIL_FRACTION) == 0
            requests["trail"][distance] /= price
        return requests

    def _shares(self, views: Records) -> Iterator[tuple[Decider, Any]]:
        """Each decider, and which bars are its own."""
        if len(self._deciders) == 1:
            yield self._deciders[0], slice(None)
            return
        for place, decider in enumerate(self._deciders):
            mine = np.flatnonzero(views["symbol"] == place)
            if len(mine):
                yield decider, mine

    def _decided(self, decider: Decider, views: Records) -> Decided:
        if not self.told.strategy.places_orders:
            return decider.exposures(views), None
        found = decider.requests(views)
        return found.counts, found.orders

    def _in_order(
        self, views: Records, decided: Sequence[Decided]
    ) -> tuple[list[float], list[int], list[Records] | None]:
        """By bar: the exposure, how many orders were asked for, and these; None where exposures were decided."""
        if not self.told.strategy.places_orders and len(self._deciders) == 1:
            return decided[0][0].tolist(), [0] * len(views), None
        exposures = np.full(len(views), np.nan)
        if not self.told.strategy.places_orders:
            for (_, mine), (found, _) in zip(self._shares(views), decided, strict=True):
                exposures[mine] = found
            return exposures.tolist(), [0] * len(views), None
        counts = np.zeros(len(views), np.int64)
        requests: list[Records] = [np.zeros(0, ORDER)] * len(views)
        for (_, mine), (asked, orders) in zip(self._shares(views), decided, strict=True):
            assert orders is not None, "a strategy that places orders says which"
            counts[mine] = asked
            at = 0
            for place in np.arange(len(views))[mine].tolist():
                count = min(int(counts[place]), REQUESTS_MAX)
                requests[place] = orders[at : at + count].copy()
                at += count
        return exposures.tolist(), counts.tolist(), requests
