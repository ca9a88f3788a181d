"""`pq bars`."""

from pathlib import Path
from typing import Any

import click

from market.bars import BarState
from market.intervals import Interval
from market.symbols import Symbol
from pocketquant import options
from pocketquant.output import Format, Records

STATES = [str(state) for state in BarState]


@click.command(
    epilog=options.example(
        "pq bars SIM:BTCUSD 1m",
        "pq bars KRAKEN:BTCUSD 1h --start 2026-01-02 --end 2026-01-03 --json",
        "pq bars SIM:ETHUSD 5m --state closed --state partial --limit 100 --output bars.csv",
        "pq bars SIM:BTCUSD 1m --as-of 2026-01-02T03:04:00Z",
    )
)
@click.argument("symbol", type=options.SYMBOL)
@click.argument("interval", type=options.INTERVAL)
@click.option("--start", type=options.TIME, help="Bars that start at this time or later.")
@click.option("--end", type=options.TIME, help="Bars that start before this time.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="The newest N.")
@click.option("--all", "everything", is_flag=True, help="All of them, however many.")
@click.option("--as-of", type=options.TIME, help="As they were known at this time: closed bars, not later revisions.")
@click.option("--state", "states", type=click.Choice(STATES), multiple=True, help="This state only; repeatable.")
@options.adjust_option
@click.option("--archive", is_flag=True, help="Out of the Parquet archive instead of the store.")
@options.output_options
@options.desk_options
def bars(
    symbol: Symbol,
    interval: Interval,
    *,
    start: int | None,
    end: int | None,
    limit: int,
    everything: bool,
    as_of: int | None,
    states: tuple[str, ...],
    adjust: str,
    archive: bool,
    form: Format | None,
    as_json: bool,
    output: Path | None,
    **desk: Any,
) -> None:
    """Bars of a symbol, newest first, the forming one included."""
    from pocketquant.reading import BAR_KINDS, nothing_for, read_bars

    options.chosen(form, as_json, output)
    options.check_span(start, end)
    if archive and as_of is not None:
        msg = "--archive and --as-of do not go together: the archive holds bars as they are, not as they were"
        raise click.UsageError(msg)
    settings = options.existing_desk(**desk)
    rows = read_bars(
        settings,
        symbol,
        interval,
        start=start,
        end=end,
        limit=None if everything else limit,
        states=[BarState[state.upper()] for state in states] or None,
        as_of=as_of,
        adjust=adjust,
        archive=archive,
    )
    empty = "" if rows else nothing_for(settings, symbol, f"{interval} bars")
    options.deliver(Records(BAR_KINDS, rows, empty=empty), form, as_json, output)
