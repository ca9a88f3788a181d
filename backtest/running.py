"""One run from its plan to its report: read, checked, simulated, checked for look-ahead, measured."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from backtest import doubts, look_ahead
from backtest.account_kernels import compiled_loops
from backtest.benchmark import buy_and_hold
from backtest.buckets import calibration, hit_rates, slippages
from backtest.curve import Curve, Days, walk
from backtest.metrics import Metrics, Terms, measure, month_returns, periods_per_year
from backtest.patience import PATIENCE_S, Beat, patiently
from backtest.plan import Plan
from backtest.reading import Series, require
from backtest.report import Chart, Report, moment, worded
from backtest.simulating import PLAIN_MOST, Decisions, Outcome, simulate
from backtest.stream import Stream, stream
from market.actions import Action
from market.adjustment import Adjust, Cut, cuts
from market.errors import DeskError
from market.intervals import MINUTE_NS, Interval, parse_interval
from market.sessions import ROUND_THE_CLOCK, Calendar, calendar_for
from market.spelling import read_symbol
from market.symbols import Symbol
from strategies.loader.files import Strategy, from_source
from trading.assumptions.lots import fractional_lot
from trading.opening import Conditions, currency_places
from trading.records import FILL, TRADE, State

Read = Callable[[Symbol, Interval, int | None, int | None], Series]
"""Reads the bars of one symbol at one interval that start in a span (ns)."""

Ask = Callable[[Symbol], Sequence[Action] | None]
"""The splits and dividends of a symbol; None where nobody was ever asked for them."""

Tell = Callable[[str, float], None]
"""Told a step (`read`, `run`, `check`, `report`) and how much of it is done, 0 to 1."""

CHARTS_MAX: Final = 8
RATE_BEFORE_NS: Final = 7 * 1440 * MINUTE_NS


class Run(NamedTuple):
    """A run that is over."""

    plan: Plan
    strategy: Strategy
    series: tuple[Series, ...]
    shown: Stream
    outcome: Outcome
    metrics: Metrics
    benchmark: Metrics
    report: Report


def run(
    plan: Plan,
    strategy: Strategy,
    read: Read,
    loops: Path,
    *,
    actions: Ask = lambda _symbol: None,
    patience_s: float = PATIENCE_S,
    tell: Tell = lambda _step, _share: None,
) -> Run:
    """Run a plan.

    Args:
        plan: What to run; its strategy is the one given.
        strategy: As found.
        read: Where bars come from.
        loops: Folder of compiled loops.
        actions: Splits and dividends.
        patience_s: How long the strategy may take over a chunk of bars.
        tell: Told how far it is.

    Raises:
        DeskError: A parameter, the bars, or the strategy is wrong; or it looks ahead. Nothing was written.
    """
    interval = parse_interval(plan.interval)
    symbols = tuple(read_symbol(text) for text in plan.symbols)
    chosen = strategy.read_parameters(plan.parameters)
    needs = strategy.needs(chosen)
    _check_currencies(plan)
    calendars = {symbol: calendar_for(symbol) for symbol in symbols}
    series = []
    wanted = [(symbol, each) for symbol in symbols for each in (interval, *(needs.intervals or ()))]
    for place, (symbol, each) in enumerate(wanted):
        tell("read", place / len(wanted))
        one = read(symbol, each, plan.start, plan.end)
        require(one, needs.warm_up if each is interval else 0, _span(plan), _hint(plan, symbol, each))
        doubts.check_prices(one)
        series.append(one)
    series += [_rate(plan, read, interval, currency) for currency in sorted(plan.rates)]
    tell("read", 1.0)
    own = {symbol: _own(series, symbol, interval) for symbol in symbols}
    acts = {symbol: _cuts(plan, symbol, own[symbol], calendars[symbol], actions) for symbol in symbols}
    conditions = assumed(plan, own)

    def shown_until(until: int | None) -> Stream:
        kept = {
            (one.symbol, one.interval): one.bars if until is None else one.bars[one.bars["end"] <= until]
            for one in series[: len(wanted)]
        }
        places = currency_places(plan.symbols, conditions, plan.currency)
        rates = {
            places[currency]: one.bars if until is None else one.bars[one.bars["end"] <= until]
            for currency, one in zip(sorted(plan.rates), series[len(wanted) :], strict=True)
            if currency in places
        }
        seen = {symbol: found.seen for symbol, found in acts.items()}
        dealt = {symbol: found.dealt for symbol, found in acts.items()}
        return stream(kept, symbols, interval, calendars, seen, dealt, rates)

    def begin(fresh: bool = False) -> Decisions:
        used = strategy if strategy.ours or not fresh else from_source(strategy.name, strategy.path, strategy.source)
        return Decisions(used, chosen, plan.symbols, interval, loops)

    shown = shown_until(None)
    first = 0 if plan.trade_from is None else int(np.searchsorted(shown.views["start"], plan.trade_from))
    if first >= len(shown.views):
        since = moment(plan.trade_from or 0)
        msg = f"no bar of {plan.symbols[0]} {interval} starts at {since} or later: there is nothing to trade"
        raise DeskError(msg)

    decisions = begin()

    def both(beat: Beat) -> tuple[Outcome, int]:
        beat.where = f"strategy {strategy.name}"

        def ran(share: float, row: int) -> None:
            end = moment(int(shown.views["end"][min(row, len(shown.views) - 1)]))
            beat.go_on(f"strategy {strategy.name}, somewhere after {end},")
            tell("run", share)

        def checked(share: float) -> None:
            beat.go_on(f"strategy {strategy.name}, in the look-ahead check,")
            tell("check", share)

        made = simulate(shown, decisions, conditions, plan.cash, plan.currency, first=first, tell=ran)
        if not plan.look_ahead_check:
            return made, 0
        return made, look_ahead.check(shown, lambda: begin(fresh=True), shown_until, plan.seed, checked)

    if len(shown.views) > PLAIN_MOST:
        # What has to be compiled is compiled here, which may take longer than any strategy.
        simulate(shown.until(1), begin(), conditions, plan.cash, plan.currency, loops=compiled_loops())
    outcome, checked = patiently(both, patience_s, "look for a loop in decide() that has no end")
    tell("report", 0.0)
    notes = [note for symbol in symbols for note in acts[symbol].notes]
    for one in series[: len(wanted)]:
        notes += doubts.notes(one, calendars[one.symbol], acts[one.symbol].seen)
    return _measured(plan, strategy, tuple(series), shown, outcome, conditions, calendars, first, checked, notes)


def _rate(plan: Plan, read: Read, interval: Interval, currency: str) -> Series:
    """Bars of a currency's rate, from some days before the run, so that one is known at its start."""
    symbol = read_symbol(plan.rates[currency])
    start = None if plan.start is None else plan.start - RATE_BEFORE_NS
    one = read(symbol, interval, start, plan.end)
    require(one, 0, _span(plan), f"the rate of {currency} is needed at the run's interval")
    doubts.check_prices(one)
    return one


def assumed(plan: Plan, own: Mapping[Symbol, Series]) -> Conditions:
    """The conditions of a run, with the lot of each symbol."""
    terms = {}
    for symbol, one in own.items():
        lot = plan.lot
        if lot is None and calendar_for(symbol).name == ROUND_THE_CLOCK:
            lot = fractional_lot(float(one.bars["close"][0]))
        given = plan.conditions.of(str(symbol))
        lots = given.lots if lot is None else given.lots.model_copy(update={"lot": lot})
        currency = plan.quoted.get(str(symbol), plan.currency)
        terms[str(symbol)] = given.model_copy(update={"lots": lots, "currency": currency})
    return plan.conditions.model_copy(update={"terms": terms})


class _Acts(NamedTuple):
    """Splits and dividends of one symbol."""

    seen: list[Cut]
    """Taken out of what the strategy sees."""
    dealt: list[Cut]
    """Done to positions."""
    notes: list[str]


def _cuts(plan: Plan, symbol: Symbol, own: Series, calendar: Calendar, ask: Ask) -> _Acts:
    if calendar.name in {ROUND_THE_CLOCK, "24/5"}:
        return _Acts([], [], [])
    known = ask(symbol)
    bars = own.bars
    if known is None:
        note = (
            f"Splits and dividends of {symbol} are not known: the strategy saw prices as they traded, and positions "
            f"were neither split nor paid. `pq actions fetch {symbol}` or `pq actions import FILE` brings them."
        )
        return _Acts([], [], [note])

    def close_before(time: int) -> float | None:
        place = int(np.searchsorted(bars["end"], time, side="right")) - 1
        return float(bars["close"][place]) if place >= 0 else None

    rule = plan.conditions.actions
    until = int(bars["end"][-1]) - 1
    seen = cuts(known, calendar, Adjust(rule.signals), close_before, until)
    every = cuts(known, calendar, Adjust.ALL, close_before, until) if rule.apply else []
    begins = int(bars["start"][0])
    return _Acts([cut for cut in seen if cut.time > begins], [cut for cut in every if cut.time > begins], [])


def _own(series: Sequence[Series], symbol: Symbol, interval: Interval) -> Series:
    return next(one for one in series if one.symbol == symbol and one.interval is interval)


def _check_currencies(plan: Plan) -> None:
    unknown = sorted({*plan.quoted} - {*plan.symbols})
    if unknown:
        msg = f"{unknown[0]} is none of the run's symbols, so its prices need no currency"
        raise DeskError(msg)
    for symbol, other in plan.quoted.items():
        if other != plan.currency and other not in plan.rates:
            msg = (
                f"{symbol} trades in {other} and the account is in {plan.currency}: name the bars of the rate, such as "
                f"--rate {other}=FX:{other}{plan.currency}"
            )
            raise DeskError(msg)


def _span(plan: Plan) -> str:
    parts = [f" from {moment(plan.start)}"] if plan.start is not None else []
    return "".join([*parts, f" to {moment(plan.end)}"] if plan.end is not None else parts)


def _hint(plan: Plan, symbol: Symbol, interval: Interval) -> str:
    if plan.where == "file":
        return "name another file or span"
    return f"`pq sync {symbol} {interval}` or `pq backfill {symbol} --interval {interval}` fetches them"


def _measured(
    plan: Plan,
    strategy: Strategy,
    series: tuple[Series, ...],
    shown: Stream,
    outcome: Outcome,
    conditions: Conditions,
    calendars: Mapping[Symbol, Calendar],
    first: int,
    checked: int,
    notes: list[str],
) -> Run:
    interval = parse_interval(plan.interval)
    clock = all(calendar.name == ROUND_THE_CLOCK for calendar in calendars.values())
    terms = Terms(
        begin=int(shown.views["start"][first]),
        cash=plan.cash,
        periods_per_year=periods_per_year(interval, clock),
        each_mark=interval > Interval.D1,
        days=None if clock else _days(next(iter(calendars.values()))),
    )
    metrics = measure(outcome.curve, outcome.trades, outcome.fills, terms)
    by_symbol = {one.symbol: one.bars for one in series if one.symbol not in shown.symbols}
    rates = {
        plan.symbols.index(symbol): by_symbol[read_symbol(plan.rates[other])]
        for symbol, other in plan.quoted.items()
        if other != plan.currency and read_symbol(plan.rates[other]) in by_symbol
    }
    held = buy_and_hold(shown, outcome.curve, plan.cash, first, rates)
    benchmark = measure(held, np.zeros(0, TRADE), np.zeros(0, FILL), terms)

    def months(curve: Curve) -> dict[str, float]:
        return month_returns(walk(curve, terms.begin, terms.cash, terms.days, terms.each_mark), terms.cash)

    span = [moment(time)[: None if interval.intraday else 10] for time in (metrics.begin, metrics.end)]
    report = Report(
        title=f"{strategy.name} {' '.join(f'{name}={value}' for name, value in plan.parameters.items())}".strip(),
        subtitle=f"{', '.join(plan.symbols)} {interval}, {span[0]} to {span[1]}",
        currency=plan.currency,
        dated=not interval.intraday,
        facts=_facts(plan, strategy, series, outcome, checked),
        assumptions=tuple(conditions.lines(plan.symbols)),
        notes=(*notes, *_refusals(outcome)),
        metrics=metrics,
        curve=outcome.curve,
        months=months(outcome.curve),
        benchmark=benchmark,
        benchmark_equity=held.equity,
        benchmark_months=months(held),
        charts=tuple(
            Chart(one.symbol, str(interval), one.bars)
            for one in series
            if one.interval is interval and one.symbol in shown.symbols
        )[:CHARTS_MAX],
        trades=outcome.trades,
        symbols=shown.symbols,
        hits=tuple(hit_rates(outcome.trades, shown.symbols, intraday=interval.intraday)),
        slips=tuple(slippages(outcome.fills, shown.symbols, intraday=interval.intraday)),
        calibrated=calibration(outcome.trades),
    )
    return Run(plan, strategy, series, shown, outcome, metrics, benchmark, report)


def _days(calendar: Calendar) -> Days:
    start, place = np.unique(calendar.day_start * MINUTE_NS, return_index=True)
    return Days(start, calendar.day[place])


def _facts(
    plan: Plan, strategy: Strategy, series: tuple[Series, ...], outcome: Outcome, checked: int
) -> tuple[tuple[str, str], ...]:
    mode = "compiled" if outcome.mode == "compiled" else f"plain Python: {outcome.why_plain}"
    return (
        ("strategy", f"{strategy.name}, {'ours' if strategy.ours else 'yours'}"),
        ("source", plan.source_hash),
        ("parameters", ", ".join(f"{name} {value}" for name, value in plan.parameters.items()) or "none"),
        ("decisions", mode),
        *((f"bars of {one.symbol} {one.interval}", f"{len(one.bars):,} from the {one.source}") for one in series),
        ("cash", worded(plan.cash, "money", plan.currency)),
        ("look-ahead check", f"passed at {checked} places" if plan.look_ahead_check else "switched off"),
        ("seed", str(plan.seed)),
    )


def _refusals(outcome: Outcome) -> list[str]:
    """A sentence on each reason for which orders were refused."""
    from trading.records import Reason

    refused = outcome.orders[outcome.orders["state"] == State.REJECTED]
    reasons, counts = np.unique(refused["reason"], return_counts=True)
    said = []
    for reason, count in zip(reasons.tolist(), counts.tolist(), strict=True):
        orders = "order was" if count == 1 else "orders were"
        said.append(f"{count:,} {orders} refused: {Reason(reason)}; orders.csv says which, and by which value.")
    return said
