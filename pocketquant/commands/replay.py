"""`pq replay`."""

import json
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from market.symbols import Symbol
from pocketquant import options
from pocketquant.output import note
from pocketquant.progress import progress
from pocketquant.until_signal import until_signal

if TYPE_CHECKING:
    from dataflows.replay import Summary

FORMATS: Final = ("csv", "parquet", "kraken-trades", "binance-aggtrades", "capture")
VENUES: Final = ("kraken", "kraken_v1", "coinbase", "binance", "okx", "tradingview")
_STEPS: Final = {"journal": "writing ticks", "bars": "making bars"}


@click.command(
    epilog=options.example(
        "pq replay ticks.csv --symbol KRAKEN:BTCUSD --data-dir hour",
        "pq replay btcusd.csv --symbol KRAKEN:BTCUSD --format kraken-trades --data-dir hour",
        "pq replay frames.log --format capture --feed coinbase --data-dir recorded",
    )
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@click.option("--symbol", type=options.SYMBOL, help="Whose ticks they are; a capture names its own.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="The file's form  [default: guessed]")
@click.option("--feed", type=click.Choice(VENUES), help="The venue of a capture  [default: guessed]")
@click.option("--force", is_flag=True, help="Also where bars of another feed are in that time: the better one stays.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
@options.desk_options
def replay(
    file: Path,
    *,
    symbol: Symbol | None,
    form: str | None,
    feed: str | None,
    force: bool,
    as_json: bool,
    data_dir: Path | None,
    config: Path | None,
) -> int:
    """A file of recorded ticks through the same journal, dataflow and store as live ones.

    The same file again changes nothing; one that was stopped goes on where it was.
    """
    from market.errors import DeskError
    from sources.tick_files.opening import open_ticks

    settings = options.settings(data_dir, config)
    if symbol is not None:
        options.check_exchange(symbol)
    try:
        ticks = open_ticks(file, format=form, symbol=symbol, feed=feed)
        # Its first lines tell whether it has the form, before any folder is made for it.
        next(ticks.batches(), None)
    except DeskError as error:
        raise click.UsageError(str(error)) from error

    from dataflows.replay import Desk
    from dataflows.replay import replay as run
    from infra import logs
    from market.symbols import parse_symbol
    from pocketquant.engine_noise import engine_noise
    from pocketquant.hold import Hold
    from sinks.bar_store import open_store
    from sinks.ledger import Ledger
    from sinks.query_cache import announced

    folders = settings.folders.create()
    # Held, so that no desk starts on the folder meanwhile; one that runs is named in the error.
    with (
        Hold(folders, "replay"),
        Ledger(folders.desk) as ledger,
        closing(announced(open_store(settings.store), settings.redis, settings.store)) as store,
    ):
        logs.configure("replay", folders.log_file("replay"), level=settings.log_level, secrets=settings.secrets())
        desk = Desk(
            folders.journal,
            folders.recovery_bars,
            store,
            ledger,
            _report,
            time.time_ns,
            round(settings.grace_s * 1_000_000_000),
        )
        noise = folders.logs / "replay.err.log"
        with until_signal() as stop, engine_noise(noise), progress(_STEPS) as tell:
            summary = run(
                ticks,
                desk,
                symbol=symbol,
                force=force,
                negative=frozenset(map(parse_symbol, settings.negative_prices)),
                extended=frozenset(map(parse_symbol, settings.extended_hours)),
                stop=stop,
                tell=tell,
            )
    click.echo(json.dumps(_document(summary)) if as_json else _describe(summary))
    if summary.rejects:
        note(f"{summary.rejects} lines or ticks were refused: `pq rejects --source {summary.feed}` says why")
    if summary.stopped:
        note("stopped before the end: the same command goes on where it was")
        return 1
    return 0


def _document(summary: "Summary") -> dict[str, Any]:
    return {**summary._asdict(), "symbols": [str(symbol) for symbol in summary.symbols]}


def _describe(summary: "Summary") -> str:
    names = " ".join(map(str, summary.symbols)) or "no symbol"
    rate = summary.journaled / summary.seconds if summary.seconds else 0.0
    if not summary.ticks:
        return f"{summary.feed}: there is no tick in it"
    if summary.known:
        what = f"nothing new, all of its {summary.ticks} ticks were journaled before"
    else:
        what = f"{summary.journaled} ticks journaled in {summary.seconds:.1f} s ({rate:,.0f} a second)"
    bars = "  ".join(f"{name} {count}" for name, count in summary.held.items())
    lines = [f"{summary.feed} ({names}): {what}", f"bars held: {bars}"]
    if summary.out_of_session:
        lines.append(f"{summary.out_of_session} ticks were outside their sessions and are in no bar")
    return "\n".join(lines)


def _report(level: Any, name: str, text: str) -> None:
    """Events of the dataflow: into the log, and those that are trouble to the user."""
    from infra.logs import logger

    getattr(logger(), level)(name, text=text)
    if level != "info":
        note(text)
