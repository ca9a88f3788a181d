"""`pq strategies`: what can be backtested and traded on paper, and a file to begin one's own with."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from pocketquant import options
from pocketquant.output import Format, Kind, Records, note

if TYPE_CHECKING:
    from strategies.loader.files import Strategy
    from strategies.loader.parameters import Described

_Result = TypeVar("_Result")

COLUMNS: Final[dict[str, Kind]] = {
    "strategy": "text",
    "whose": "text",
    "parameters": "text",
    "about": "text",
    "decides": "text",
    "file": "text",
    "source_hash": "text",
}
CARD: Final[dict[str, Kind]] = {
    "parameter": "text",
    "kind": "text",
    "default": "text",
    "range": "text",
    "about": "text",
}
_TABLE: Final = 4
"""Columns that fit a terminal; the rest is for programs."""


@click.group(
    invoke_without_command=True,
    epilog=options.example("pq strategies", "pq strategies show sma-cross", "pq strategies new my-first"),
)
@options.output_options
@options.desk_options
@click.pass_context
def strategies(
    context: click.Context, /, *, form: Format | None, as_json: bool, output: Path | None, **desk: Any
) -> int | None:
    """Strategies of ours and of your own folder with their parameters; commands to show one and to begin one."""
    if context.invoked_subcommand is not None:
        # `pq strategies --data-dir D new mine` means the same as `pq strategies new mine --data-dir D`.
        context.obj = {name: value for name, value in desk.items() if value is not None}
        return None
    return _list(form, as_json, output, **desk)


@strategies.command("list", epilog=options.example("pq strategies list --json"))
@options.output_options
@options.desk_options
def list_(*, form: Format | None, as_json: bool, output: Path | None, **desk: Any) -> int:
    """What `pq strategies` shows: each with its parameters, and a sentence on each file that cannot be used."""
    return _list(form, as_json, output, **_desk(desk))


@strategies.command(epilog=options.example("pq strategies show macd", "pq strategies show bollinger --json"))
@click.argument("strategy")
@options.output_options
@options.desk_options
def show(strategy: str, *, form: Format | None, as_json: bool, output: Path | None, **desk: Any) -> None:
    """What STRATEGY does, and its parameters: their defaults, ranges and meaning."""
    from strategies.loader.files import find

    picked = options.chosen(form, as_json, output)
    found = _rightly_used(lambda: find(strategy, options.settings(**_desk(desk)).strategies))
    if picked == "table":
        click.echo(f"{found.about}\n", err=True)
    rows = [(one.name, one.kind.__name__, _default(one), one.range, one.help) for one in found.described]
    options.deliver(Records(CARD, rows, empty=f"{found.name} has no parameters"), form, as_json, output)


@strategies.command(epilog=options.example("pq strategies new my-first"))
@click.argument("name")
@options.desk_options
def new(name: str, **desk: Any) -> None:
    """Write NAME into your own folder of strategies (the setting `strategies_dir`): it runs as it is, and is yours."""
    from strategies.loader.files import name_of
    from strategies.loader.starter import write_starter

    path = _rightly_used(lambda: write_starter(name, options.settings(**_desk(desk)).strategies))
    click.echo(str(path))
    note(f"edit it, then: pq backtest {name_of(path)} --symbol NASDAQ:GOOG --interval 1d")


def _list(form: Format | None, as_json: bool, output: Path | None, **desk: Any) -> int:
    from strategies.loader.files import list_all

    picked = options.chosen(form, as_json, output)
    found, troubles = list_all(options.settings(**desk).strategies)
    rows = [_row(one) for one in found]
    columns = COLUMNS
    if picked == "table" and output is None:
        columns = dict(list(COLUMNS.items())[:_TABLE])
        rows = [row[:_TABLE] for row in rows]
    options.deliver(Records(columns, rows), form, as_json, output)
    for trouble in troubles:
        note(trouble)
    return 1 if troubles else 0


def _row(one: "Strategy") -> tuple[str, ...]:
    return (
        one.name,
        "ours" if one.ours else "yours",
        " ".join(f"{parameter.name}={_default(parameter)}" for parameter in one.described),
        one.about.splitlines()[0],
        "orders" if one.places_orders else "exposure",
        str(one.path),
        one.source_hash,
    )


def _default(one: "Described") -> str:
    """A default as --param takes it; empty where a value must be given."""
    from strategies.loader.parameters import spelled

    return "" if one.default is None else str(spelled(one.default))


def _rightly_used(do: Callable[[], _Result]) -> _Result:
    """What `do` returns; a strategy that cannot be is wrong use."""
    from strategies.interface import StrategyError

    try:
        return do()
    except StrategyError as error:
        raise click.UsageError(str(error)) from error


def _desk(desk: dict[str, Any]) -> dict[str, Any]:
    """The desk's options, those given before the subcommand filling in."""
    above: dict[str, Any] = click.get_current_context().obj or {}
    return {name: above.get(name) if value is None else value for name, value in desk.items()}
