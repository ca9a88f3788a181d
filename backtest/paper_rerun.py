"""A paper run once more: over the same ticks, bars as they were known then, controls where they took effect.

In bulk and by code of its own: of what paper trading runs on it shares the step and the strategy alone, so that what
both come to is no accident of one of them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from backtest.logged_bars import Found, Log, first_revisions, logged, place_at
from backtest.paper_start import Decided, Deciders, Started, warm_up
from backtest.patience import Beat
from backtest.report import moment
from backtest.tick_account import AccountStopped, TickAccount
from backtest.tick_order import Graces, Rows, Standing, Stretch, standing, stretches
from market.errors import DeskError
from sinks.paper_book import Control
from strategies.interface import StrategyError
from trading import risk
from trading.assumptions.corporate_actions import apply_dividend, apply_split
from trading.headroom import Headroom, lend, take_back
from trading.opening import open_account
from trading.records import VIEW, OrderFlag, Records
from trading.snapshot import Logs, from_bytes, to_bytes

VERSION: Final = 1
RUNNING: Final = "running"
STOPPED: Final = "stopped"
FAILED: Final = "failed"
_COPIED: Final = ("start", "end", "open", "high", "low", "close", "volume", "notional", "trades", "interval", "state")
_LATE_MAX: Final = 2**32 - 1
_HUNG: Final = "its strategy did not come back"
_STATE: Final = {"stop": STOPPED, "flatten": "killed", "revive": RUNNING}
"""Of a run by what was done to it last; one that still closes what it holds is another thing to a user only."""


class EndState(msgspec.Struct, array_like=True):
    """Where a rerun ended: all that the next one goes on from. Kept with certificates."""

    version: int
    standing: list[int]
    """A `Standing`."""
    control: list[int]
    """Row and number of the last control that took effect."""
    streams: dict[str, int]
    """By symbol the stream that makes its bars."""
    state: str
    decisions: int
    """How many there were so far."""
    trades: int
    footing: dict[str, list[float]]
    """By symbol what prices and volumes are multiplied by to be those that the strategy sees."""
    closes: dict[str, float]
    """By symbol the last close of the run's interval that it was shown, as traded."""
    account: bytes
    deciders: list[bytes]


class Decision(NamedTuple):
    """One decision, on one bar."""

    number: int
    seq: int
    """The boundary's row."""
    log_seq: int
    """Place of the bar in the log."""
    view: Any
    """`VIEW` of the bar that the strategy saw."""
    exposure: float
    requests: int


class Point(NamedTuple):
    """One point of the curve: at a boundary at which bars of the run's own interval were shown."""

    minute: int
    """Minutes since 1970 that have closed."""
    time: int
    """End of the last of these, ns."""
    seq: int
    equity: float
    cash: float
    exposure: float


class Rerun(NamedTuple):
    """What a run came to between two rows of the journal."""

    decisions: list[Decision]
    logs: Logs
    """Orders that ended, fills, trades."""
    working: Records
    """Orders that work at the end."""
    points: list[Point]
    trades_before: int
    """How many trades there were before these."""
    failed: str
    """Why it cannot go on, as a sentence; empty if it can."""
    failed_seq: int
    revised: Found
    """Bars of its series that were revised since."""
    end: EndState


class Ask(NamedTuple):
    """Up to where to go, and what the book says happened on the way."""

    upto: int
    """Row of the journal."""
    controls: Sequence[Control]
    """Of the run and of all, that took effect up to there."""
    graces: Graces
    headroom: Mapping[int, Headroom]
    """By boundary's row what limits over all runs left this one; absent where there are none."""
    kills: Mapping[int, bool]
    """By boundary's row whether the loss of all runs also closed what this one held."""
    hung_at: int = 0
    """The boundary on whose bars its strategy never came back, or the start's row; 0 if it always did."""


def begin_of(row: Mapping[str, Any], rows: Rows, graces: Graces) -> EndState:
    """Where a run begins, as its row in the book says; its account and its strategy are still to be made.

    Raises:
        DeskError: The journal begins later.
    """
    seq = int(row["started_seq"])
    now = standing(rows, seq, graces)
    control = [seq, int(row["number"])]
    return EndState(VERSION, list(now), control, dict(row["streams"]), RUNNING, 0, 0, {}, {}, b"", [])


def opened(kept: bytes) -> EndState:
    """The end of an earlier rerun.

    Raises:
        DeskError: It is of another version.
    """
    try:
        found = msgspec.msgpack.decode(kept, type=EndState)
    except msgspec.MsgspecError as error:
        msg = "the state that the last certificate ended with cannot be read: `pq parity --whole` begins at the start"
        raise DeskError(msg) from error
    if found.version != VERSION:
        msg = "the last certificate is of another version: `pq parity --whole` begins at the run's start"
        raise DeskError(msg)
    return found


def closed(state: EndState) -> bytes:
    """As bytes."""
    return msgspec.msgpack.encode(state)


def rerun(
    told: Started, begin: EndState, shown_before: bytes, rows: Rows, log: Log, ask: Ask, loops: Path, beat: Beat
) -> Rerun:
    """Run a paper run once more, from where `begin` stands.

    Args:
        told: The run.
        begin: Its start, or where an earlier rerun ended.
        shown_before: The bars before its first, as the book keeps them.
        rows: The journal, and what was before it.
        log: The bar store.
        ask: Up to where, and what happened.
        loops: Folder of compiled loops.
        beat: Told that it goes on: a strategy may never come back.

    Raises:
        DeskError: Rows of the journal are gone, or the run cannot be made any more.
    """
    return _Rerun(told, begin, shown_before, loops, beat, hung=ask.hung_at == told.started_seq).over(rows, log, ask)


class _Rerun:
    def __init__(
        self, told: Started, begin: EndState, shown_before: bytes, loops: Path, beat: Beat, *, hung: bool
    ) -> None:
        self._told, self._begin, self._beat = told, begin, beat
        self._deciders = Deciders(told, loops)
        plan = told.plan
        self._footing, self._closes = dict(begin.footing), dict(begin.closes)
        self._state = begin.state
        self._number = begin.decisions
        self._control = list(begin.control)
        self._decisions: list[Decision] = []
        self._points: list[Point] = []
        self._failed, self._failed_seq = "", 0
        if begin.account:
            self._account = TickAccount(from_bytes(begin.account))
            if begin.deciders:
                self._deciders.restore(begin.deciders)
        else:
            self._account = TickAccount(open_account(plan.symbols, plan.conditions, plan.cash, plan.currency))
            before = warm_up(shown_before)
            if hung:
                self._failed, self._failed_seq, self._state = _HUNG, told.started_seq, FAILED
            elif len(before):
                try:
                    self._deciders.decide(before)
                except StrategyError as error:
                    self._failed, self._failed_seq, self._state = str(error), told.started_seq, FAILED
                self._note_closes(before)

    def over(self, rows: Rows, log: Log, ask: Ask) -> Rerun:
        """All that is asked for."""
        begin, told = self._begin, self._told
        now = Standing(*begin.standing)
        series = told.series
        found = logged(
            log, {one: n for n, one in enumerate(series)}, place_at(log, now.boundary), now.boundary, ask.upto
        )
        bars = _Bars(first_revisions(found), list(series.values()), max(now.boundary, told.started_seq))
        controls = [one for one in ask.controls if [one.applied_seq or 0, one.number] > begin.control]
        streams = {symbol: begin.streams[str(symbol)] for symbol in told.symbols}
        self._act(controls, now.seq, now.clock)
        for stretch in stretches(rows, now, ask.upto, streams, ask.graces):
            try:
                self._stretch(stretch, now.clock, bars, controls, ask)
            except AccountStopped as error:
                self._failed, self._failed_seq, self._state = str(error), stretch.after.seq, FAILED
            now, streams = stretch.after, dict(stretch.designated)
            self._beat.go_on(f"paper run {told.run}, somewhere after {moment(max(now.clock, 0))},")
            if self._account.book.account.fault:
                break
        logs = self._account.logs()
        book = self._account.book
        end = EndState(
            VERSION, list(now), self._control, {str(symbol): stream for symbol, stream in streams.items()}, self._state,
            self._number, begin.trades + len(logs.trades), self._footing, self._closes, to_bytes(book),
            [] if self._state == FAILED else self._deciders.snapshot(),
        )  # fmt: skip
        return Rerun(
            self._decisions, logs, book.orders[: book.account.working].copy(), self._points, begin.trades,
            self._failed, self._failed_seq, found.where(found.bars["revision"] > 1), end,
        )  # fmt: skip

    def _stretch(self, stretch: Stretch, clock: int, bars: "_Bars", controls: list[Control], ask: Ask) -> None:
        """Ticks, boundaries and controls in their order."""
        bounds = stretch.boundaries
        tick = 0
        for number, seq in enumerate(bounds.seq.tolist()):
            tick = self._until(stretch, tick, clock, controls, seq - 1)
            tick = self._ticks(stretch, tick, int(bounds.ticks[number]))
            self._boundary(seq, int(bounds.clock[number]), int(bounds.minute[number]), bars.take(seq), ask)
        tick = self._until(stretch, tick, clock, controls, stretch.after.seq)
        self._ticks(stretch, tick, len(stretch.ticks))

    def _until(self, stretch: Stretch, tick: int, clock: int, controls: list[Control], upto: int) -> int:
        """Do the controls that take effect up to a row, and the ticks before them; the tick to go on from."""
        while controls and (controls[0].applied_seq or 0) <= upto:
            seq = controls[0].applied_seq or 0
            tick = self._ticks(stretch, tick, int(np.searchsorted(stretch.rows, seq, side="right")))
            place = int(np.searchsorted(stretch.seqs, seq, side="right"))
            self._act(controls, seq, int(stretch.clocks[place - 1]) if place else clock)
        return tick

    def _ticks(self, stretch: Stretch, first: int, last: int) -> int:
        self._account.over(stretch, first, last)
        return max(first, last)

    def _act(self, controls: list[Control], seq: int, clock: int) -> None:
        """Do the controls that take effect behind a row."""
        account = self._account.book.account
        while controls and (controls[0].applied_seq or 0) <= seq:
            control = controls.pop(0)
            if control.action in {"stop", "flatten"}:
                risk.kill(account, control.action == "flatten", clock, seq)
            elif control.action == "revive":
                risk.revive(account)
            elif control.action in {"split", "dividend"}:
                self._deal(control, seq)
            if self._state != FAILED:
                self._state = _STATE.get(control.action, self._state)
            self._account.settle(seq)
            self._control = [seq, control.number]

    def _deal(self, control: Control, seq: int) -> None:
        """A split or a dividend, of what is held and of what the strategy sees from here on."""
        account, rule = self._account.book.account, self._told.plan.conditions.actions
        symbol, value = str(control.body["symbol"]), float(control.body["value"])
        place = self._told.plan.symbols.index(symbol)
        price, volume = self._footing.get(symbol, (1.0, 1.0))
        if control.action == "split":
            if rule.apply:
                apply_split(account, place, value, int(control.body["time"]), seq)
            if rule.signals != "none":
                self._footing[symbol] = [price * value, volume / value]
        else:
            if rule.apply:
                apply_dividend(account, place, value)
            before = self._closes.get(symbol, 0.0)
            if rule.signals == "all" and before > value:
                self._footing[symbol] = [price / (1 - value / before), volume]

    def _boundary(self, seq: int, clock: int, minute: int, group: "_Group", ask: Ask) -> None:
        """Show what has closed; let what is decided on it become orders; mark."""
        if self._state == RUNNING and seq in ask.kills:
            self._kill(ask.kills[seq], clock, seq, STOPPED)
        if not len(group.views) or self._state == FAILED:
            return
        decided = None
        if seq == ask.hung_at:
            self._failed = _HUNG
        else:
            try:
                decided = self._deciders.decide(self._seen(group.views))
            except StrategyError as error:
                self._failed = str(error)
        if decided is None:
            self._failed_seq = seq
            self._kill(False, clock, seq, FAILED)
            return
        if self._state == RUNNING:
            self._decide(seq, group, decided, ask.headroom.get(seq))
        own = self._note_closes(group.views)
        if len(own) and (self._state == RUNNING or self._account.holds):
            mark = self._account.mark()
            self._points.append(Point(minute, int(own["end"][-1]), seq, mark.equity, mark.cash, mark.exposure))

    def _kill(self, closes: bool, clock: int, seq: int, state: str) -> None:
        risk.kill(self._account.book.account, closes, clock, seq)
        self._account.settle(seq)
        self._state = state

    def _note_closes(self, views: Records) -> Records:
        """Note the last closes of the bars that are of the run's own interval; these bars."""
        own: Records = views[views["interval"] == self._told.interval]
        for view in own:
            self._closes[self._told.plan.symbols[int(view["symbol"])]] = float(view["close"])
        return own

    def _seen(self, views: Records) -> Records:
        """Bars as the strategy sees them: on the footing of the start."""
        if not self._footing:
            return views
        seen = views.copy()
        for symbol, (price, volume) in self._footing.items():
            mine = seen["symbol"] == self._told.plan.symbols.index(symbol)
            for name in ("open", "high", "low", "close"):
                seen[name][mine] *= price
            seen["volume"][mine] *= volume
            seen["notional"][mine] *= price * volume
        return seen

    def _as_traded(self, orders: Records, symbol: int) -> Records:
        """Orders with prices as traded, of those that the strategy sees."""
        price, _ = self._footing.get(self._told.plan.symbols[symbol], (1.0, 1.0))
        if price != 1.0:
            for name in ("limit", "stop", "volatility"):
                orders[name] /= price
            orders["trail"][orders["flag"] & int(OrderFlag.TRAIL_FRACTION) == 0] /= price
        return orders

    def _decide(self, seq: int, group: "_Group", decided: Decided, headroom: Headroom | None) -> None:
        account, limits = self._account.book.account, self._told.plan.conditions.limits
        time = int(group.views["end"][-1])
        lent = None if headroom is None else lend(account, limits, headroom, time)
        for place in range(len(group.views)):
            view = group.views[place]
            exposure, count = decided.exposures[place], decided.counts[place]
            if self._told.strategy.places_orders:
                if count > 0:
                    orders = self._as_traded(decided.orders[place], int(view["symbol"]))
                    self._account.place(view, seq, orders, count)
            else:
                self._account.decide(view, seq, exposure)
            self._number += 1
            self._decisions.append(Decision(self._number, seq, int(group.places[place]), view, exposure, count))
        if lent is not None:
            take_back(account, lent, time)


class _Group(NamedTuple):
    """The bars of one boundary, in the order in which they are shown."""

    views: Records
    places: Any
    """Of each in the log."""


class _Bars:
    """Bars on their way to the strategy."""

    def __init__(self, found: Found, symbols: list[int], after: int) -> None:
        """Take what came to be known after a row.

        Args:
            found: First revisions.
            symbols: By number of the series the place of its symbol.
            after: Row of the journal.
        """
        kept = found.where(found.bars["seq"] > after)
        order = np.argsort(kept.bars["seq"], kind="stable")
        self._bars, self._places = kept.bars[order], kept.place[order]
        self._symbols = np.array(symbols)[kept.series[order]]
        self._at = 0

    def take(self, seq: int) -> _Group:
        """Those that are known at a boundary and were not before."""
        last = int(np.searchsorted(self._bars["seq"], seq, side="right"))
        part = slice(self._at, last)
        self._at = max(self._at, last)
        bars, symbols = self._bars[part], self._symbols[part]
        order = np.lexsort((symbols, -bars["interval"].astype(np.int64), bars["end"]))
        views = np.zeros(len(bars), VIEW)
        for name in _COPIED:
            views[name] = bars[name]
        views["symbol"] = symbols
        views["late"] = np.clip((bars["updated_at"] - bars["end"]) // 1_000_000, 0, _LATE_MAX)
        return _Group(views[order], self._places[part][order])
