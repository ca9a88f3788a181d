"""`pq backtest` and `pq report`."""

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from market.errors import DeskError
from pocketquant import backtests, options, run_options
from pocketquant.output import Format, Kind, Records, note
from pocketquant.progress import progress

if TYPE_CHECKING:
    from backtest.on_desk import Done
    from infra.settings import Settings

_STEPS: Final = {"read": "reading bars", "run": "running", "check": "checking for look-ahead", "report": "reporting"}

RUNS: Final[dict[str, Kind]] = {
    "run": "text",
    "kind": "text",
    "made_at": "time",
    "strategy": "text",
    "parameters": "text",
    "symbols": "text",
    "interval": "text",
    "begin": "time",
    "end": "time",
    "total_return": "float",
    "sharpe": "float",
    "drawdown_max": "float",
    "trades": "int",
    "folder": "text",
}

_COSTS: Final = (
    click.option("--fees", default="none", show_default=True, help="5bps, 10/25bps (make/take), 0.005/share, kraken."),
    click.option("--slippage", default="none", show_default=True, help="5bps, 0.02 (a spread), 10%volume, or with +."),
    click.option("--lot", type=float, help="Smallest size  [default: 1; of what never closes, a fraction]"),
    click.option("--tick-size", type=float, default=0.0, help="Smallest step of prices."),
    click.option("--minimum", type=float, default=0.0, help="Smallest value of an order."),
    click.option("--leverage", type=float, default=1.0, show_default=True, help="Gross exposure over equity."),
    click.option("--long-only", is_flag=True, help="Hold no short positions."),
    click.option("--borrow", type=float, default=0.0, help="Percent a year on short positions."),
    click.option("--funding", type=float, default=0.0, help="Percent of a position every 8 hours; long pays."),
    click.option("--interest", type=float, default=0.0, help="Percent a year on borrowed cash."),
    click.option("--flat", is_flag=True, help="Hold nothing after the session's last close."),
)
_OF_BARS: Final = (
    click.option(
        "--fill", type=click.Choice(["open", "close"]), default="open", show_default=True,
        help="Market orders fill at the next open, or at the close they are decided on.",
    ),
    click.option(
        "--signals", type=click.Choice(["all", "splits", "none"]), default="all", show_default=True,
        help="What is taken out of the prices that the strategy sees.",
    ),
)  # fmt: skip
_LIMITS: Final = (
    click.option("--max-position", type=float, help="Value of one position as a multiple of equity."),
    click.option("--max-exposure", type=float, help="Gross value of all positions as a multiple of equity."),
    click.option("--max-daily-loss", type=float, help="Fraction lost in a session after which no risk is taken."),
    click.option("--max-drawdown", type=float, help="Fraction lost from the peak after which no risk is taken."),
    click.option("--max-orders", type=click.IntRange(min=0), default=0, help="Orders a minute  [default: any number]"),
    click.option("--flatten-on-loss", is_flag=True, help="A loss limit that is reached closes all positions, too."),
    click.option("--partial-bars", is_flag=True, help="Decide on bars that were built across an outage, too."),
)
_LIVE: Final = (
    click.option(
        "--max-late", type=click.IntRange(0, 86_400), default=60, show_default=True,
        help="Seconds after its end at which a bar that comes to be known is too old to trade on.",
    ),
)  # fmt: skip


def condition_options(command: options.Command) -> options.Command:
    """Add what a run on bars takes for granted."""
    for option in reversed((*_COSTS, *_OF_BARS, *_LIMITS)):
        command = option(command)
    return command


def live_condition_options(command: options.Command) -> options.Command:
    """Add what a run on ticks takes for granted: they fill as they come, and bars may come late."""
    for option in reversed((*_COSTS, *_LIMITS, *_LIVE)):
        command = option(command)
    return command


@click.command(
    epilog=options.example(
        "pq backtest sma-cross --symbol NASDAQ:GOOG --interval 1d --param fast=10 --param slow=30",
        "pq backtest sma-cross --symbol NASDAQ:GOOG --interval 1d --file GOOG.csv --output goog",
        "pq backtest donchian --symbol KRAKEN:BTCUSD --interval 1h --fees kraken --slippage 2bps",
        "pq backtest --from goog/manifest.json",
    )
)
@click.argument("strategy", required=False)
@run_options.span_options
@click.option("--today", is_flag=True, help="Trade in the session of today alone; bars before it warm the strategy up.")
@click.option("--param", "given", multiple=True, metavar="NAME=VALUE", help="A parameter of the strategy; repeatable.")
@run_options.account_options
@click.option(
    "--fills", "filled_by", type=click.Choice(["bars", "ticks"]), default="bars", show_default=True,
    help="What fills orders: the bars, or the ticks that the desk journaled, on bars as they were known then.",
)  # fmt: skip
@condition_options
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of all that is drawn by chance."
)
@click.option(
    "--monte-carlo",
    "draws",
    type=click.IntRange(0, 100_000),
    default=1_000,
    show_default=True,
    help="How often the trades are drawn anew, to see what else they might have come to; 0 for not at all.",
)
@click.option("--no-look-ahead-check", is_flag=True, help="Do not repeat the decisions with later bars hidden.")
@click.option(
    "--from", "manifest", type=click.Path(exists=True, path_type=Path),
    help="Make a run again from its manifest, and say what has changed.",
)  # fmt: skip
@click.option(
    "--output",
    metavar="DIR",
    help="Folder or s3://bucket/prefix of the files  [default: a folder among the desk's runs]",
)
@click.option("--json", "as_json", is_flag=True, help="The figures as JSON.")
@options.desk_options
def backtest(
    strategy: str | None,
    *,
    today: bool,
    given: tuple[str, ...],
    filled_by: str,
    seed: int,
    draws: int,
    no_look_ahead_check: bool,
    manifest: Path | None,
    output: str | None,
    as_json: bool,
    data_dir: Path | None,
    config: Path | None,
    **run: Any,
) -> int:
    """Run STRATEGY on history, and write trades, orders, equity, figures and a report.

    Decided on a bar's close, filled at the next bar's open; all equity, no fees, no slippage and no leverage unless
    told.
    """
    settings = options.settings(data_dir, config)
    symbols, interval, zone = run["symbols"], run["interval"], run["zone"]
    if manifest is not None:
        run_options.check_manifest_alone()
        return _again(settings, backtests.manifest_path(manifest), output, as_json)
    if strategy is None or not symbols or interval is None:
        msg = "a backtest needs a STRATEGY, --symbol and --interval, or --from a manifest"
        raise click.UsageError(msg)
    if today and (run["start"] is not None or run["end"] is not None):
        msg = "--today goes with neither --start nor --end"
        raise click.UsageError(msg)
    fields = run_options.plan_fields(run)
    if filled_by == "ticks" and fields["where"] != "store":
        msg = "--fills ticks takes the desk's own bars and ticks: it goes with neither --file nor --archive"
        raise click.UsageError(msg)

    from infra.kept_schedules import keep_in

    keep_in(settings.folders.cache)
    from backtest.on_desk import planned

    fields |= {
        "filled_by": filled_by,
        "seed": seed,
        "look_ahead_check": not no_look_ahead_check,
        "monte_carlo": draws,
    }
    try:
        plan, found = planned(strategy, settings.strategies, backtests.parameters(given), **fields)
    except DeskError as error:
        raise click.UsageError(str(error)) from error
    if today:
        import time

        warm_up = found.needs(found.read_parameters(plan.parameters)).warm_up
        begin, opened = backtests.today(symbols[0], interval, warm_up, time.time_ns())
        plan = plan.model_copy(update={"start": begin, "trade_from": opened})
    with progress(_STEPS) as tell:
        done = backtests.run_planned(settings, plan, found, output, zone, tell)
    _say(done, as_json)
    return 0


def _again(settings: "Settings", path: Path, output: str | None, as_json: bool) -> int:
    """Make a run again, and hold it against its manifest."""
    from zoneinfo import ZoneInfo

    from backtest.on_desk import rerun
    from backtest.output import changes, plan_of, read_manifest

    before = read_manifest(path)
    if "hunt" in before:
        msg = f"{path} is the manifest of a sweep: `pq sweep --from` makes it again, and its best run is in best"
        raise click.UsageError(msg)
    plan = plan_of(before)
    now_plan, strategy = rerun(plan, settings.strategies)
    with progress(_STEPS) as tell:
        done = backtests.run_planned(
            settings, now_plan, strategy, output or str(path.parent / "again"), ZoneInfo(plan.zone), tell
        )
    _say(done, as_json)
    changed = changes(before, done.made.manifest)
    for sentence in changed:
        note(f"changed: {sentence}")
    if not changed:
        note(f"the same to the byte as {path}")
    return 1 if changed else 0


def _say(done: "Done", as_json: bool) -> None:
    """The figures on standard output, the rest beside it."""
    from backtest.output import metrics_document
    from backtest.report import SECTIONS, luck_lines, worded

    run = done.run
    if as_json:
        document = {"run": done.made.run, "folder": done.place.where, **metrics_document(run)}
        click.echo(json.dumps(document, allow_nan=False))
    else:
        report = run.report
        click.echo(f"{report.title}\n{report.subtitle}\n")
        width = max(len(label) for _, rows in SECTIONS for _, label, _ in rows)
        for _, rows in SECTIONS:
            for name, label, form in rows:
                click.echo(f"{label:<{width}}  {worded(getattr(report.metrics, name), form, report.currency):>18}")
    for sentence in (*run.report.notes, *luck_lines(run.report)):
        note(sentence)
    note(f"run {done.made.run}: report.html and the other files are in {done.place.where}")


@click.command(
    epilog=options.example("pq report", "pq report 1a2b3c", "pq report goog/manifest.json", "pq report 1a2b3c --json")
)
@click.argument("run", required=False)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="So many runs, without RUN.")
@options.output_options
@options.desk_options
def report(
    run: str | None,
    *,
    limit: int,
    form: Format | None,
    as_json: bool,
    output: Path | None,
    data_dir: Path | None,
    config: Path | None,
) -> None:
    """The runs that were made, newest first; or the report of one: its id, the begin of it, or its folder."""
    settings = options.settings(data_dir, config)
    picked = options.chosen(form, as_json, output)
    if run is None:
        _list(settings, limit, form, as_json, output)
        return
    folder = _folder(settings, run)
    if picked == "json":
        text = _content(settings, folder, "metrics.json")
    elif picked == "csv":
        # Of a sweep rather all candidates than the trades of one.
        text = _content(settings, folder, "results.csv", "trades.csv")
    elif output is not None and output.suffix.lower() in {".html", ".htm"}:
        text = _content(settings, folder, "report.html")
    else:
        text = _content(settings, folder, "report.md")
    if output is None:
        click.echo(text, nl=False)
        note(f"the files are in {folder}: report.html is the whole of it")
        return
    from pocketquant.output import aside

    with aside(output) as path:
        path.write_text(text, encoding="utf-8")


def _list(settings: "Settings", limit: int, form: Format | None, as_json: bool, output: Path | None) -> None:
    rows = []
    if settings.folders.history.is_file():
        from sinks.run_book import RunBook

        with RunBook(settings.folders.history) as book:
            for one in book.runs(limit):
                words = " ".join(f"{name}={value}" for name, value in one.parameters.items())
                figures = [one.metrics.get(name) for name in ("total_return", "sharpe", "drawdown_max", "trades")]
                rows.append(
                    (
                        one.run, one.kind, one.made_at, one.strategy, words, " ".join(one.symbols), one.interval,
                        one.begin, one.end, *figures, one.folder,
                    )
                )  # fmt: skip
    options.deliver(Records(RUNS, rows, empty="no run was made yet: `pq backtest` makes one"), form, as_json, output)


def _folder(settings: "Settings", run: str) -> str:
    """Where a run's files are."""
    path = Path(run)
    if path.name == "manifest.json" and path.is_file():
        return str(path.parent)
    if (path / "manifest.json").is_file():
        return str(path)
    found = []
    if settings.folders.history.is_file():
        from sinks.run_book import RunBook

        with RunBook(settings.folders.history) as book:
            found = book.find(run)
    if not found:
        msg = f"no run {run!r}: `pq report` lists them, and a folder with a manifest.json is one too"
        raise click.UsageError(msg)
    if len(found) > 1:
        msg = f"run {run!r} may be {' or '.join(one.run for one in found[:4])}: write more of it"
        raise click.UsageError(msg)
    return found[0].folder


def _content(settings: "Settings", folder: str, *names: str) -> str:
    """The first of these files that there is."""
    from history.desk import HistoryDesk

    with HistoryDesk(settings) as desk:
        place = desk.place(folder, Path(folder))
        for name in names:
            with suppress(FileNotFoundError):
                return place.read(name).decode()
    msg = f"{names[-1]} is not in {folder} any more: `pq backtest` makes the run again"
    raise DeskError(msg)
