"""Options of the commands that run strategies on bars, and the plan that they make."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from pocketquant import backtests, options
from pocketquant.commands.importing import ZoneType

_SPAN: Final = (
    click.option("--symbol", "symbols", type=options.SYMBOL, multiple=True, help="What is traded; repeatable."),
    click.option("--interval", type=options.INTERVAL, help="Length of the bars."),
    click.option("--start", type=options.TIME, help="Bars that start at this time or later."),
    click.option("--end", type=options.TIME, help="Bars that start before this time."),
)
_ACCOUNT: Final = (
    click.option("--cash", type=float, default=10_000.0, show_default=True, help="To begin with."),
    click.option("--currency", default="USD", show_default=True, help="Of the account, and of prices unless told."),
    click.option(
        "--quoted", multiple=True, metavar="SYMBOL=CURRENCY", help="Currency of a symbol's prices; repeatable."
    ),
    click.option(
        "--rate", "rates", multiple=True, metavar="CURRENCY=SYMBOL", help="Bars of a currency's rate; repeatable."
    ),
    click.option(
        "--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Bars of a CSV or Parquet file."
    ),
    click.option(
        "--tz", "zone", type=ZoneType(), default="UTC", help="Zone of the file's stamps that name none  [default: UTC]"
    ),
    click.option("--archive", is_flag=True, help="Bars of the archive instead of the store."),
)

_BESIDE_MANIFEST: Final = ("manifest", "output", "as_json", "data_dir", "config")


def span_options(command: options.Command) -> options.Command:
    """Add which bars are run on."""
    return _added(command, _SPAN)


def account_options(command: options.Command) -> options.Command:
    """Add what it is run with, and where the bars are."""
    return _added(command, _ACCOUNT)


def plan_fields(given: dict[str, Any]) -> dict[str, Any]:
    """The fields of a plan: of `span_options`, `account_options` and the conditions, which are taken out of `given`.

    Raises:
        click.UsageError: They contradict each other, or one is not understood.
    """
    symbols, interval = given.pop("symbols"), given.pop("interval")
    start, end = given.pop("start"), given.pop("end")
    file, archive, zone = given.pop("file"), given.pop("archive"), given.pop("zone")
    currency, lot = given.pop("currency").upper(), given.pop("lot")
    if file is not None and archive:
        msg = "--file and --archive contradict each other"
        raise click.UsageError(msg)
    for symbol in symbols:
        options.check_exchange(symbol)
    if len(set(symbols)) < len(symbols):
        msg = f"--symbol names one twice: {' '.join(map(str, symbols))}"
        raise click.UsageError(msg)
    if file is not None and len(symbols) > 1:
        msg = "--file holds the bars of one symbol: name one, or `pq import` the files and run without --file"
        raise click.UsageError(msg)
    options.check_span(start, end)

    from market.spelling import read_symbol

    quoted = backtests.pairs("--quoted", given.pop("quoted"))
    rates = backtests.pairs("--rate", given.pop("rates"))
    return {
        "symbols": [str(symbol) for symbol in symbols],
        "interval": str(interval),
        "start": start,
        "end": end,
        "cash": given.pop("cash"),
        "currency": currency,
        "quoted": {str(read_symbol(name)): value.upper() for name, value in quoted.items()},
        "rates": {name.upper(): str(read_symbol(value)) for name, value in rates.items()},
        "lot": lot,
        "conditions": backtests.conditions(given, currency),
        "where": "file" if file is not None else "archive" if archive else "store",
        "file": None if file is None else str(file.absolute()),
        "zone": str(zone),
    }


def check_manifest_alone(*kept: str) -> None:
    """Refuse whatever is given beside `--from`, which would be without effect.

    Args:
        kept: Names of the command's arguments that say nothing of the run itself.

    Raises:
        click.UsageError: Something else is given; it is named.
    """
    context = click.get_current_context()
    for one in context.command.params:
        name = str(one.name)
        if name not in {*_BESIDE_MANIFEST, *kept} and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            given = one.opts[0] if isinstance(one, click.Option) else name.upper()
            msg = f"--from has all of the run in its manifest: leave {given} out"
            raise click.UsageError(msg)


def _added(command: options.Command, more: tuple[Callable[[options.Command], options.Command], ...]) -> options.Command:
    for option in reversed(more):
        command = option(command)
    return command
