"""`pq chart`."""

import shutil
import sys
from pathlib import Path
from typing import Any, Final

import click

from market.intervals import Interval
from market.symbols import Symbol
from pocketquant import options
from pocketquant.output import aside, note

PICTURES: Final = (".png", ".html")
PICTURE_BARS: Final = 200
AXIS_COLUMNS: Final = 16
"""Columns at the right that the price axis takes."""


@click.command(
    epilog=options.example(
        "pq chart SIM:BTCUSD 1m",
        "pq chart KRAKEN:BTCUSD 1h --limit 200 --output btc.png",
        "pq chart KRAKEN:BTCUSD 5m --output btc.html",
    )
)
@click.argument("symbol", type=options.SYMBOL)
@click.argument("interval", type=options.INTERVAL)
@click.option("--limit", type=click.IntRange(1, 5000), help="The newest N  [default: as many as fit; 200 in a file]")
@options.adjust_option
@click.option("--output", type=options.FILE, help="Write a picture (.png) or a page that opens offline (.html).")
@options.desk_options
def chart(
    symbol: Symbol, interval: Interval, *, limit: int | None, adjust: str, output: Path | None, **desk: Any
) -> None:
    """Candles in the terminal, or a picture."""
    from pocketquant.candles import Candle, draw
    from pocketquant.reading import nothing_for, read_bars

    if output is not None and output.suffix.lower() not in PICTURES:
        msg = f"--output {output}: a chart is written as {' or '.join(PICTURES)}, not {output.suffix or 'no ending'!r}"
        raise click.UsageError(msg)
    settings = options.existing_desk(**desk)
    terminal = shutil.get_terminal_size((100, 30))
    fits = max(10, terminal.columns - AXIS_COLUMNS)
    count = limit or (PICTURE_BARS if output is not None else fits)
    bars = read_bars(settings, symbol, interval, limit=count, newest_first=False, adjust=adjust)
    if not bars:
        note(nothing_for(settings, symbol, f"{interval} bars"))
        return
    candles = [Candle(bar[3], *bar[5:10]) for bar in bars]
    partial = sum(bar[13] == "partial" for bar in bars)
    title = f"{symbol} {interval}, {len(bars)} bars" + (f", {partial} of them partial" if partial else "")
    if output is None:
        click.echo(title)
        height = max(6, min(30, terminal.lines - 6))
        for line in draw(candles[-fits:], height, colour=sys.stdout.isatty()):
            click.echo(line)
        return
    from pocketquant.pictures import write_html, write_png

    with aside(output) as path:
        (write_png if output.suffix.lower() == ".png" else write_html)(candles, title, path)
    note(f"{output}: {title}")
