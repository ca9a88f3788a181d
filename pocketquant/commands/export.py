"""`pq export`."""

from pathlib import Path
from typing import Any

import click

from market.bars import BarState
from market.intervals import Interval
from market.symbols import Symbol
from pocketquant import options
from pocketquant.output import Format, Records, note, write


@click.command(
    epilog=options.example(
        "pq export KRAKEN:BTCUSD 1m --output btc.parquet",
        "pq export SIM:BTCUSD 1h --start 2026-01-01 --end 2026-02-01 --output january.csv",
    )
)
@click.argument("symbol", type=options.SYMBOL)
@click.argument("interval", type=options.INTERVAL)
@click.option("--output", type=options.FILE, required=True, help="A .csv, .parquet or .json file.")
@click.option("--start", type=options.TIME, help="Bars that start at this time or later.")
@click.option("--end", type=options.TIME, help="Bars that start before this time.")
@click.option("--as-of", type=options.TIME, help="As they were known at this time.")
@options.adjust_option
@click.option("--forming", is_flag=True, help="The bar that is not over yet, too.")
@click.option("--format", "form", type=click.Choice(["csv", "parquet", "json"]), help="[default: by the ending]")
@options.desk_options
def export(
    symbol: Symbol,
    interval: Interval,
    *,
    output: Path,
    start: int | None,
    end: int | None,
    as_of: int | None,
    forming: bool,
    adjust: str,
    form: Format | None,
    **desk: Any,
) -> None:
    """Bars to a file, oldest first. The file appears when it is whole."""
    from pocketquant.reading import BAR_KINDS, nothing_for, read_bars

    options.check_span(start, end)
    endings: dict[str, Format] = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet", ".json": "json"}
    picked = form or endings.get(output.suffix.lower())
    if picked is None:
        msg = f"--output {output}: its ending names none of csv, parquet, json; say which with --format"
        raise click.UsageError(msg)
    settings = options.existing_desk(**desk)
    states = None if forming else [state for state in BarState if state != BarState.FORMING]
    rows = read_bars(
        settings, symbol, interval, start=start, end=end, limit=None, states=states, as_of=as_of, newest_first=False,
        adjust=adjust,
    )  # fmt: skip
    # An empty result is a file too: one of an earlier day in its place would be taken for this answer.
    empty = "" if rows else nothing_for(settings, symbol, f"{interval} bars")
    count = write(Records(BAR_KINDS, rows, empty=empty), picked, output)
    note(f"{count} bars of {symbol} {interval} written to {output}")
