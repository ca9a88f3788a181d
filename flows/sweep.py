"""The sweep flow: what `pq sweep` does, from a form, with maps of what was found."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field

from flows import artifacts, run_page, run_pictures
from flows.assumed import Assumed
from flows.backtest import Cash, Source, check, check_span, fetch_lacking, told
from flows.forms import Day, IntervalName, SymbolText, day_ns, symbols_of, whose
from flows.running import desk, desk_flow, means, only, part, say, voice
from flows.strategy_forms import StrategyName
from flows.sync import ALL_BARS, Request
from infra.kept_schedules import keep_in

if TYPE_CHECKING:
    from backtest.sweep import Hunt
    from backtest.sweep_desk import Swept
    from history.desk import HistoryDesk
    from trading.plan import Plan

One = bool | int | float | str
Ranges = Annotated[dict[str, One | list[One]], Field(min_length=1, max_length=64)]
Search = Literal["grid", "random", "tpe"]
MetricName = Literal[
    "sharpe",
    "sortino",
    "calmar",
    "total_return",
    "cagr",
    "sqn",
    "profit_factor",
    "expectancy",
    "expectancy_return",
    "win_rate",
    "payoff",
    "kelly",
    "volatility",
    "drawdown_max",
    "drawdown_mean",
    "drawdown_days_max",
]
Trials = Annotated[int, Field(ge=1, le=100_000)]
Jobs = Annotated[int, Field(ge=1, le=256)]

EXAMPLE: Final = {"fast": "5:50:5", "slow": "20:200:20"}
"""What the form is filled with."""
MAPS_DRAWN: Final = 3
TITLE_PARTS: Final = 2
"""Paragraphs of the report's text that the page has in words of its own: title and subtitle."""


@part("sweep {name}")
def sweep_one(name: str, plan: "Plan", hunt: "Hunt", jobs: int | None, output: str) -> "Swept":
    """Try all that is to be tried, write the files, and note the sweep."""
    from backtest.sweep_desk import sweep_on
    from strategies.loader.files import find

    run = means()
    # The strategy does not come with the task: Prefect would look into it.
    strategy = find(plan.strategy, run.desk.settings.strategies)
    done = sweep_on(
        run.desk,
        run.desk.folders,
        plan,
        hunt,
        strategy,
        check,
        run.desk.now_ns(),
        address=output or None,
        jobs=jobs,
        tell=told(voice(), name),
    )
    for sentence in done.report.notes:
        say(sentence)
    return done


@desk_flow("sweep", lambda given: f"sweep {given['strategy']} {whose(given)} {given['interval']}")
def sweep(
    strategy: StrategyName,
    symbols: Annotated[list[SymbolText], Field(min_length=1)],
    parameters: Ranges,
    interval: IntervalName = "1d",
    search: Search = "grid",
    trials: Trials = 100,
    metric: MetricName = "sharpe",
    least_trades: Annotated[int, Field(ge=0)] = 1,
    start: Day | None = None,
    end: Day | None = None,
    cash: Cash = 10_000.0,
    where: Source = "store",
    fetch: bool = True,
    jobs: Jobs | None = None,
    seed: int = 1,
    output: str = "",
    assumed: Assumed = Assumed(),  # noqa: B008  # Frozen; a form shows it.
) -> str:
    """Many combinations of a strategy's parameters on the same bars: which did best, and whether that is luck.

    On all cores. The best is run in full, with the look-ahead check; the artifact has maps of all of them, and links to
    its page. Its figures are of the bars that it was chosen on: a walk-forward says what becomes of them.

    Args:
        strategy: Ours or your own; the deployment's description says what each does.
        symbols: EXCHANGE:TICKER each.
        parameters: What to try of each: "5:50:5" from 5 to 50 in steps of 5, [5, 10, 20] these, "5:500:log8" 8 values
            at equal ratios, "*" all that there are. What is not named has its default.
        interval: Length of the bars.
        search: All combinations, some by chance, or where the best were so far (tpe).
        trials: Combinations that random and tpe try.
        metric: What the best is the best by.
        least_trades: A combination with fewer trades is never the best.
        start: First day, UTC. None: from the oldest bar that is held.
        end: The day after the last one, UTC. None: up to now.
        cash: To begin with.
        where: Bars of the store, or of the archive.
        fetch: Have series of which the store has too few bars synced first.
        jobs: Cores to use. None: all there are.
        seed: Of what is drawn.
        output: Folder or s3://bucket/prefix of the files. Empty: a folder among the desk's runs.
        assumed: What the runs take for granted.
    """
    with desk() as found:
        plan, hunt = ready(
            found,
            strategy,
            parameters,
            {"search": search, "trials": trials, "metric": metric, "least_trades": least_trades, "seed": seed},
            assumed,
            symbols=symbols,
            start=start,
            end=end,
            fetch=fetch,
            interval=interval,
            cash=cash,
            where=where,
        )
        name = f"{plan.strategy} {' '.join(plan.symbols)} {interval}"
        done = only(sweep_one.submit(name, plan, hunt, jobs, output.strip()))
        artifacts.publish(f"sweep-{plan.strategy}", page(done, found.folders.runs), outcome(done))
    return f"{name}: {outcome(done)}; run {done.made.run}"


def ready(
    found: "HistoryDesk",
    strategy: str,
    space: Mapping[str, Any],
    hunt: Mapping[str, Any],
    assumed: Assumed,
    *,
    symbols: Sequence[str],
    start: date | None,
    end: date | None,
    fetch: bool,
    **rest: Any,
) -> "tuple[Plan, Hunt]":
    """What a form asks for, with the bars for it in the store if they are to be fetched.

    Args:
        found: The desk.
        strategy: Its name.
        space: What to try, by parameter.
        hunt: The other fields of `Hunt`.
        assumed: The form's card.
        symbols: As texts.
        start: First day.
        end: The day after the last one.
        fetch: Whether series with too few bars are synced.
        rest: Other fields of the plan.

    Raises:
        DeskError: Something is wrong, or nobody gives the bars.
    """
    from backtest.sweep_desk import sweep_planned

    keep_in(found.folders.cache)
    check_span(start, end)
    plan, wanted, strategy_found = sweep_planned(
        strategy,
        found.settings.strategies,
        space,
        hunt,
        symbols=[str(one) for one in symbols_of(symbols)],
        start=day_ns(start),
        end=day_ns(end),
        lot=assumed.lot,
        conditions=assumed.conditions(),
        seed=hunt["seed"],
        **rest,
    )
    if fetch and plan.where == "store":
        request = Request(ALL_BARS if start is None else None, plan.start, plan.end)
        fetch_lacking(found, plan, strategy_found, request)
    return plan, wanted


def page(done: "Swept", runs: Path) -> str:
    """A sweep as Markdown.

    Args:
        done: The sweep and where its files are.
        runs: Folder of the desk's runs; files elsewhere have no links.
    """
    from backtest.sweep_md import sweep_markdown

    report = done.report
    below = sweep_markdown(report).split("\n\n", TITLE_PARTS)[TITLE_PARTS]
    parts = [
        f"### {report.title}",
        report.subtitle,
        f"**{outcome(done)}**",
        run_page.links(done.made, done.place, runs),
        *_maps(done),
        artifacts.picture(run_pictures.equity(report.best), "the best: equity, and buy and hold; drawdown"),
    ]
    return "\n\n".join([*parts, below])


def outcome(done: "Swept") -> str:
    """What came of a sweep, in a line."""
    from backtest.space import worded

    names = [axis.name for axis in done.sweep.space.axes]
    best = worded(done.sweep.plan.parameters, names) or "the defaults"
    tried = len(done.sweep.candidates.parameters)
    return f"the best of {tried:,} is {best}: {run_page.outcome(done.sweep.run)}"


def _maps(done: "Swept") -> list[str]:
    from backtest.sweep import METRICS
    from backtest.sweep_report import label

    report, found = done.report, list[str]()
    title = label(report.metric)
    for one in report.maps[:MAPS_DRAWN]:
        figure = run_pictures.grid(
            one.rows,
            one.columns,
            one.values,
            title,
            "{:.2f}",
            good=METRICS[report.metric],
            axes=(one.x, one.y),
        )
        found.append(artifacts.picture(figure, f"{title} by {one.x} and {one.y}"))
    if not report.maps:
        for alone in report.profiles:
            lines: list[tuple[str, Any]] = [(title, alone.best)]
            figure = run_pictures.curves(alone.labels, lines, f"{title} by {alone.name}")
            found.append(artifacts.picture(figure, f"{title} by {alone.name}"))
    return found
