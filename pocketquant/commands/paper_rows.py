"""What `pq paper` shows of what runs made: trades, orders, fills, signals, equity, and what they came to."""

import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from market.errors import DeskError
from pocketquant import options
from pocketquant.output import Format, Kind, Records, aside, note, write

if TYPE_CHECKING:
    from infra.settings import Settings
    from pocketquant.paper.rows import What
    from pocketquant.paper.summary import Every
    from sinks.paper_book import PaperBook, Row

PICTURES: Final = (".png", ".html")
AXIS_COLUMNS: Final = 16
"""Columns at the right that the axis takes."""

_RUN = click.argument("name", metavar="[RUN]", required=False)


def _row_options(command: options.Command) -> options.Command:
    for option in (
        options.output_options,
        click.option("--limit", type=click.IntRange(1), help="Only the newest N of each run  [default: all]"),
        click.option("--end", type=options.TIME, help="Before this time."),
        click.option("--start", type=options.TIME, help="From this time on."),
    ):
        command = option(command)
    return command


@click.command(epilog=options.example("pq paper trades 3f2a", "pq paper trades sma-cross --json"))
@_RUN
@_row_options
@options.desk_options
def trades(name: str | None, **rest: Any) -> None:
    """Trades that are over, of one run or of all, oldest first; --start and --end look at their exits."""
    _rows("trades", name, **rest)


@click.command(epilog=options.example("pq paper orders 3f2a --limit 20", "pq paper orders --format csv"))
@_RUN
@_row_options
@options.desk_options
def orders(name: str | None, **rest: Any) -> None:
    """Orders of one run or of all with their states and reasons, those that work among them, oldest first."""
    _rows("orders", name, **rest)


@click.command(epilog=options.example("pq paper fills 3f2a", "pq paper fills --start 2026-01-02 --json"))
@_RUN
@_row_options
@options.desk_options
def fills(name: str | None, **rest: Any) -> None:
    """Fills of one run or of all, oldest first, each with the row of the journal whose tick made it."""
    _rows("fills", name, **rest)


@click.command(epilog=options.example("pq paper signals 3f2a --limit 20", "pq paper signals macd --json"))
@_RUN
@_row_options
@options.desk_options
def signals(name: str | None, **rest: Any) -> None:
    """Every decision of one run or of all with the bars that it saw as they were then, oldest first."""
    _rows("signals", name, **rest)


@click.command(
    epilog=options.example(
        "pq paper equity 3f2a --chart", "pq paper equity 3f2a --output curve.html", "pq paper equity sma-cross --json"
    )
)
@_RUN
@click.option("--chart", is_flag=True, help="Draw it in the terminal.")
@_row_options
@options.desk_options
def equity(name: str | None, *, chart: bool, output: Path | None, **rest: Any) -> None:
    """Equity, cash, exposure and drawdown at each close, as rows, a chart, or a picture (.png, .html)."""
    pictured = output is not None and output.suffix.lower() in PICTURES and rest["form"] is None and not rest["as_json"]
    if not chart and not pictured:
        _rows("equity", name, output=output, **rest)
        return
    if chart and (output is not None or rest["form"] is not None or rest["as_json"]):
        msg = "--chart draws in the terminal: give it neither --output nor a format"
        raise click.UsageError(msg)
    _draw(name, output, **rest)


@click.command(
    epilog=options.example("pq paper summary", "pq paper summary --daily", "pq paper summary 3f2a --monthly --json")
)
@_RUN
@click.option("--daily", "every", flag_value="day", help="By day (UTC).")
@click.option("--weekly", "every", flag_value="week", help="By week, from Monday on.")
@click.option("--monthly", "every", flag_value="month", help="By month.")
@options.output_options
@options.desk_options
def summary(
    name: str | None, *, every: "Every | None", form: Format | None, as_json: bool, output: Path | None, **desk: Any
) -> None:
    """What runs came to: trades, P&L, win rate (of all and of the last 30 days), expectancy and drawdown.

    Several runs of one currency are also summed up, as the run `all`.
    """
    from pocketquant.paper.totals import COLUMNS, totals

    picked = options.chosen(form, as_json, output)
    settings = options.existing_desk(**desk)
    with _book(settings) as book:
        lines = totals(book, chosen_runs(book, name), every, time.time_ns(), settings.paper.keep_days)
    rows = [line.values() for line in lines]
    if picked == "table":
        kinds = COLUMNS.values()
        rows = [tuple(_short(kind, value) for kind, value in zip(kinds, row, strict=True)) for row in rows]
    write(Records(COLUMNS, rows, empty=NOTHING), picked, output)


NOTHING: Final = "no paper run has begun yet: `pq paper status` shows what was asked for"


def _short(kind: Kind, value: Any) -> Any:
    """A value with the digits that a person reads: a table is no place for sixteen, nor for nanoseconds."""
    if kind == "time" and value is not None:
        return value // 10**9 * 10**9
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _rows(
    what: "What",
    name: str | None,
    *,
    start: int | None,
    end: int | None,
    limit: int | None,
    form: Format | None,
    as_json: bool,
    output: Path | None,
    **desk: Any,
) -> None:
    from pocketquant.paper.rows import COLUMNS, rows_of

    picked = options.chosen(form, as_json, output)
    options.check_span(start, end)
    settings = options.existing_desk(**desk)
    with _book(settings) as book:
        chosen = chosen_runs(book, name)
        columns = dict(COLUMNS[what])
        several = len(chosen) > 1
        if several:
            # Only then, so that one run's trades have the columns of a backtest's file.
            columns["run"] = "text"

        def rows() -> Iterator[tuple[Any, ...]]:
            for row in reversed(chosen):
                for values in rows_of(book, what, row, start, end, limit):
                    yield (*values, row["run"]) if several else values

        empty = f"no {what}{f' of {name}' if name is not None else ''} yet" if chosen else NOTHING
        write(Records(columns, rows(), empty=empty), picked, output)


def _draw(
    name: str | None,
    output: Path | None,
    *,
    start: int | None,
    end: int | None,
    limit: int | None,
    form: Format | None,  # noqa: ARG001  # These two are of rows.
    as_json: bool,  # noqa: ARG001
    **desk: Any,
) -> None:
    from pocketquant.paper.curves import Point, as_candles, write_html, write_png
    from pocketquant.paper.rows import rows_of

    options.check_span(start, end)
    settings = options.existing_desk(**desk)
    with _book(settings) as book:
        chosen = chosen_runs(book, name)
        drawn = []
        for row in chosen:
            points = [
                Point(time, value, fallen)
                for time, value, _, _, fallen in rows_of(book, "equity", row, start, end, limit)
            ]
            if points:
                title = (
                    f"{row['strategy']} {row['run']} on {' '.join(row['symbols'])} {row['interval']}, {row['currency']}"
                )
                drawn.append((title, points))
    if not drawn:
        note(f"no equity{f' of {name}' if name is not None else ''} yet" if chosen else NOTHING)
        return
    if output is not None:
        with aside(output) as path:
            (write_png if output.suffix.lower() == ".png" else write_html)(drawn, path)
        note(f"{output}: equity of {len(drawn)} run{'s' if len(drawn) > 1 else ''}")
        return
    from pocketquant.candles import draw

    terminal = shutil.get_terminal_size((100, 30))
    fits = max(10, terminal.columns - AXIS_COLUMNS)
    height = max(6, min(24, (terminal.lines - 4) // len(drawn) - 4))
    for title, points in drawn:
        click.echo(f"{title}: {points[-1].equity:,.2f}, drawdown {points[-1].drawdown:.2%}")
        for line in draw(as_candles(points, fits), height, colour=sys.stdout.isatty()):
            click.echo(line)


def _book(settings: "Settings") -> "PaperBook":
    from pocketquant.paper.runs import open_book

    return open_book(settings)


def chosen_runs(book: "PaperBook", name: str | None) -> "list[Row]":
    """Runs that have begun, of those that a user means, the newest first.

    Raises:
        click.UsageError: There is no such run.
    """
    from pocketquant.paper.runs import all_runs, begun, named

    try:
        return begun(named(all_runs(book, time.time_ns()), name))
    except DeskError as error:
        raise click.UsageError(str(error)) from error
