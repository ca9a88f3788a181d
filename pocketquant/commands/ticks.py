"""`pq ticks`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from market.symbols import Symbol
from pocketquant import options
from pocketquant.output import Format, Records, note, write

if TYPE_CHECKING:
    from market.journal_rows import CorruptRow


@click.command(
    epilog=options.example(
        "pq ticks SIM:BTCUSD --limit 20",
        "pq ticks KRAKEN:BTCUSD --start 2026-01-02T03:00:00Z --end 2026-01-02T04:00:00Z --output ticks.parquet",
    )
)
@click.argument("symbol", type=options.SYMBOL)
@click.option("--start", type=options.TIME, help="Ticks whose event time is this or later.")
@click.option("--end", type=options.TIME, help="Ticks whose event time is before this.")
@click.option("--limit", type=click.IntRange(1), help="Only the N that were journaled last  [default: all]")
@options.output_options
@options.desk_options
def ticks(
    symbol: Symbol,
    *,
    start: int | None,
    end: int | None,
    limit: int | None,
    form: Format | None,
    as_json: bool,
    output: Path | None,
    **desk: Any,
) -> int:
    """Ticks of a symbol as journaled, in the order in which they came."""
    from pocketquant.reading import TICK_KINDS, newest_ticks, nothing_for, read_ticks

    picked = options.chosen(form, as_json, output)
    options.check_span(start, end)
    settings = options.existing_desk(**desk)
    damaged: list[CorruptRow] = []
    if limit is None:
        rows = read_ticks(settings, symbol, start, end, damaged)
    else:
        rows = iter(newest_ticks(settings, symbol, start, end, limit, damaged))
    if write(Records(TICK_KINDS, rows), picked, output) == 0:
        note(nothing_for(settings, symbol, "ticks"))
    for fault in damaged:
        note(f"skipped: {fault}")
    return 1 if damaged else 0
