"""`pq alert`: prices to be told of."""

import math
import time
from pathlib import Path
from typing import Any, Final, Literal

import click

from market.symbols import Symbol
from pocketquant import options
from pocketquant.output import Format, Kind, Records

COLUMNS: Final[dict[str, Kind]] = {
    "id": "int",
    "exchange": "text",
    "symbol": "text",
    "side": "text",
    "price": "float",
    "armed": "bool",
    "made_at": "time",
    "fired_at": "time",
}


@click.group(epilog=options.example("pq alert add SIM:BTCUSD above 70000", "pq alert list", "pq alert remove 1"))
def alert() -> None:
    """Price alerts: told once, in the log, `pq status`, the live screen and by `notify` where that is set."""


@alert.command(epilog=options.example("pq alert add SIM:BTCUSD above 70000", "pq alert add KRAKEN:ETHUSD below 2500.5"))
@click.argument("symbol", type=options.SYMBOL)
@click.argument("side", type=click.Choice(["above", "below"]), metavar="above/below")
@click.argument("price", type=float)
@options.desk_options
def add(symbol: Symbol, side: Literal["above", "below"], price: float, **desk: Any) -> None:
    """Be told when SYMBOL trades at or above (at or below) PRICE while the desk runs."""
    from sinks.ledger import Ledger

    if not math.isfinite(price):
        msg = f"PRICE is a number, such as 70000.5, not {price!r}"
        raise click.UsageError(msg)
    options.check_exchange(symbol)
    settings = options.settings(**desk)
    settings.folders.create()
    with Ledger(settings.folders.desk) as ledger:
        number = ledger.set_price_alert(symbol, side, price, time.time_ns())
        followed = any(one.symbol == symbol for one in ledger.subscriptions())
    hint = "" if followed else f"; it is not followed yet: `pq subscribe {symbol}`"
    click.echo(f"alert {number}: {symbol} at or {side} {price!r}{hint}", err=True)


@alert.command(name="list", epilog=options.example("pq alert list", "pq alert list --json"))
@options.output_options
@options.desk_options
def list_alerts(*, form: Format | None, as_json: bool, output: Path | None, **desk: Any) -> None:
    """All price alerts; one that has fired says when."""
    from sinks.ledger import Ledger

    options.chosen(form, as_json, output)
    settings = options.existing_desk(**desk)
    rows: list[tuple[Any, ...]] = []
    if settings.folders.desk.is_file():
        with Ledger(settings.folders.desk) as ledger:
            rows = [(a.id, *a.symbol, a.side, a.price, a.armed, a.made_at, a.fired_at) for a in ledger.price_alerts()]
    empty = "no price alerts: `pq alert add SIM:BTCUSD above 70000` makes one"
    options.deliver(Records(COLUMNS, rows, empty=empty), form, as_json, output)


@alert.command(epilog=options.example("pq alert remove 1"))
@click.argument("number", type=click.IntRange(1), metavar="ID")
@options.desk_options
def remove(number: int, **desk: Any) -> int:
    """Forget an alert."""
    from sinks.ledger import Ledger

    settings = options.existing_desk(**desk)
    with Ledger(settings.folders.desk) as ledger:
        gone = ledger.remove_price_alert(number)
    click.echo(f"alert {number} is {'removed' if gone else 'not there: `pq alert list` shows them'}", err=True)
    return 0 if gone else 1
