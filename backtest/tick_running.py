"""One run that is filled by the journal's ticks, from its plan to its report: bars are those known at each decision."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np

from backtest import look_ahead
from backtest.curve import Times
from backtest.logged_bars import Found, Log, designated, first_revisions, logged, place_of, row_at
from backtest.patience import PATIENCE_S, Beat, patiently
from backtest.plan import Plan
from backtest.preparing import Ask, Prepared, prepare
from backtest.reading import OVER, Series, bars_of
from backtest.report import moment
from backtest.running import Run, Tell, measured
from backtest.simulating import Decisions
from backtest.stream import Bars, Stream
from backtest.tick_order import UNKNOWN, Graces, Rows, Standing, Stretch, standing, stretches
from backtest.tick_simulating import Filled, rows_known, simulate_over_ticks
from market.chunks import Position
from market.errors import DeskError
from market.intervals import MINUTE_NS, Interval, parse_interval
from market.journal_rows import CorruptRow
from market.spelling import read_symbol
from market.symbols import Symbol
from strategies.loader.files import Strategy, from_source

if TYPE_CHECKING:
    import polars as pl

    from market.bars import BarState

SAID: Final = (
    "market orders fill at the first tick after the decision's minute has closed, limits once traded through and stops "
    "once reached, each at the price of the tick"
)


class Store(Log, Protocol):
    """A bar store, as far as it is read."""

    def read(
        self,
        symbol: Symbol,
        interval: Interval,
        start: int | None = None,
        *,
        states: "Collection[BarState] | None" = None,
        as_of: int | None = None,
        newest_first: bool = True,
    ) -> "pl.DataFrame":
        """See `sinks.bar_store.BarStore`."""
        ...

    def position(self, writer: str) -> int:
        """Row of the journal up to which a writer's bars are stored and logged."""
        ...


class Journaled(NamedTuple):
    """What a desk has journaled, and the bars that it made of it."""

    rows: Rows
    """The journal, and the archive before it."""
    damage: Sequence[CorruptRow]
    """What could not be read; it grows while rows are."""
    grace_ns: int
    """How long after its end a minute closes."""


def run_over_ticks(
    plan: Plan,
    strategy: Strategy,
    store: Store,
    journaled: Journaled,
    loops: Path,
    *,
    actions: Ask = lambda _symbol: None,
    patience_s: float = PATIENCE_S,
    tell: Tell = lambda _step, _share: None,
) -> Run:
    """Run a plan over ticks.

    Bars are those that the bars dataflow logged, each as it was first known. What the store knew before the first tick
    is shown beforehand and not traded on, as far as the plan's start lets it.

    Args:
        plan: What to run; its strategy is the one given.
        strategy: As found.
        store: Of the bars, with their log.
        journaled: The ticks.
        loops: Folder of compiled loops.
        actions: Splits and dividends.
        patience_s: How long the strategy may take over the bars of a stretch of ticks.
        tell: Told how far it is.

    Raises:
        DeskError: A parameter, the bars, the ticks or the strategy is wrong; or it looks ahead. Nothing was written.
    """
    if plan.conditions.fills.at == "close":
        msg = (
            "ticks come after the close that an order is decided on, so no tick fills it there: leave out --fill close"
        )
        raise DeskError(msg)
    chosen = strategy.read_parameters(plan.parameters)
    needs = strategy.needs(chosen)
    interval = parse_interval(plan.interval)
    symbols = [read_symbol(text) for text in plan.symbols]
    seen = [(symbol, each) for symbol in symbols for each in (interval, *(needs.intervals or ()))]
    rated = [(read_symbol(rate), interval) for _, rate in sorted(plan.rates.items())]
    span = _Span(plan, store, journaled, {one: number for number, one in enumerate([*seen, *rated])})
    prepared = prepare(plan, needs, span.read, actions=actions, tell=tell)
    shown = prepared.shown()
    known = _known(prepared, shown)
    traded = known > span.begin.boundary
    if plan.trade_from is not None:
        traded &= shown.views["start"] >= plan.trade_from
    first = int(np.argmax(traded)) if traded.any() else len(traded)
    if not shown.own[first:].any():
        msg = f"no bar of {plan.symbols[0]} {interval} closed{_since(plan)} while ticks were journaled"
        raise DeskError(msg)

    def begin(fresh: bool = False) -> Decisions:
        used = strategy if strategy.ours or not fresh else from_source(strategy.name, strategy.path, strategy.source)
        return Decisions(used, chosen, plan.symbols, interval, loops)

    decisions = begin()

    def both(beat: Beat) -> tuple[Filled, int]:
        beat.where = f"strategy {strategy.name}"

        def ran(now: Standing) -> None:
            beat.go_on(f"strategy {strategy.name}, somewhere after {moment(now.clock)},")
            tell("run", (now.seq - span.begin.seq) / max(span.upto - span.begin.seq, 1))

        def checked(share: float) -> None:
            beat.go_on(f"strategy {strategy.name}, in the look-ahead check,")
            tell("check", share)

        made = simulate_over_ticks(
            span.stretches(symbols), span.begin, shown, known, traded, decisions, prepared.conditions, plan.cash,
            plan.currency, tell=ran,
        )  # fmt: skip
        if not plan.look_ahead_check:
            return made, 0
        return made, look_ahead.check(shown, lambda: begin(fresh=True), prepared.shown, plan.seed, checked)

    filled, checked = patiently(both, patience_s, "look for a loop in decide() that has no end")
    tell("report", 0.0)
    if not len(filled.outcome.curve.time):
        msg = f"no minute has closed for {plan.symbols[0]}{_since(plan)} in the journal: wait for one, or begin earlier"
        raise DeskError(msg)
    done = measured(prepared, strategy, shown, filled.outcome, first, checked)
    return _with_ticks(done, filled, span)


class _Span:
    """From which row of the journal to which a run goes, and the bars in it."""

    def __init__(
        self, plan: Plan, store: Store, journaled: Journaled, wanted: Mapping[tuple[Symbol, Interval], int]
    ) -> None:
        self._plan, self._store, self.journaled, self._wanted = plan, store, journaled, wanted
        rows = journaled.rows
        self._graces = Graces.of(journaled.grace_ns)
        self.upto = min(rows.last_seq(), store.position("bars"))
        first = rows.first_seq()
        if not first or not self.upto:
            msg = "this desk has journaled no ticks yet: `pq up` collects them, and without --fills ticks bars will do"
            raise DeskError(msg)
        since = plan.start if plan.trade_from is None else plan.trade_from
        place = 0 if since is None else place_of(store, lambda row: int(row["updated_at"]) < since)
        row = row_at(store, place)
        seq = 0 if row is None else int(row["seq"])
        self.late = since is not None and 0 < seq < first
        """Whether the journal begins after the plan does."""
        if seq >= first:
            self.begin = standing(rows, seq, self._graces)
        else:
            self.begin = Standing(first - 1, UNKNOWN, first - 1, UNKNOWN)
            place = place_of(store, lambda row: int(row["seq"]) < first)
        self.found = first_revisions(logged(store, wanted, place, self.begin.boundary, self.upto))
        self._warm = plan.trade_from is not None or plan.start is None

    def read(self, symbol: Symbol, interval: Interval, start: int | None, end: int | None) -> Series:
        """Bars of one series as they came to be known; those from before the first tick have the row -1."""
        mine = self.found.where(self.found.series == self._wanted[symbol, interval])
        bars = _spanned(mine, start, end)
        if self._warm or str(symbol) not in self._plan.symbols:
            bars = np.concatenate([self._before(symbol, interval, start, bars), bars])
        order = np.lexsort((bars["seq"], bars["end"]))
        return Series(symbol, interval, bars[order], "log of the bars that the desk made")

    def stretches(self, symbols: Sequence[Symbol]) -> Iterator[Stretch]:
        """The ticks."""
        rows = self.journaled.rows
        makers = designated(self._store, rows, self.begin, symbols)
        return stretches(rows, self.begin, self.upto, makers, self._graces, closing=self._plan.end)

    def _before(self, symbol: Symbol, interval: Interval, start: int | None, bars: Bars) -> Bars:
        """What the store knew when the first tick came."""
        clock = self.begin.clock
        if clock == UNKNOWN:
            clock = _first_clock(self.journaled.rows, self.begin.seq)
        frame = self._store.read(symbol, interval, start, states=OVER, as_of=clock, newest_first=False)
        known = bars_of(frame, interval)
        closed = clock if self.begin.minute == UNKNOWN else self.begin.minute * MINUTE_NS
        return known[(known["end"] <= closed) & ~np.isin(known["start"], bars["start"])]


def _spanned(found: Found, start: int | None, end: int | None) -> Bars:
    """Bars that start in a span, the first of each start."""
    bars = found.bars
    keep = np.ones(len(bars), np.bool_)
    if start is not None:
        keep &= bars["start"] >= start
    if end is not None:
        keep &= bars["start"] < end
    bars = bars[keep]
    # A log that was begun anew has the bars of before once more.
    _, first = np.unique(bars["start"], return_index=True)
    return bars[np.sort(first)]


def _known(prepared: Prepared, shown: Stream) -> Times:
    places = {symbol: place for place, symbol in enumerate(prepared.symbols)}
    series = [(places[one.symbol], one.bars) for one in prepared.series[: prepared.rates_from]]
    return rows_known(shown, series)


def _first_clock(rows: Rows, after: int) -> int:
    """Clock of the first row of ticks or marks after a row, ns."""
    position = Position(after)
    while True:
        chunks, following = rows.read_chunks(position, 1)
        if chunks or following.seq == position.seq:
            return int(chunks[0].row_clock[0]) if chunks else 0
        position = following


def _with_ticks(done: Run, filled: Filled, span: _Span) -> Run:
    """The run with what is to be said of its ticks."""
    ticks = filled.ticks
    report = done.report
    rows = f"rows {ticks.first_row:,} to {ticks.last_row:,} of the journal"
    said = [f"{ticks.number:,} ticks filled orders ({rows}); each decision was made on bars as they were known then."]
    if span.late:
        said.append(f"Ticks from before row {span.begin.seq + 1:,} are kept no more: the run begins there.")
    if filled.strays:
        bars = "bar" if filled.strays == 1 else "bars"
        said.append(f"{filled.strays:,} {bars} came to be known after the others of the minute, and were shown then.")
    if span.journaled.damage:
        said.append(f"{len(span.journaled.damage):,} ranges of the journal cannot be read; `pq verify` names them.")
    assumed = tuple((name, SAID if name == "fills" else text) for name, text in report.assumptions)
    facts = (*report.facts, ("ticks", f"{ticks.number:,}, of hash {ticks.hash}"))
    return done._replace(
        ticks=ticks, report=report._replace(notes=(*said, *report.notes), assumptions=assumed, facts=facts)
    )


def _since(plan: Plan) -> str:
    since = plan.trade_from or plan.start
    return "" if since is None else f" after {moment(since)}"
