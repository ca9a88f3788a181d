"""`pq symbols`: what is followed, registered and stored; the registry and the lists of symbols."""

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from market.symbols import Symbol
from pocketquant import options
from pocketquant.commands.registered import desk_of, registered_instruments
from pocketquant.commands.symbol_lists import import_, search, universes
from pocketquant.output import Format, Kind, Records

if TYPE_CHECKING:
    from infra.settings import Settings
    from sinks.registry_book import Instrument

ASSET_CLASSES: Final = ("crypto", "stock", "fx", "future", "index", "other")

COLUMNS: Final[dict[str, Kind]] = {
    "exchange": "text",
    "symbol": "text",
    "name": "text",
    "asset_class": "text",
    "feed": "text",
    "subscribed": "bool",
    "makes_bars": "bool",
    "since": "time",
    "bars": "int",
    "first": "time",
    "last": "time",
    "intervals": "text",
    "registered": "bool",
}
CARD: Final[dict[str, Kind]] = {
    "exchange": "text",
    "symbol": "text",
    "name": "text",
    "description": "text",
    "asset_class": "text",
    "calendar": "text",
    "tick_size": "float",
    "live": "text",
    "history": "text",
    "universes": "text",
    "registered_at": "time",
}


@click.group(
    invoke_without_command=True,
    epilog=options.example(
        "pq symbols",
        'pq symbols add NASDAQ:AAPL --name "Apple Inc." --tick-size 0.01',
        "pq symbols search apple",
        "pq symbols import nasdaq100.csv --universe nasdaq100",
    ),
)
@options.output_options
@options.desk_options
@click.pass_context
def symbols(
    context: click.Context, /, *, form: Format | None, as_json: bool, output: Path | None, **desk: Any
) -> int | None:
    """Symbols that are registered, followed or stored; commands to add, show, change, remove and find them."""
    if context.invoked_subcommand is not None:
        # `pq symbols --data-dir D list` means the same as `pq symbols list --data-dir D`.
        context.obj = {name: value for name, value in desk.items() if value is not None}
        return None
    return _list(None, form, as_json, output, **desk)


for _command in (search, import_, universes):
    symbols.add_command(_command)


@symbols.command("list", epilog=options.example("pq symbols list --universe nasdaq100 --json"))
@click.option("--universe", help="Of this list only.")
@options.output_options
@options.desk_options
def list_(*, universe: str | None, form: Format | None, as_json: bool, output: Path | None, **desk: Any) -> int:
    """What `pq symbols` shows: registered, followed and stored, with the number of one-minute bars."""
    return _list(universe, form, as_json, output, **desk_of(desk))


@symbols.command(
    epilog=options.example(
        'pq symbols add NASDAQ:AAPL --name "Apple Inc." --history alpaca --history massive',
        "pq symbols add CME:ES1! --asset-class future --tick-size 0.25",
    )
)
@click.argument("symbol", type=options.SYMBOL)
@click.option("--name", default="", help="Its name.")
@click.option("--description", default="", help="A sentence about it.")
@click.option("--asset-class", type=click.Choice(ASSET_CLASSES), help="[default: by its exchange's calendar]")
@click.option("--tick-size", type=float, help="The price step.")
@click.option("--live", default="", help="Feed of its live data  [default: its exchange's own]")
@click.option("--history", multiple=True, help="Provider of its history; repeat for those to try next.")
@options.desk_options
def add(symbol: Symbol, *, asset_class: str | None, **given: Any) -> int:
    """Register SYMBOL, so that the scheduled syncs keep its history. `pq subscribe` follows it live."""
    desk = desk_of({name: given.pop(name) for name in ("data_dir", "config")})
    settings = options.settings(**desk)
    from sinks.registry_book import Instrument, RegistryBook

    instrument = Instrument(symbol, asset_class=asset_class or "", added_at=time.time_ns(), **given)
    _check(instrument)
    settings.folders.create()
    with RegistryBook(settings.folders.history) as book:
        if book.get(symbol) is not None:
            msg = f"{symbol} is registered already: `pq symbols edit {symbol}` changes it"
            raise click.UsageError(msg)
        book.put([instrument])
    click.echo(
        f"{symbol} is registered: `pq backfill {symbol} --interval 1d --start 2020-01-01` fetches its past", err=True
    )
    return 0


@symbols.command(epilog=options.example('pq symbols edit NASDAQ:AAPL --description "Phones and more" --tick-size 0.01'))
@click.argument("symbol", type=options.SYMBOL)
@click.option("--name", help="Its name.")
@click.option("--description", help="A sentence about it.")
@click.option("--asset-class", type=click.Choice(ASSET_CLASSES), help="Its class, over what its exchange says.")
@click.option("--tick-size", type=float, help="The price step.")
@click.option("--live", help="Feed of its live data; empty for its exchange's own.")
@click.option("--history", multiple=True, help="Provider of its history, in place of those set; empty for ours.")
@options.desk_options
def edit(symbol: Symbol, *, history: tuple[str, ...], **given: Any) -> int:
    """Change what is registered of SYMBOL; what is not named stays."""
    settings = options.existing_desk(**desk_of({name: given.pop(name) for name in ("data_dir", "config")}))
    from sinks.registry_book import RegistryBook

    changes = {name: value for name, value in given.items() if value is not None}
    if history:
        changes["history"] = tuple(name for name in history if name)
    if not changes:
        msg = "nothing to change: name a field, such as --name; `pq symbols edit --help` lists them"
        raise click.UsageError(msg)
    with RegistryBook(settings.folders.history) as book:
        held = book.get(symbol)
        if held is None:
            raise click.UsageError(_not_registered(symbol))
        instrument = held._replace(**changes)
        _check(instrument)
        book.put([instrument])
    click.echo(f"{symbol}: {', '.join(changes)} changed", err=True)
    return 0


@symbols.command(epilog=options.example("pq symbols show NASDAQ:AAPL"))
@click.argument("symbol", type=options.SYMBOL)
@options.output_options
@options.desk_options
def show(symbol: Symbol, *, form: Format | None, as_json: bool, output: Path | None, **desk: Any) -> int:
    """All that is known of SYMBOL: class, calendar, price step, sources, lists; and the bars that are held."""
    options.chosen(form, as_json, output)
    options.check_exchange(symbol)
    settings = options.existing_desk(**desk_of(desk))
    from history.registry import asset_class
    from market.sessions import calendar_name
    from pocketquant.feed_choice import feed_for
    from pocketquant.reading import open_bars
    from sinks.registry_book import Instrument

    held, lists = None, []
    if settings.folders.history.is_file():
        from sinks.registry_book import RegistryBook

        with RegistryBook(settings.folders.history) as book:
            held = book.get(symbol)
            lists = [
                name for name, _ in book.universes() if any(one.symbol == symbol for one in book.instruments(name))
            ]
    one = held or Instrument(symbol)
    try:
        live = one.live or feed_for(symbol)
    except Exception:  # noqa: BLE001  # No feed of ours carries it: that is the answer.
        live = ""
    history = " ".join(one.history) or " ".join(_providers(settings, symbol))
    row = (
        *symbol, one.name, one.description, asset_class(symbol, held), calendar_name(symbol), one.tick_size, live,
        history, " ".join(lists), one.added_at or None,
    )  # fmt: skip
    options.deliver(Records(CARD, [row]), form, as_json, output)
    store = open_bars(settings)
    if store is not None and options.chosen(form, as_json, output) == "table" and output is None:
        with closing(store):
            series = [each for each in store.series() if each.symbol == symbol]
        rows = [(str(each.interval), each.bars, each.first, each.last) for each in series]
        columns: dict[str, Kind] = {"interval": "text", "bars": "int", "first": "time", "last": "time"}
        options.deliver(Records(columns, rows, empty=f"no bars of {symbol} yet"), form, as_json, output)
    return 0


@symbols.command(
    epilog=options.example("pq symbols remove NASDAQ:AAPL", "pq symbols remove NASDAQ:AAPL --with-data --yes")
)
@click.argument("symbol", type=options.SYMBOL)
@click.option("--with-data", is_flag=True, help="Its bars go too; journal, archive and backups keep what they hold.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.desk_options
def remove(symbol: Symbol, *, with_data: bool, yes: bool, **desk: Any) -> int:
    """Take SYMBOL out of the registry and all lists, and follow it no longer; its data stays unless asked."""
    settings = options.existing_desk(**desk_of(desk))
    from pocketquant.reading import known_symbols
    from sinks.bar_store import open_store
    from sinks.chunk_book import ChunkBook
    from sinks.ledger import Ledger
    from sinks.query_cache import announced
    from sinks.registry_book import RegistryBook
    from sinks.sync_book import SyncBook

    with RegistryBook(settings.folders.history) as book:
        if book.get(symbol) is None and symbol not in known_symbols(settings):
            raise click.UsageError(_not_registered(symbol))
        if with_data and not yes:
            options.agreed(f"Remove every stored bar of {symbol}?")
        was_registered = book.remove(symbol)
    with Ledger(settings.folders.desk) as ledger:
        followed = ledger.unsubscribe(symbol)
    done = [text for text, true in (("out of the registry", was_registered), ("followed no longer", followed)) if true]
    if with_data:
        # First: a bar that is gone and noted as fetched would never be fetched again.
        with RegistryBook(settings.folders.history) as book:
            book.note_removal(symbol, time.time_ns())
        with ChunkBook(settings.folders.history) as chunks, SyncBook(settings.folders.history) as syncs:
            chunks.forget(symbol)
            syncs.forget(symbol)
        with closing(announced(open_store(settings.store), settings.redis, settings.store)) as store:
            done.append(f"{store.forget(symbol)} bars removed")
        if followed:
            done.append("those that are forming now may come as they end: the same command removes them")
    else:
        done.append("what is stored of it stays")
    click.echo(f"{symbol}: {', '.join(done)}", err=True)
    return 0


def _list(universe: str | None, form: Format | None, as_json: bool, output: Path | None, **desk: Any) -> int:
    from market.intervals import Interval
    from pocketquant.reading import open_bars
    from sinks.ledger import Ledger

    options.chosen(form, as_json, output)
    settings = options.existing_desk(**desk)
    instruments = registered_instruments(settings, universe)
    stored: dict[Symbol, tuple[int, int, int, str]] = {}
    store = open_bars(settings)
    if store is not None:
        with closing(store):
            for series in store.series():
                minutes, first, last, intervals = stored.get(series.symbol, (0, series.first, series.last, ""))
                stored[series.symbol] = (
                    minutes + (series.bars if series.interval is Interval.M1 else 0),
                    min(first, series.first),
                    max(last, series.last),
                    f"{intervals} {series.interval}".strip(),
                )
    rows: list[tuple[Any, ...]] = []
    followed = set()
    if settings.folders.desk.is_file():
        with Ledger(settings.folders.desk) as ledger:
            for one in ledger.subscriptions(active=None):
                followed.add(one.symbol)
                live = (one.feed, one.active, one.designated, one.since)
                rows.append(_row(one.symbol, instruments, live, stored))
    others = (set(stored) | set(instruments)) - followed
    rows += [_row(symbol, instruments, ("", False, False, None), stored) for symbol in others]
    if universe is not None:
        rows = [row for row in rows if row[-1]]
    empty = "no symbols yet: `pq subscribe KRAKEN:BTCUSD`, `pq symbols add NASDAQ:AAPL`, or `pq up`"
    options.deliver(Records(COLUMNS, sorted(rows, key=_by_symbol), empty=empty), form, as_json, output)
    return 0


def _row(
    symbol: Symbol,
    instruments: dict[Symbol, "Instrument"],
    live: tuple[str, bool, bool, int | None],
    stored: dict[Symbol, tuple[int, int, int, str]],
) -> tuple[Any, ...]:
    from history.registry import asset_class

    held = instruments.get(symbol)
    bars = stored.get(symbol, (0, None, None, ""))
    name = "" if held is None else held.name
    return (*symbol, name, asset_class(symbol, held), *live, *bars, held is not None)


def _by_symbol(row: Sequence[Any]) -> tuple[str, ...]:
    return (str(row[0]), str(row[1]), str(row[4]))


def _check(instrument: "Instrument") -> None:
    """Refuse an instrument that breaks a rule, a feed or a provider that there is not."""
    from history.registry import check
    from infra.settings import FEEDS, Providers
    from market.errors import DeskError

    try:
        check(instrument)
    except DeskError as error:
        raise click.UsageError(str(error)) from error
    if instrument.live and instrument.live not in FEEDS[1:]:
        msg = f"feed {instrument.live!r} is none of {' '.join(FEEDS[1:])}"
        raise click.UsageError(msg)
    for name in instrument.history:
        if name not in Providers.model_fields:
            msg = f"provider {name!r} is none of {' '.join(Providers.model_fields)}"
            raise click.UsageError(msg)


def _not_registered(symbol: Symbol) -> str:
    return f"{symbol} is not registered: `pq symbols add {symbol}` does that, `pq symbols` shows what is"


def _providers(settings: "Settings", symbol: Symbol) -> list[str]:
    """Providers of its history in the order in which they are tried."""
    from history.desk import HistoryDesk
    from history.order import ordered

    with HistoryDesk(settings) as desk:
        return list(ordered(desk, symbol))
