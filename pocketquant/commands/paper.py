"""`pq paper`: strategies on live bars with money that is not real: start, stop, and see how they do."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from market.errors import DeskError
from market.intervals import Interval
from market.symbols import Symbol
from pocketquant import backtests, options
from pocketquant.commands.backtest import live_condition_options
from pocketquant.commands.paper_rows import equity, fills, orders, signals, summary, trades
from pocketquant.output import Format, Records, aside, note, write
from pocketquant.watching import keep_showing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.settings import Settings
    from sinks.paper_book import Action, Control, PaperBook, Row

_Result = TypeVar("_Result")

REVIVED: Final = frozenset({"stopped", "flattening", "killed"})
PATIENCE_S: Final = 30.0
"""How long a command waits for what it asked to be taken up: a strategy is compiled before its first start."""
BEGIN_S: Final = 2.0
"""How long it waits for the run that was taken up to be written down."""


@click.group(
    epilog=options.example(
        "pq paper start sma-cross --symbol SIM:BTCUSD --interval 1m --param fast=10 --param slow=30",
        "pq paper status --watch",
        "pq paper trades sma-cross",
        "pq paper stop --flatten",
    )
)
def paper() -> None:
    """Strategies on live bars with money that is not real: each run is an account of its own, kept over restarts."""


@paper.command(
    epilog=options.example(
        "pq paper start sma-cross --symbol SIM:BTCUSD --interval 1m",
        "pq paper start pair --symbol KRAKEN:BTCUSD --symbol KRAKEN:ETHUSD --interval 1h --fees kraken",
        "pq paper start my-first --symbol SIM:ETHUSD --interval 5m --cash 500 --long-only --max-drawdown 0.1",
    )
)
@click.argument("strategy")
@click.option(
    "--symbol", "symbols", type=options.SYMBOL, multiple=True, required=True, help="What is traded; repeatable."
)
@click.option("--interval", type=options.INTERVAL, required=True, help="Length of the bars that it decides on.")
@click.option("--param", "given", multiple=True, metavar="NAME=VALUE", help="A parameter of the strategy; repeatable.")
@click.option("--cash", type=float, default=10_000.0, show_default=True, help="To begin with.")
@click.option("--currency", default="USD", show_default=True, help="Of the account, and of all prices.")
@live_condition_options
@click.option("--again", is_flag=True, help="Start it although the same runs already.")
@options.desk_options
def start(
    strategy: str,
    *,
    symbols: tuple[Symbol, ...],
    interval: Interval,
    given: tuple[str, ...],
    cash: float,
    currency: str,
    again: bool,
    data_dir: Path | None,
    config: Path | None,
    **assumed: Any,
) -> int:
    """Put STRATEGY on paper: it decides on bars as they close, and its orders fill on the ticks after.

    The run's id is the result. It goes on with the strategy as it is now, whatever becomes of its file.
    """
    from pocketquant.paper import asking, runs

    settings = options.existing_desk(data_dir, config)
    for symbol in symbols:
        options.check_exchange(symbol)
    if len(set(symbols)) < len(symbols):
        msg = f"--symbol names one twice: {' '.join(map(str, symbols))}"
        raise click.UsageError(msg)
    lot = assumed.pop("lot")
    made = backtests.live_conditions(assumed, currency.upper())

    from infra.kept_schedules import keep_in

    keep_in(settings.folders.cache)
    now = time.time_ns()
    parameters = backtests.parameters(given)
    asked = _rightly_used(
        lambda: asking.asked(
            settings, strategy, symbols, interval, parameters,
            cash=cash, currency=currency.upper(), lot=lot, conditions=made, now_ns=now,
        )
    )  # fmt: skip
    with runs.open_book(settings, read_only=False) as book:
        body = asked.body
        twin = next(
            (
                row
                for row in runs.all_runs(book, now)
                if row["state"] in {"asked", "running"} and not row["asked"] and asking.same(row["plan"], body["plan"])
            ),
            None,
        )
        if twin is not None and not again:
            msg = (
                f"run {twin['run']} is the same and {'waits' if twin['state'] == 'asked' else 'runs'} already: "
                f"`pq paper stop {twin['run']}` ends it, and --again starts another beside it"
            )
            raise click.UsageError(msg)
        for sentence in asked.notes:
            note(sentence)
        number = book.ask(asked.run, "start", body, now)
        click.echo(asked.run)
        return _tell(settings, book, {number: (asked.run, f"{asked.plan.strategy} is on paper")})


@paper.command(
    epilog=options.example("pq paper stop 3f2a", "pq paper stop sma-cross --flatten", "pq paper stop --flatten")
)
@click.argument("names", metavar="[RUN]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All runs that are running.")
@click.option("--flatten", is_flag=True, help="Close what they hold at the next price, and let nothing new be opened.")
@options.desk_options
def stop(names: tuple[str, ...], *, every: bool, flatten: bool, **desk: Any) -> int:
    """Stop runs (by id, how it begins, or strategy): no new decisions; what they hold stays, unless --flatten.

    --flatten is the kill switch, of all runs if none is named: it stays on over restarts, until `pq paper revive`.
    """
    from pocketquant.paper import runs

    if names and every:
        msg = "name the runs to stop, or all of them by --all; not both"
        raise click.UsageError(msg)
    if not names and not every and not flatten:
        msg = "name the runs to stop, or all of them by --all; `pq paper status` lists them"
        raise click.UsageError(msg)
    settings = options.existing_desk(**desk)
    can = {"asked", "running", "stopped", "failed"} if flatten else {"asked", "running"}
    with _writing(settings) as book:
        held = runs.all_runs(book, time.time_ns())
        if not names:
            # A run that was stopped, or that failed, may still hold something.
            chosen = [
                row
                for row in held
                if row["state"] in can and (row["state"] in {"asked", "running"} or row["positions"])
            ]
            if not chosen:
                note("no run is running")
                return 0
        else:
            chosen = _rightly_used(lambda: [runs.one_of(held, name, can) for name in names])
        for row in chosen:
            if row["state"] not in can:
                msg = f"run {row['run']} ({row['strategy']}) is {row['state']}, so there is nothing to stop"
                raise click.UsageError(msg)
        words = "is being flattened, and its kill switch is on" if flatten else "is stopped"
        return _ask(settings, book, chosen, "flatten" if flatten else "stop", words)


@paper.command(epilog=options.example("pq paper revive 3f2a"))
@click.argument("name", metavar="RUN")
@options.desk_options
def revive(name: str, **desk: Any) -> int:
    """Let a run that was stopped or flattened go on with what it has; the kill switch is taken off."""
    from pocketquant.paper import runs

    settings = options.existing_desk(**desk)
    with _writing(settings) as book:
        row = _rightly_used(lambda: runs.one_of(runs.all_runs(book, time.time_ns()), name, REVIVED))
        if row["state"] == "failed":
            msg = f"run {row['run']} failed ({row['why']}): `pq paper start` puts {row['strategy']} on paper anew"
            raise click.UsageError(msg)
        if row["state"] not in REVIVED:
            msg = f"run {row['run']} ({row['strategy']}) is {row['state']}, so there is nothing to revive"
            raise click.UsageError(msg)
        return _ask(settings, book, [row], "revive", "goes on")


@paper.command(epilog=options.example("pq paper remove 3f2a", "pq paper remove 3f2a --yes"))
@click.argument("name", metavar="RUN")
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.desk_options
def remove(name: str, *, yes: bool, **desk: Any) -> int:
    """Forget a run that has ended, with its trades, orders, fills, decisions and equity."""
    from pocketquant.paper import runs

    settings = options.existing_desk(**desk)
    with _writing(settings) as book:
        row = _rightly_used(lambda: runs.one_of(runs.all_runs(book, time.time_ns()), name, runs.ENDED))
        if row["state"] not in runs.ENDED:
            msg = (
                f"run {row['run']} ({row['strategy']}) is {row['state']}: `pq paper stop {row['run']} --flatten` first"
            )
            raise click.UsageError(msg)
        if not yes:
            options.agreed(f"Forget run {row['run']} ({row['strategy']}) and all that it made?")
        return _ask(settings, book, [row], "forget", "is forgotten")


@paper.command(
    epilog=options.example(
        "pq paper status", "pq paper status 3f2a", "pq paper status --watch", "pq paper status --json"
    )
)
@click.argument("name", metavar="[RUN]", required=False)
@click.option("--watch", is_flag=True, help="Keep showing it, until Ctrl-C.")
@options.output_options
@options.desk_options
def status(
    name: str | None, *, watch: bool, form: Format | None, as_json: bool, output: Path | None, **desk: Any
) -> None:
    """All runs, the newest first, or one with what it holds and takes for granted; JSON has both."""
    from pocketquant.paper import runs

    picked = options.chosen(form, as_json, output)
    if watch and (output is not None or picked == "parquet"):
        msg = "--watch shows runs as they go and goes with neither --output nor --format parquet"
        raise click.UsageError(msg)
    settings = options.existing_desk(**desk)
    with runs.open_book(settings) as book:
        held = runs.all_runs(book, time.time_ns())
        if name is not None:
            held = _rightly_used(lambda: runs.named(held, name))
        if watch:
            ids = None if name is None else {row["run"] for row in held}
            keep_showing(lambda: _records(book, ids), picked, key=1)
        events = runs.last_events(book, held[0]["run"]) if len(held) == 1 else []
    if not runs.paper_up(settings, time.time_ns()):
        note("paper trading does not run now: runs go on where they were once it does, see `pq status`")
    _show(held, events, name, picked, output)


def _show(held: "list[Row]", events: "list[Row]", name: str | None, form: Format, output: Path | None) -> None:
    """Write runs: one that was named as a card, unless a program is to read it."""
    from pocketquant.paper import runs

    if form == "json":
        text = json.dumps([runs.document(row) for row in held], indent=1, allow_nan=False) + "\n"
    elif form == "table" and name is not None and len(held) == 1:
        text = runs.describe(held[0], events, time.time_ns()) + "\n"
    else:
        brief = form == "table" and output is None
        records = _brief(held) if brief else Records(runs.RUNS, [runs.run_values(row) for row in held], empty=NOTHING)
        write(records, form, output)
        return
    if output is None:
        click.echo(text, nl=False)
    else:
        with aside(output) as path:
            path.write_text(text, encoding="utf-8")
    if not held:
        note(NOTHING)


NOTHING: Final = "no paper run was started yet: `pq paper start` starts one"


def _records(book: "PaperBook", ids: set[str] | None) -> Records:
    """Runs for who watches them."""
    from pocketquant.paper import runs

    return _brief([row for row in runs.all_runs(book, time.time_ns()) if ids is None or row["run"] in ids])


def _brief(held: "list[Row]") -> Records:
    """Runs for a terminal."""
    from pocketquant.paper import runs

    columns = {name: runs.RUNS[name] for name in runs.SHOWN}
    return Records(columns, [runs.shown_values(row) for row in held], empty=NOTHING)


def _writing(settings: "Settings") -> "PaperBook":
    """The book to ask in; it is there already, or nothing was ever started.

    Raises:
        click.UsageError: Nothing was.
    """
    from pocketquant.paper import runs

    with runs.open_book(settings) as book:
        if not book.controls():
            raise click.UsageError(NOTHING)
    return runs.open_book(settings, read_only=False)


def _ask(settings: "Settings", book: "PaperBook", rows: "Sequence[Row]", action: "Action", words: str) -> int:
    """Ask the same of several runs, and say what came of it."""
    now = time.time_ns()
    asked = {book.ask(row["run"], action, {}, now): (row["run"], f"{row['strategy']} {words}") for row in rows}
    return _tell(settings, book, asked)


def _tell(settings: "Settings", book: "PaperBook", asked: "dict[int, tuple[str, str]]") -> int:
    """Say what became of controls: done, refused, or waiting and for what."""
    from pocketquant.hold import running_pid
    from pocketquant.paper import runs
    from sinks.doorbell import Doorbell

    with Doorbell(settings.folders.doorbell_paper) as bell:
        # Rows ring with their numbers; 0 is for who asks.
        bell.ring(0)
    up = runs.paper_up(settings, time.time_ns())
    running = up or running_pid(settings.folders) is not None
    answers = runs.answered(book, list(asked), PATIENCE_S if up or (running and settings.paper.enabled) else 0.0)
    refused = 0
    for control in answers:
        run, words = asked[control.number]
        if control.refused:
            refused += 1
            note(f"run {run}: refused: {control.refused}")
        elif control.applied_seq is not None and (why := _failed(book, control)):
            refused += 1
            note(f"run {run}: failed at its start: {why}")
        elif control.applied_seq is not None:
            note(f"run {run}: {words}, from row {control.applied_seq} of the journal on")
        elif not settings.paper.enabled and not up:
            note(f"run {run}: asked; it waits for paper trading, which the setting paper.enabled switches off")
        elif running:
            note(f"run {run}: asked, and not taken up in {PATIENCE_S:g} s; it will be: see `pq status`")
        else:
            note(f"run {run}: asked; the desk is not running, so it waits for the next `pq up`")
    return 1 if refused else 0


def _failed(book: "PaperBook", control: "Control") -> str:
    """Why a run that was started failed on the bars before its first; empty if it did not."""
    from pocketquant.paper import runs

    row = runs.began(book, control.run, BEGIN_S) if control.action == "start" else None
    return row["why"] or "" if row is not None and row["state"] == "failed" else ""


def _rightly_used(do: Callable[[], _Result]) -> _Result:
    """What `do` returns; what it refuses is wrong use."""
    from sinks.bar_store import StoreAway

    try:
        return do()
    except StoreAway:
        raise
    except DeskError as error:
        raise click.UsageError(str(error)) from error


for _command in (trades, orders, fills, signals, equity, summary):
    paper.add_command(_command)
