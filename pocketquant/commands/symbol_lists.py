"""`pq symbols search`, `import` and `universes`: finding symbols, and the user's lists of them."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pocketquant import options
from pocketquant.commands.registered import desk_of, registered_instruments
from pocketquant.output import Format, Kind, Records

if TYPE_CHECKING:
    from history.registry import Found
    from infra.settings import Settings

FOUND: Final[dict[str, Kind]] = {
    "exchange": "text",
    "symbol": "text",
    "name": "text",
    "description": "text",
    "asset_class": "text",
    "where": "text",
}
UNIVERSES: Final[dict[str, Kind]] = {"universe": "text", "symbols": "int"}


@click.command(epilog=options.example("pq symbols search apple", "pq symbols search eurusd --online"))
@click.argument("text", nargs=-1, required=True)
@click.option("--online", is_flag=True, help="Ask TradingView too; it must be switched on in the settings.")
@click.option("--limit", type=click.IntRange(min=1), default=30, show_default=True)
@options.output_options
@options.desk_options
def search(
    text: tuple[str, ...],
    *,
    online: bool,
    limit: int,
    form: Format | None,
    as_json: bool,
    output: Path | None,
    **desk: Any,
) -> int:
    """Find symbols by ticker, name or description, among those the desk knows; and at TradingView if asked."""
    options.chosen(form, as_json, output)
    settings = options.settings(**desk_of(desk))
    words = " ".join(text)
    found = _known(settings, words)
    if online:
        found += [one for one in _online(settings, words) if one.symbol not in {other.symbol for other in found}]
    rows = [(*one.symbol, one.name, one.description, one.asset_class, one.where) for one in found[:limit]]
    hint = "" if online else "; --online asks TradingView"
    options.deliver(Records(FOUND, rows, empty=f"no symbol matches {words!r}{hint}"), form, as_json, output)
    return 0


@click.command("import", epilog=options.example("pq symbols import nasdaq100.csv --universe nasdaq100"))
@click.argument("file", type=options.FILE)
@click.option("--universe", required=True, help="Name of the list that the file is to be.")
@options.desk_options
def import_(file: Path, *, universe: str, **desk: Any) -> int:
    """Register the symbols of a CSV FILE, and make them the list UNIVERSE in place of what it held.

    Columns: `symbol` (EXCHANGE:TICKER) or `exchange` and `ticker`; if known `name`, `description`, `asset_class`,
    `tick_size`.
    """
    settings = options.settings(**desk_of(desk))
    from history.registry import UNIVERSE_NAME, read_universe
    from market.errors import DeskError
    from sinks.registry_book import RegistryBook

    if not UNIVERSE_NAME.fullmatch(universe):
        msg = f"universe {universe!r} is not a short name of small letters, digits, `.`, `_` and `-`, such as nasdaq100"
        raise click.UsageError(msg)
    try:
        instruments = read_universe(file, time.time_ns())
    except DeskError as error:
        raise click.UsageError(str(error)) from error
    settings.folders.create()
    with RegistryBook(settings.folders.history) as book:
        known = {one.symbol for one in book.instruments()}
        book.set_universe(universe, instruments)
    new = sum(one.symbol not in known for one in instruments)
    click.echo(f"universe {universe} holds {len(instruments)} symbols, {new} of them newly registered", err=True)
    return 0


@click.command(epilog=options.example("pq symbols universes", "pq symbols universes --drop nasdaq100"))
@click.option("--drop", metavar="NAME", help="Forget this list; its symbols stay registered.")
@options.output_options
@options.desk_options
def universes(*, drop: str | None, form: Format | None, as_json: bool, output: Path | None, **desk: Any) -> int:
    """The lists of symbols, and how many each holds."""
    options.chosen(form, as_json, output)
    settings = options.existing_desk(**desk_of(desk))
    from sinks.registry_book import RegistryBook

    with RegistryBook(settings.folders.history) as book:
        if drop is not None and not book.drop_universe(drop):
            known = " ".join(name for name, _ in book.universes()) or "none"
            msg = f"no universe {drop!r}; there are: {known}"
            raise click.UsageError(msg)
        rows = book.universes()
    empty = "no lists yet: `pq symbols import FILE --universe NAME` makes one"
    options.deliver(Records(UNIVERSES, rows, empty=empty), form, as_json, output)
    return 0


def _known(settings: "Settings", text: str) -> "list[Found]":
    from history.registry import Found, asset_class, search
    from pocketquant.reading import known_symbols

    instruments = registered_instruments(settings) if settings.folders.exists() else {}
    known = known_symbols(settings) if settings.folders.exists() else set()
    candidates = [
        Found(symbol, one.name, one.description, asset_class(symbol, one), "registered")
        for symbol, one in instruments.items()
    ]
    candidates += [Found(symbol, "", "", asset_class(symbol), "stored") for symbol in sorted(known - set(instruments))]
    return search(text, candidates)


def _online(settings: "Settings", text: str) -> "list[Found]":
    if not settings.providers.tradingview.enabled:
        msg = (
            "--online asks TradingView, which is off: its terms forbid redistribution; if you accept them, set "
            "POCKETQUANT_PROVIDERS__TRADINGVIEW__ENABLED=true"
        )
        raise click.UsageError(msg)
    from history.desk import HistoryDesk
    from history.symbol_search import search_tradingview

    with HistoryDesk(settings) as desk:
        return search_tradingview(desk, text)
