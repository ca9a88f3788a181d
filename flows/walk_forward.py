"""The walk-forward flow: parameters chosen on some bars and tested on those that come next, from a form."""

from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from flows import artifacts, run_page, run_pictures
from flows.assumed import Assumed
from flows.backtest import Cash, Source, check, told
from flows.forms import Day, IntervalName, SymbolText, whose
from flows.running import desk, desk_flow, means, only, part, say, voice
from flows.strategy_forms import StrategyName
from flows.sweep import Jobs, MetricName, Ranges, Search, Trials, ready

if TYPE_CHECKING:
    from backtest.sweep import Hunt
    from backtest.walk_desk import Walked
    from backtest.walk_forward import Walk
    from trading.plan import Plan

How = Literal["rolling", "anchored"]
Length = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[0-9]{1,7}[yYmMwWdD]?$")]

EXAMPLE: Final = {"train": "6m", "test": "2m"}
"""What the form is filled with: the bars that a sync brings are not two years."""


@part("walk {name}")
def walk_one(name: str, plan: "Plan", hunt: "Hunt", walk: "Walk", jobs: int | None, output: str) -> "Walked":
    """Choose and test window after window, write the files, and note it."""
    from backtest.walk_desk import walk_on
    from strategies.loader.files import find

    run = means()
    # The strategy does not come with the task: Prefect would look into it.
    strategy = find(plan.strategy, run.desk.settings.strategies)
    done = walk_on(
        run.desk,
        run.desk.folders,
        plan,
        hunt,
        walk,
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


@desk_flow(
    "walk-forward", lambda given: f"walk-forward {given['strategy']} {whose(given)} {given['interval']} {given['how']}"
)
def walk_forward(
    strategy: StrategyName,
    symbols: Annotated[list[SymbolText], Field(min_length=1)],
    parameters: Ranges,
    interval: IntervalName = "1d",
    how: How = "rolling",
    train: Length = "2y",
    test: Length = "6m",
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
    """What a sweep's best is worth on bars that it has not seen: chosen on some, tested on the next, and so on.

    One account goes through all windows, with the parameters that each chose. The artifact holds what they promised
    against what they kept, window by window.

    Args:
        strategy: Ours or your own; the deployment's description says what each does.
        symbols: EXCHANGE:TICKER each.
        parameters: What each window tries: "5:50:5" from 5 to 50 in steps of 5, [5, 10, 20] these, "5:500:log8" 8
            values at equal ratios, "*" all that there are. What is not named has its default.
        interval: Length of the bars.
        how: Whether each window learns from the time just before it, or all from the first bar on.
        train: How long each learns: 2y, 6m (months), 8w, 90d, or 500 for so many bars.
        test: How long each is tested, likewise.
        search: All combinations, some by chance, or where the best were so far (tpe).
        trials: Combinations that random and tpe try in each window.
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
    from backtest.walk_forward import Walk

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
        walk = Walk(how=how, train=train, test=test)
        name = f"{plan.strategy} {' '.join(plan.symbols)} {interval}"
        done = only(walk_one.submit(name, plan, hunt, walk, jobs, output.strip()))
        artifacts.publish(f"walk-forward-{plan.strategy}", page(done, found.folders.runs), outcome(done))
    return f"{name}: {outcome(done)}; run {done.made.run}"


def outcome(done: "Walked") -> str:
    """What came of a walk-forward, in a line."""
    return f"{len(done.found.windows)} windows: {run_page.outcome(done.found.run)}"


def page(done: "Walked", runs: Path) -> str:
    """A walk-forward as Markdown.

    Args:
        done: The walk-forward and where its files are.
        runs: Folder of the desk's runs; files elsewhere have no links.
    """
    from backtest.report_md import markdown

    report = done.report
    parts = [
        f"### {report.title}",
        report.subtitle,
        f"**{outcome(done)}**",
        run_page.links(done.made, done.place, runs),
        artifacts.picture(run_pictures.equity(report), "equity, and buy and hold; drawdown; windows"),
        artifacts.picture(_windows(done), "Sharpe of each window, learned and tested"),
    ]
    return "\n\n".join([*parts, markdown(report).split("\n\n", 2)[2]])


def _windows(done: "Walked") -> Any:
    from backtest.report import moment

    windows = done.found.windows
    learned = [value if (value := one.learned.get("sharpe")) is not None else nan for one in windows]
    tested = [nan if one.tested is None else one.tested.sharpe for one in windows]
    return run_pictures.pairs(
        [moment(one.fold.test_from)[:10] for one in windows],
        ("learned", learned),
        ("tested", tested),
        "Sharpe of what each window chose, on what it learned from and on what came next",
    )
