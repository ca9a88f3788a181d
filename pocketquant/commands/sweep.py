"""`pq sweep`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from market.errors import DeskError
from pocketquant import backtests, options, run_options
from pocketquant.commands import walking
from pocketquant.commands.backtest import condition_options
from pocketquant.output import note
from pocketquant.progress import progress

if TYPE_CHECKING:
    from backtest.sweep_desk import Swept
    from infra.settings import Settings

STEPS: Final = {
    "read": "reading bars",
    "try": "trying combinations",
    "run": "running the best",
    "check": "checking for look-ahead",
    "report": "reporting",
}
SHOWN: Final = 10
"""Candidates in the terminal."""


@click.command(
    epilog=options.example(
        "pq sweep sma-cross --symbol NASDAQ:GOOG --interval 1d --param fast=5:50:5 --param slow=20:200:20",
        "pq sweep bollinger --symbol KRAKEN:BTCUSD --interval 1h --param rule=* --param length=10:100:log8",
        "pq sweep rsi --symbol NASDAQ:GOOG --interval 1d --param length=2:50 --search tpe --trials 200",
        "pq sweep donchian --symbol KRAKEN:BTCUSD --interval 1h --param enter=20:100:20 --walk-forward rolling",
        "pq sweep --from goog/manifest.json",
    )
)
@click.argument("strategy", required=False)
@run_options.span_options
@click.option(
    "--param", "given", multiple=True, metavar="NAME=VALUES",
    help="What to try: 5,10,20 or 5:50:5 or 5:500:log8 or 5:50, * for all there is; or one value. Repeatable.",
)  # fmt: skip
@click.option(
    "--search", type=click.Choice(["grid", "random", "tpe"]), default="grid", show_default=True,
    help="All combinations, some by chance, or some near those that did well.",
)  # fmt: skip
@click.option(
    "--trials", type=click.IntRange(min=1), default=100, show_default=True, help="How many random and tpe try."
)
@click.option("--metric", default="sharpe", show_default=True, help="The figure that they are ranked by.")
@click.option(
    "--least-trades", type=click.IntRange(min=0), default=1, show_default=True,
    help="Trades that the best must have made.",
)  # fmt: skip
@walking.walk_options
@click.option("--jobs", type=click.IntRange(min=1), help="Cores to use  [default: all]")
@run_options.account_options
@condition_options
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of all that is drawn by chance."
)
@click.option("--no-look-ahead-check", is_flag=True, help="Do not repeat the best's decisions with later bars hidden.")
@click.option(
    "--from", "manifest", type=click.Path(exists=True, path_type=Path),
    help="Make a sweep again from its manifest, and say what has changed.",
)  # fmt: skip
@click.option(
    "--output",
    metavar="DIR",
    help="Folder or s3://bucket/prefix of the files  [default: a folder among the desk's runs]",
)
@click.option("--json", "as_json", is_flag=True, help="The best and its figures as JSON.")
@options.desk_options
def sweep(
    strategy: str | None,
    *,
    walk_forward: str | None,
    train: str | None,
    test: str | None,
    given: tuple[str, ...],
    search: str,
    trials: int,
    metric: str,
    least_trades: int,
    jobs: int | None,
    seed: int,
    no_look_ahead_check: bool,
    manifest: Path | None,
    output: str | None,
    as_json: bool,
    data_dir: Path | None,
    config: Path | None,
    **run: Any,
) -> int:
    """Try combinations of STRATEGY's parameters on all cores, and say which did best and whether that is luck.

    Parameters without --param keep their defaults. The best is run in full, as pq backtest runs it.
    """
    settings = options.settings(data_dir, config)
    how = walking.wanted_walk(walk_forward, train, test)
    if manifest is not None:
        run_options.check_manifest_alone("jobs")
        return _again(settings, backtests.manifest_path(manifest), output, jobs, as_json)
    if strategy is None or not run["symbols"] or run["interval"] is None:
        msg = "a sweep needs a STRATEGY, --symbol, --interval and --param, or --from a manifest"
        raise click.UsageError(msg)
    zone = run["zone"]
    fields = run_options.plan_fields(run) | {"seed": seed, "look_ahead_check": not no_look_ahead_check}

    from infra.kept_schedules import keep_in

    keep_in(settings.folders.cache)
    from backtest.searching import begin_search
    from backtest.space import read_space
    from backtest.sweep import check_metric
    from backtest.sweep_desk import sweep_planned

    looked_for = {
        "search": search, "trials": trials, "metric": metric, "least_trades": least_trades, "seed": seed,
    }  # fmt: skip
    try:
        plan, hunt, found = sweep_planned(
            strategy, settings.strategies, backtests.parameters(given), looked_for, **fields
        )
        check_metric(metric)
        begin_search(read_space(found, hunt.space), found, hunt.search, trials, seed)
    except DeskError as error:
        raise click.UsageError(str(error)) from error
    if how is not None:
        walking.walk(settings, plan, hunt, how, found, output, zone, jobs, as_json)
        return 0
    from pocketquant.sweeps import sweep_run

    with progress(STEPS) as tell:
        done = sweep_run(settings, plan, hunt, found, output, zone, jobs, tell)
    _say(done, as_json)
    return 0


def _again(settings: "Settings", path: Path, output: str | None, jobs: int | None, as_json: bool) -> int:
    """Make a sweep again, and hold it against its manifest."""
    from zoneinfo import ZoneInfo

    from backtest.output import changes, plan_of, read_manifest
    from backtest.sweep_output import hunt_of
    from backtest.walk_output import KIND as OF_WALK
    from pocketquant.sweeps import sweep_run
    from strategies.loader.files import find

    before = read_manifest(path)
    if before.get("kind") == OF_WALK:
        return walking.walk_again(settings, path, output, jobs, as_json)
    plan, hunt = plan_of(before), hunt_of(before)
    strategy = find(plan.strategy, settings.strategies)
    plan = plan.model_copy(update={"source_hash": strategy.source_hash})
    with progress(STEPS) as tell:
        done = sweep_run(
            settings, plan, hunt, strategy, output or str(path.parent / "again"), ZoneInfo(plan.zone), jobs, tell
        )
    _say(done, as_json)
    changed = changes(before, done.made.manifest)
    for sentence in changed:
        note(f"changed: {sentence}")
    if not changed:
        note(f"the same to the byte as {path}")
    return 1 if changed else 0


def _say(done: "Swept", as_json: bool) -> None:
    """The best on standard output, the rest beside it."""
    from backtest.sweep_output import sweep_document

    report = done.report
    if as_json:
        document = {"run": done.made.run, "folder": done.place.where, **sweep_document(done.sweep, report)}
        click.echo(json.dumps(document, allow_nan=False))
    else:
        click.echo(f"{report.title}\n{report.subtitle}\n")
        _table(done)
        if report.maps:
            from pocketquant.heat import heat_in_terminal

            heat_in_terminal(report)
    note(report.lucky)
    for sentence in report.notes:
        note(sentence)
    note(f"run {done.made.run}: report.html and the other files are in {done.place.where}, the best's own in best")


def _table(done: "Swept") -> None:
    """The best candidates."""
    from backtest.sweep_report import cells, heads

    report = done.report
    head = heads(report)
    rows = [cells(report, place) for place in range(min(SHOWN, len(report.rows)))]
    widths = [max(len(line[place]) for line in [head, *rows]) for place in range(len(head))]
    for line in [head, *rows]:
        click.echo("  ".join(f"{text:>{width}}" for text, width in zip(line, widths, strict=True)).rstrip())
    left = report.ranked - len(rows)
    if left:
        click.echo(f"and {left:,} more, in results.csv")
