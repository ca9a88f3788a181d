"""What the commands share: their options, their types, and the desk that they are about."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from market.intervals import NAMES, Interval, IntervalError, parse_interval
from market.spelling import read_symbol
from market.symbols import Symbol, SymbolError
from pocketquant.output import FORMATS, Format, Records, write
from pocketquant.times import TimeError, parse_time

if TYPE_CHECKING:
    from infra.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])


class SymbolType(click.ParamType[Symbol]):
    """`EXCHANGE:TICKER` in any case and any spelling of its venue: one instrument has one name."""

    name = "symbol"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Symbol:
        """Read a symbol, or fail with its rule."""
        if isinstance(value, Symbol):
            return value
        try:
            return read_symbol(value)
        except SymbolError as error:
            self.fail(str(error), param, ctx)


class IntervalType(click.ParamType[Interval]):
    """One of the thirteen."""

    name = "interval"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Interval:
        """Read an interval, or fail with the list."""
        if isinstance(value, Interval):
            return value
        try:
            return parse_interval(value)
        except IntervalError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002  # Click passes these.
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """The intervals that begin so."""
        return [CompletionItem(name) for name in NAMES if name.startswith(incomplete)]


class TimeType(click.ParamType[int]):
    """An ISO 8601 time; becomes ns since 1970 UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read a time, or fail with its form."""
        if isinstance(value, int):
            return value
        try:
            return parse_time(value)
        except TimeError as error:
            self.fail(str(error), param, ctx)


SYMBOL = SymbolType()
INTERVAL = IntervalType()
TIME = TimeType()
FILE = click.Path(path_type=Path)


def desk_options(command: Command) -> Command:
    """Add --data-dir and --config."""
    for option in (
        click.option("--config", type=FILE, help="Settings file  [default: pocketquant.toml in the data folder]"),
        click.option(
            "--data-dir",
            type=FILE,
            help="Data folder  [default: POCKETQUANT_DATA_DIR, else the platform's folder for data]",
        ),
    ):
        command = option(command)
    return command


def output_options(command: Command) -> Command:
    """Add --format, --json and --output."""
    for option in (
        click.option("--output", type=FILE, help="Write to FILE, whose ending names the format unless --format does."),
        click.option("--json", "as_json", is_flag=True, help="Short for --format json."),
        click.option("--format", "form", type=click.Choice(FORMATS), help="How to write the result  [default: table]"),
    ):
        command = option(command)
    return command


def adjust_option(command: Command) -> Command:
    """Add --adjust."""
    return click.option(
        "--adjust",
        type=click.Choice(["none", "splits", "all"]),
        default="none",
        show_default=True,
        help="Take splits, or splits and dividends, out of the prices before them.",
    )(command)


def example(*lines: str) -> str:
    """The end of a command's help: examples as they are typed."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def settings(data_dir: Path | None, config: Path | None, **options: Any) -> "Settings":
    """The settings of a command; a wrong one is wrong use.

    Raises:
        click.UsageError: A setting is wrong.
    """
    from infra.settings import load_settings
    from market.errors import DeskError

    try:
        found = load_settings(data_dir, config, **options)
    except DeskError as error:
        raise click.UsageError(str(error)) from error
    context = click.get_current_context(silent=True)
    if context is not None:
        # Where an unexpected error is written.
        context.find_root().meta["pocketquant.data_dir"] = found.data_dir
    return found


def existing_desk(data_dir: Path | None, config: Path | None) -> "Settings":
    """The settings of a desk that is there; nothing is created.

    Raises:
        click.UsageError: A setting is wrong, or there is no desk in the data folder.
    """
    from market.errors import DeskError

    found = settings(data_dir, config)
    try:
        found.folders.require()
    except DeskError as error:
        raise click.UsageError(str(error)) from error
    return found


def deliver(records: Records, form: Format | None, as_json: bool, output: Path | None) -> None:
    """Write a read command's result as its options say.

    It returns nothing, since what a command returns is its exit code, and the number of rows is none.

    Raises:
        click.UsageError: The options contradict each other.
    """
    write(records, chosen(form, as_json, output), output)


def chosen(form: Format | None, as_json: bool, output: Path | None) -> Format:
    """The format that --format, --json and the file's ending name.

    Raises:
        click.UsageError: They contradict each other, or the format needs a file.
    """
    if as_json and form not in {None, "json"}:
        msg = f"--json and --format {form} contradict each other"
        raise click.UsageError(msg)
    if form is None and not as_json and output is not None:
        by_ending: dict[str, Format] = {".json": "json", ".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}
        return by_ending.get(output.suffix.lower(), "table")
    picked: Format = "json" if as_json else form or "table"
    if picked == "parquet" and output is None:
        msg = "--format parquet needs a file: add --output FILE"
        raise click.UsageError(msg)
    return picked


def agreed(question: str) -> None:
    """Ask before something is lost for good; go on if the answer is yes.

    Raises:
        click.UsageError: Nobody is there to answer.
        click.Abort: The answer is no.
    """
    try:
        click.confirm(question, abort=True, err=True)
    except click.Abort as error:
        if sys.stdin.isatty():
            raise
        msg = "nobody has agreed, so nothing was done: say --yes where there is no terminal to ask at"
        raise click.UsageError(msg) from error


def check_exchange(symbol: Symbol) -> None:
    """Refuse a symbol of an exchange without a calendar: its bars would be cut wrongly.

    Raises:
        click.UsageError: The calendar is not known; says how to add it.
    """
    from market.errors import DeskError
    from market.sessions import calendar_name

    try:
        calendar_name(symbol)
    except DeskError as error:
        raise click.UsageError(str(error)) from error


def check_span(start: int | None, end: int | None) -> None:
    """Refuse a span that ends before it starts.

    Raises:
        click.UsageError: It does.
    """
    if start is not None and end is not None and end <= start:
        from pocketquant.times import format_time

        msg = f"--end {format_time(end)} is not after --start {format_time(start)}"
        raise click.UsageError(msg)
