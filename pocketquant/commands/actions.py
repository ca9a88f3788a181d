"""`pq actions`: splits and dividends, which change prices when they are read and never when they are stored."""

import datetime as dt
from pathlib import Path
from typing import Any, Final

import click

from market.symbols import Symbol
from pocketquant import options
from pocketquant.output import Format, Kind, Records

COLUMNS: Final[dict[str, Kind]] = {
    "exchange": "text",
    "symbol": "text",
    "date": "text",
    "kind": "text",
    "value": "float",
    "currency": "text",
    "source": "text",
}
KINDS: Final = ("split", "dividend")


@click.group(
    epilog=options.example(
        "pq actions fetch NASDAQ:AAPL", "pq actions list NASDAQ:AAPL", "pq bars NASDAQ:AAPL 1d --adjust all"
    )
)
def actions() -> None:
    """Splits and dividends: fetched or imported, and taken out of prices by `--adjust` when bars are read."""


@actions.command("list", epilog=options.example("pq actions list", "pq actions list NASDAQ:AAPL --json"))
@click.argument("symbol", type=options.SYMBOL, required=False)
@options.output_options
@options.desk_options
def list_(symbol: Symbol | None, *, form: Format | None, as_json: bool, output: Path | None, **desk: Any) -> int:
    """Splits (`value` is shares after for each before) and dividends (cash a share) that are known, by date."""
    options.chosen(form, as_json, output)
    settings = options.existing_desk(**desk)
    rows: list[tuple[Any, ...]] = []
    if settings.folders.history.is_file():
        from sinks.actions_book import ActionsBook

        with ActionsBook(settings.folders.history) as book:
            rows = [
                (*one.symbol, one.date.isoformat(), str(one.kind), one.value, one.currency, one.source)
                for one in book.actions(symbol)
            ]
    whose = f" of {symbol}" if symbol else ""
    empty = f"no splits or dividends{whose} are stored: `pq actions fetch {symbol or 'NASDAQ:AAPL'}` asks for them"
    options.deliver(Records(COLUMNS, rows, empty=empty), form, as_json, output)
    return 0


@actions.command(epilog=options.example("pq actions fetch NASDAQ:AAPL NYSE:IBM", "pq actions fetch --all"))
@click.argument("symbols", type=options.SYMBOL, nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every registered symbol of class stock.")
@click.option("--provider", help="Ask this one only.")
@options.desk_options
def fetch(symbols: tuple[Symbol, ...], *, everything: bool, provider: str | None, **desk: Any) -> int:
    """Ask providers for the splits and dividends of shares; exit 1 if none told of one of them."""
    if bool(symbols) == everything:
        msg = "name symbols, or --all"
        raise click.UsageError(msg)
    from sources.history.actions import ACTIONS_PROVIDERS

    if provider is not None and provider not in ACTIONS_PROVIDERS:
        msg = f"provider {provider!r} has no corporate actions; those that have are {' '.join(ACTIONS_PROVIDERS)}"
        raise click.UsageError(msg)
    settings = options.settings(**desk)
    from history.actions import Told, fetch, shares
    from history.desk import HistoryDesk

    def tell(told: Told) -> None:
        if told.error:
            click.echo(f"{told.symbol}: {told.error}", err=True)
        else:
            noted = told.noted
            click.echo(
                f"{told.symbol}: {sum(noted)} actions by {told.provider}, {noted.new} new, {noted.changed} changed",
                err=True,
            )

    with HistoryDesk(settings) as opened:
        wanted = shares(opened) if everything else symbols
        if not wanted:
            click.echo("no registered symbol is a stock: `pq symbols add NASDAQ:AAPL`", err=True)
        told = fetch(opened, wanted, provider, tell=tell)
    return 1 if any(one.error for one in told) else 0


@actions.command(
    "import", epilog=options.example("pq actions import actions.csv", "pq actions import aapl.csv --symbol NASDAQ:AAPL")
)
@click.argument("file", type=options.FILE)
@click.option("--symbol", type=options.SYMBOL, help="Whose they are, where the file has no such column.")
@options.desk_options
def import_(file: Path, *, symbol: Symbol | None, **desk: Any) -> int:
    """Actions of a CSV FILE with the columns symbol,date,kind,value,currency; they stand above what providers say."""
    settings = options.settings(**desk)
    from history.actions import import_file, read_file
    from history.desk import HistoryDesk
    from market.errors import DeskError

    try:
        read_file(file, symbol)
    except DeskError as error:
        raise click.UsageError(str(error)) from error
    settings.folders.create()
    with HistoryDesk(settings) as opened:
        noted = import_file(opened, file, symbol)
    click.echo(f"{sum(noted)} actions: {noted.new} new, {noted.changed} changed, {noted.unchanged} as before", err=True)
    return 0


@actions.command(epilog=options.example("pq actions remove NASDAQ:AAPL 2020-08-31 split"))
@click.argument("symbol", type=options.SYMBOL)
@click.argument("date", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE")
@click.argument("kind", type=click.Choice(KINDS), metavar="split/dividend")
@options.desk_options
def remove(symbol: Symbol, date: dt.datetime, kind: str, **desk: Any) -> int:
    """Take one action out of the book; a provider that is asked again may bring it back."""
    settings = options.existing_desk(**desk)
    from market.actions import ActionKind
    from sinks.actions_book import ActionsBook

    with ActionsBook(settings.folders.history) as book:
        if not book.remove(symbol, date.date(), ActionKind(kind)):
            msg = f"no {kind} of {symbol} on {date.date()} is stored: `pq actions list {symbol}` shows what is"
            raise click.UsageError(msg)
    click.echo(f"the {kind} of {symbol} on {date.date()} is out of the book", err=True)
    return 0
