"""`pq subscribe` and `pq unsubscribe`."""

import time
from typing import TYPE_CHECKING, Any, Final

import click

from market.symbols import Symbol
from pocketquant import options
from pocketquant.feed_choice import running_feeds

if TYPE_CHECKING:
    from infra.settings import Settings

FEEDS: Final = ("sim", "kraken", "coinbase", "binance", "okx", "tradingview")


@click.command(
    epilog=options.example("pq subscribe KRAKEN:SOLUSD KRAKEN:ADAUSD", "pq subscribe NASDAQ:AAPL --feed tradingview")
)
@click.argument("symbols", type=options.SYMBOL, nargs=-1, required=True)
@click.option(
    "--feed",
    type=click.Choice(FEEDS),
    help="The feed to follow them on  [default: the one registered for them, else their exchange's own]",
)
@click.option("--makes-bars", is_flag=True, help="This feed makes their bars from now on, in place of another.")
@options.desk_options
def subscribe(symbols: tuple[Symbol, ...], *, feed: str | None, makes_bars: bool, **desk: Any) -> None:
    """Follow symbols: at once where the desk runs, and after every restart."""
    from sinks.ledger import Ledger

    settings = options.settings(**desk)
    # All are checked before the first is written, so that a typo in the last changes nothing.
    running = running_feeds(settings)
    chosen = {}
    for symbol in symbols:
        options.check_exchange(symbol)
        chosen[symbol] = _feed(symbol, running, feed or _registered_feed(settings, symbol))
        _check_spelling(symbol, chosen[symbol])
    settings.folders.create()
    with Ledger(settings.folders.desk) as ledger:
        ledger.subscribe_all(chosen, time.time_ns(), designated=True if makes_bars else None)
    for symbol, name in chosen.items():
        click.echo(f"{symbol} is followed on feed {name}{_when(settings, name)}", err=True)


@click.command(epilog=options.example("pq unsubscribe KRAKEN:SOLUSD", "pq unsubscribe NASDAQ:AAPL --feed tradingview"))
@click.argument("symbols", type=options.SYMBOL, nargs=-1, required=True)
@click.option("--feed", type=click.Choice(FEEDS), help="On this feed only.")
@options.desk_options
def unsubscribe(symbols: tuple[Symbol, ...], *, feed: str | None, **desk: Any) -> int:
    """Follow symbols no longer; what is stored of them stays."""
    from sinks.ledger import Ledger

    settings = options.existing_desk(**desk)
    missed = 0
    with Ledger(settings.folders.desk) as ledger:
        for symbol in symbols:
            if ledger.unsubscribe(symbol, feed):
                click.echo(f"{symbol} is followed no longer; what is stored of it stays", err=True)
            else:
                missed += 1
                click.echo(f"{symbol} was not subscribed: `pq symbols` shows what is", err=True)
    return 1 if missed else 0


def _feed(symbol: Symbol, running: list[str], asked: str | None) -> str:
    """One that runs if it carries the symbol; else the exchange's own, for when it does run."""
    from market.errors import DeskError
    from pocketquant.feed_choice import feed_for

    try:
        return feed_for(symbol, running, asked)
    except DeskError:
        pass
    try:
        return feed_for(symbol, asked=asked)
    except DeskError as error:
        raise click.UsageError(str(error)) from error


def _registered_feed(settings: "Settings", symbol: Symbol) -> str | None:
    """What `pq symbols add --live` has set."""
    if not settings.folders.history.is_file():
        return None
    from sinks.registry_book import RegistryBook

    with RegistryBook(settings.folders.history) as book:
        held = book.get(symbol)
    return held.live or None if held is not None else None


def _check_spelling(symbol: Symbol, feed: str) -> None:
    """Refuse what the feed could not ask its venue for."""
    from market.spelling import to_venue
    from market.symbols import SymbolError

    try:
        to_venue(symbol, feed)
    except SymbolError as error:
        raise click.UsageError(str(error)) from error


def _when(settings: "Settings", feed: str) -> str:
    running = running_feeds(settings)
    if not running:
        return ", from the next `pq up` on"
    return "" if feed in running else f", once the desk runs it: it runs {' '.join(running)} now"
