"""`pq up` and `pq down`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from market.symbols import Symbol
from pocketquant import options

if TYPE_CHECKING:
    from infra.settings import Settings
    from pocketquant.screen import View

FEEDS: Final = ("auto", "sim", "kraken", "coinbase", "binance", "okx", "tradingview")
DOWN_S: Final = 120.0


@click.command(
    epilog=options.example(
        "pq up",
        "pq up --feed kraken --symbol KRAKEN:BTCUSD --symbol KRAKEN:ETHUSD",
        "pq up --feed sim --data-dir sandbox --exit-after 120",
        "pq up --without flows --without paper",
    )
)
@click.option(
    "--feed",
    "feeds",
    type=click.Choice(FEEDS),
    multiple=True,
    help="Where ticks come from; repeatable. auto: the first venue that answers, else the simulated exchange.  "
    "[default: the settings', else auto]",
)
@click.option("--symbol", "symbols", type=options.SYMBOL, multiple=True, help="Subscribe to this too; repeatable.")
@click.option("--exit-after", type=click.FloatRange(0), metavar="SECONDS", help="Stop after this long.")
@click.option(
    "--without",
    "without",
    type=click.Choice(["flows", "paper"]),
    multiple=True,
    help="Leave out: flows are Prefect's server, its UI, and all that moves history by a schedule; paper is paper "
    "trading.",
)
@click.option("--plain", is_flag=True, help="Plain lines instead of the live screen.")
@options.desk_options
def up(
    feeds: tuple[str, ...],
    symbols: tuple[Symbol, ...],
    *,
    exit_after: float | None,
    without: tuple[str, ...],
    plain: bool,
    data_dir: Path | None,
    config: Path | None,
) -> int:
    """Start everything and show it live; Ctrl-C or SIGTERM stops it cleanly."""
    from infra import logs
    from pocketquant.desk import Desk

    chosen_out = {name: {"enabled": False} for name in without}
    settings = options.settings(data_dir, config, feeds=list(feeds) or None, **chosen_out)
    for symbol in symbols:
        options.check_exchange(symbol)
    folders = settings.folders.create()
    logs.configure("supervisor", folders.log_file("supervisor"), level=settings.log_level, secrets=settings.secrets())
    desk = Desk(settings, config.absolute() if config is not None else None)
    # The folder is taken before anything is looked up or written, so that a second start changes nothing.
    with desk.held():
        chosen = desk.choose_feeds(_say)
        desk.subscribe(chosen, symbols, _say)
        view = _view(settings, chosen, plain=plain)
        return desk.run(chosen, view, exit_after)


def _view(settings: "Settings", feeds: list[str], *, plain: bool) -> "View":
    from pocketquant.screen import LiveView, PlainView

    if plain or not sys.stdout.isatty():
        return PlainView(settings, _say)
    from rich.console import Console

    return LiveView(settings, feeds, Console())


def _say(text: str) -> None:
    click.echo(text)
    sys.stdout.flush()


@click.command(epilog=options.example("pq down", "pq down --data-dir sandbox"))
@options.desk_options
def down(**desk: Any) -> None:
    """Stop what `pq up` started with this data folder, and wait until it has ended."""
    from pocketquant.hold import stop

    settings = options.existing_desk(**desk)
    stopped = stop(settings.folders, DOWN_S)
    if stopped is None:
        click.echo(f"nothing runs on {settings.folders.data_dir}", err=True)
    else:
        click.echo(f"stopped the {stopped.what} on {settings.folders.data_dir} (pid {stopped.pid})", err=True)
