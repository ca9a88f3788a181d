"""One run from its plan to its report: read, checked, simulated, checked for look-ahead, measured."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from backtest import look_ahead
from backtest.account_kernels import compiled_loops
from backtest.benchmark import buy_and_hold
from backtest.buckets import calibration, hit_rates, slippages
from backtest.curve import Curve, Walk, walk
from backtest.luck import odds
from backtest.metrics import Metrics, measure, month_returns, period_returns
from backtest.monte_carlo import monte_carlo
from backtest.patience import PATIENCE_S, Beat, patiently
from backtest.plan import Plan
from backtest.preparing import Acts, Ask, Prepared, Read, prepare
from backtest.reading import Series
from backtest.report import Chart, Report, moment, worded
from backtest.simulating import PLAIN_MOST, Decisions, Outcome, simulate
from backtest.stream import Stream
from backtest.ticks import Ticks
from market.errors import DeskError
from market.spelling import read_symbol
from strategies.interface import StrategyError
from strategies.loader.files import Strategy, from_source
from trading.records import FILL, TRADE, State

Tell = Callable[[str, float], None]
"""Told a step (`read`, `run`, `check`, `report`) and how much of it is done, 0 to 1."""

CHARTS_MAX: Final = 8


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
    acts: Mapping[str, Acts]
    """Splits and dividends, by symbol."""
    ticks: Ticks | None = None
    """Those that filled it; None where bars did."""


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
    chosen = strategy.read_parameters(plan.parameters)
    prepared = prepare(plan, strategy.needs(chosen), read, actions=actions, tell=tell)
    conditions = prepared.conditions

    def begin(fresh: bool = False) -> Decisions:
        used = strategy if strategy.ours or not fresh else from_source(strategy.name, strategy.path, strategy.source)
        return Decisions(used, chosen, plan.symbols, prepared.interval, loops)

    shown = prepared.shown()
    first = prepared.first(shown)
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

        def looked() -> int:
            if not plan.look_ahead_check:
                return 0
            return look_ahead.check(shown, lambda: begin(fresh=True), prepared.shown, plan.seed, checked)

        try:
            made = simulate(shown, decisions, conditions, plan.cash, plan.currency, first=first, tell=ran)
        except StrategyError:
            raise
        except DeskError:
            # Who sees tomorrow's prices is soon richer than can be counted: then that is what has to be said.
            looked()
            raise
        return made, looked()

    if len(shown.views) > PLAIN_MOST:
        # What has to be compiled is compiled here, which may take longer than any strategy.
        simulate(shown.until(1), begin(), conditions, plan.cash, plan.currency, loops=compiled_loops())
    outcome, checked = patiently(both, patience_s, "look for a loop in decide() that has no end")
    tell("report", 0.0)
    return measured(prepared, strategy, shown, outcome, first, checked)


def measured(
    prepared: Prepared,
    strategy: Strategy,
    shown: Stream,
    outcome: Outcome,
    first: int,
    checked: int,
) -> Run:
    """Measure what came of a run, and say it.

    Args:
        prepared: What it was made of; its plan has the parameters.
        strategy: That decided.
        shown: The bars.
        outcome: Of the run.
        first: Row from which on was traded.
        checked: Moments at which was looked for a look ahead.
    """
    plan, series, interval, conditions = prepared.plan, prepared.series, prepared.interval, prepared.conditions
    terms = prepared.terms(shown, first)
    metrics = measure(outcome.curve, outcome.trades, outcome.fills, terms)
    by_symbol = {one.symbol: one.bars for one in series if one.symbol not in shown.symbols}
    rates = {
        plan.symbols.index(symbol): by_symbol[read_symbol(plan.rates[other])]
        for symbol, other in plan.quoted.items()
        if other != plan.currency and read_symbol(plan.rates[other]) in by_symbol
    }
    held = buy_and_hold(shown, outcome.curve, plan.cash, first, rates)
    benchmark = measure(held, np.zeros(0, TRADE), np.zeros(0, FILL), terms)

    def walked_along(curve: Curve) -> Walk:
        return walk(curve, terms.begin, terms.cash, terms.days, terms.each_mark)

    walked = walked_along(outcome.curve)

    span = [moment(time)[: None if interval.intraday else 10] for time in (metrics.begin, metrics.end)]
    report = Report(
        title=f"{strategy.name} {' '.join(f'{name}={value}' for name, value in plan.parameters.items())}".strip(),
        subtitle=f"{', '.join(plan.symbols)} {interval}, {span[0]} to {span[1]}",
        currency=plan.currency,
        dated=not interval.intraday,
        facts=_facts(plan, strategy, series, outcome, checked),
        assumptions=tuple(conditions.lines(plan.symbols)),
        notes=(*prepared.notes(), *_refusals(outcome)),
        metrics=metrics,
        curve=outcome.curve,
        months=month_returns(walked, terms.cash),
        benchmark=benchmark,
        benchmark_equity=held.equity,
        benchmark_months=month_returns(walked_along(held), terms.cash),
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
        odds=odds(period_returns(walked, terms.cash), terms.periods_per_year),
        drawn=monte_carlo(outcome.trades, plan.cash, plan.monte_carlo, plan.seed),
    )
    acts = {str(symbol): found for symbol, found in prepared.acts.items()}
    return Run(plan, strategy, series, shown, outcome, metrics, benchmark, report, acts)


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
