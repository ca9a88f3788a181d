"""The backtest flow: what `pq backtest` does, from a form, with the report as an artifact."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from typing import TYPE_CHECKING, Annotated, Final, Literal, cast

from pydantic import Field

from flows import artifacts, run_page
from flows.assumed import Assumed
from flows.forms import Day, IntervalName, SymbolText, day_ns, symbols_of, whose
from flows.journaled import journaled
from flows.running import check_parts, desk, desk_flow, gathered, means, only, part, say, settings, voice
from flows.strategy_forms import ParameterValues, StrategyName
from flows.sync import ALL_BARS, Request, sync_some
from history.books import StoppedError
from infra.kept_schedules import keep_in
from market.errors import DeskError
from market.intervals import Interval, parse_interval
from market.symbols import Symbol

if TYPE_CHECKING:
    from backtest.on_desk import Done
    from backtest.reading import Checked
    from backtest.stream import Bars
    from history.desk import HistoryDesk
    from strategies.loader.files import Strategy
    from trading.plan import Plan

Cash = Annotated[float, Field(ge=1, le=1e12)]
Source = Literal["store", "archive"]

_STEPS: Final = {
    "read": "reading bars",
    "try": "trying",
    "run": "running",
    "check": "checking for look-ahead",
    "report": "reporting",
}
TELL_S: Final = 10.0
"""A line in the log is a row in Prefect's database: one in this time is enough to see it move."""


@part("run {name}")
def run_one(name: str, plan: "Plan", output: str) -> "Done":
    """Run a plan, write its files, and note it."""
    from backtest.on_desk import rerun, run_on

    run = means()
    folders = run.desk.folders
    # The strategy does not come with the task: Prefect would look into it.
    now, strategy = rerun(plan, run.desk.settings.strategies)
    with ExitStack() as open_too:
        held = open_too.enter_context(journaled(run.desk)) if plan.filled_by == "ticks" else None
        done = run_on(
            run.desk,
            folders,
            now,
            strategy,
            check,
            run.desk.now_ns(),
            address=output or None,
            journaled=held,
            tell=told(voice(), name),
        )
    for sentence in done.run.report.notes:
        say(sentence)
    return done


@desk_flow("backtest", lambda given: f"{given['strategy']} {whose(given)} {given['interval']}")
def backtest(
    strategy: StrategyName,
    symbols: Annotated[list[SymbolText], Field(min_length=1)],
    interval: IntervalName = "1d",
    parameters: ParameterValues = {},  # noqa: B006  # Never changed; a form shows it.
    start: Day | None = None,
    end: Day | None = None,
    cash: Cash = 10_000.0,
    where: Source = "store",
    fetch: bool = True,
    filled_by: Literal["bars", "ticks"] = "bars",
    look_ahead_check: bool = True,
    monte_carlo: Annotated[int, Field(ge=0, le=100_000)] = 1_000,
    seed: int = 1,
    output: str = "",
    assumed: Assumed = Assumed(),  # noqa: B008  # Frozen; a form shows it.
) -> str:
    """A strategy run on history: trades, equity, figures, and a report worth looking at.

    Decided on a bar's close, filled at the next bar's open; all of the equity, no fees, no slippage and no leverage
    unless told. The report is the run's artifact, and its page opens from there.

    Args:
        strategy: Ours or your own; the deployment's description says what each does.
        symbols: EXCHANGE:TICKER each; a strategy that decides on one runs on each of them with one account.
        interval: Length of the bars.
        parameters: Of the strategy, by name: {"fast": 5, "slow": 20}; what is left out has its default.
        start: First day, UTC. None: from the oldest bar that is held.
        end: The day after the last one, UTC. None: up to now.
        cash: To begin with.
        where: Bars of the store, or of the archive.
        fetch: Have series of which the store has too few bars synced first.
        filled_by: What fills orders: the bars, or the ticks that the desk journaled, on bars as they were known then.
        look_ahead_check: Repeat the decisions with later bars hidden; one that changes is an error.
        monte_carlo: How often the trades are drawn anew, to see what else they might have come to.
        seed: Of the places of the look-ahead check, and of the draws of trades.
        output: Folder or s3://bucket/prefix of the files. Empty: a folder among the desk's runs.
        assumed: What the run takes for granted.
    """
    from backtest.on_desk import planned

    with desk() as found:
        keep_in(found.folders.cache)
        check_span(start, end)
        if filled_by == "ticks" and where != "store":
            msg = "fills by ticks take the desk's own bars and ticks: they go with the store alone"
            raise DeskError(msg)
        plan, ready = planned(
            strategy,
            settings().strategies,
            parameters,
            symbols=[str(one) for one in symbols_of(symbols)],
            interval=interval,
            start=day_ns(start),
            end=day_ns(end),
            cash=cash,
            lot=assumed.lot,
            conditions=assumed.conditions(),
            where=where,
            seed=seed,
            look_ahead_check=look_ahead_check,
            monte_carlo=monte_carlo,
            filled_by=filled_by,
        )
        # What is fetched was never seen live, so ticks could not fill on it.
        if fetch and where == "store" and filled_by == "bars":
            request = Request(ALL_BARS if start is None else None, plan.start, plan.end)
            fetch_lacking(found, plan, ready, request)
        name = f"{plan.strategy} {' '.join(plan.symbols)} {interval}"
        done = only(run_one.submit(name, plan, output.strip()))
        artifacts.publish(
            f"backtest-{plan.strategy}", run_page.page(done, found.folders.runs), run_page.outcome(done.run)
        )
    return f"{name}: {run_page.outcome(done.run)}; run {done.made.run}"


def fetch_lacking(found: "HistoryDesk", plan: "Plan", strategy: "Strategy", request: Request) -> None:
    """Sync the series of a run of which the store has too few bars for the strategy to decide on any.

    Raises:
        DeskError: Nobody gives one of them.
    """
    needs = strategy.needs(strategy.read_parameters(plan.parameters))
    intervals = (parse_interval(plan.interval), *(needs.intervals or ()))
    held = {(one.symbol, one.interval): one.bars for one in found.store.series()}
    # One of those that are held may still form.
    lacking = [
        (symbol, interval)
        for symbol in symbols_of(plan.symbols)
        for interval in dict.fromkeys(intervals)
        if held.get((symbol, interval), 0) <= (needs.warm_up if interval is intervals[0] else 0) + 1
    ]
    named = {f"{symbol} {interval}": [(symbol, interval)] for symbol, interval in lacking}
    done, failed = gathered({name: sync_some.submit(name, jobs, request) for name, jobs in named.items()})
    failed |= {name: why for outcomes in done.values() for name, _, why in outcomes if why}
    check_parts(failed, len(lacking))


def told(tell: Callable[[str], None], name: str) -> Callable[[str, float], None]:
    """Says each step of a run as it begins, how far it is now and then, and ends the run where a user cancels it."""
    stop, last, due = means().stop, "", 0.0

    def telling(step: str, share: float) -> None:
        nonlocal last, due
        if stop.is_set():
            msg = f"{name} was stopped; nothing of it was written"
            raise StoppedError(msg)
        if step != last:
            last, due = step, time.monotonic() + TELL_S
            tell(f"{name}: {_STEPS.get(step, step)}")
        elif time.monotonic() >= due:
            due = time.monotonic() + TELL_S
            tell(f"{name}: {_STEPS.get(step, step)}, {share * 100:.0f} %")

    return telling


def check(rows: "Bars", interval: Interval, symbol: Symbol) -> "Checked":
    """The check of a file's rows, as `pq import` does it."""
    from history.import_checks import check_rows
    from market.sessions import calendar_for

    return cast("Checked", check_rows(rows, interval, calendar_for(symbol), time.time_ns()))


def check_span(start: date | None, end: date | None) -> None:
    """Refuse days that no schema can.

    Raises:
        DeskError: The end is not after the start.
    """
    if start is not None and end is not None and end <= start:
        msg = f"the end {end} is not after the start {start}: give a later end"
        raise DeskError(msg)
