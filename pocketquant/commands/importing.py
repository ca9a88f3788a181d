"""`pq import`."""

import json
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from market.intervals import Interval
from market.symbols import Symbol
from pocketquant import options
from pocketquant.output import note
from pocketquant.progress import progress
from pocketquant.times import format_time

if TYPE_CHECKING:
    from history.importing import Imported

FORMATS: Final = ("csv", "parquet")
_STEPS: Final = {"read": "reading rows", "write": "writing bars"}


class ZoneType(click.ParamType[tzinfo]):
    """A time zone by its name in the tz database."""

    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tzinfo:
        """Find a zone, or fail with examples."""
        from zoneinfo import ZoneInfo

        if isinstance(value, tzinfo):
            return value
        if value.upper() in {"UTC", "Z"}:
            return UTC
        try:
            return ZoneInfo(value)
        except (ValueError, OSError, LookupError):
            self.fail(f"no time zone {value!r}: name one such as UTC, America/New_York or Europe/Berlin", param, ctx)


@click.command(
    "import",
    epilog=options.example(
        "pq import AAPL.csv --symbol NASDAQ:AAPL --interval 1d",
        "pq import eurusd.csv --symbol OANDA:EURUSD --interval 1h --tz Europe/Athens --dry-run",
        "pq import btc.parquet --symbol KRAKEN:BTCUSD --interval 1m --skip-bad",
    ),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@click.option("--symbol", type=options.SYMBOL, required=True, help="Whose bars they are.")
@click.option("--interval", type=options.INTERVAL, required=True, help="Their length.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="The file's form  [default: guessed]")
@click.option("--tz", "zone", type=ZoneType(), default="UTC", help="Zone of stamps that name none  [default: UTC]")
@click.option(
    "--skip-bad", is_flag=True, help="Import the good rows of a file that has bad ones; these go to the rejects."
)
@click.option("--force", is_flag=True, help="Also where other official bars are held in their place.")
@click.option("--dry-run", is_flag=True, help="Check the file and compare it with what is held; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
@options.desk_options
def import_(
    file: Path,
    *,
    symbol: Symbol,
    interval: Interval,
    form: str | None,
    zone: tzinfo,
    skip_bad: bool,
    force: bool,
    dry_run: bool,
    as_json: bool,
    data_dir: Path | None,
    config: Path | None,
) -> None:
    """Bars of a CSV or Parquet file into the store: all of them, or none.

    The file has a column start (or time, date, timestamp, or a first one without a name), open, high, low, close and
    volume. The same file again changes nothing.
    """
    options.check_exchange(symbol)
    settings = options.settings(data_dir, config)

    from history.desk import HistoryDesk
    from history.importing import WrongFile, import_bars

    with HistoryDesk(settings) as desk, progress(_STEPS) as tell:
        try:
            done = import_bars(
                desk,
                file,
                symbol,
                interval,
                form=form,
                zone=zone,
                skip_bad=skip_bad,
                force=force,
                dry_run=dry_run,
                tell=tell,
            )
        except WrongFile as error:
            raise click.UsageError(str(error)) from error
    click.echo(json.dumps(_document(done)) if as_json else _describe(done))
    for sentence in done.notes:
        note(sentence)
    if done.rejected:
        count = sum(done.rejected.values())
        rows, were = ("row", "was") if count == 1 else ("rows", "were")
        where = "would be left out" if dry_run else f"{were} left out: `pq rejects --source file` says why"
        note(f"{count} {rows} {where}")


def _document(done: "Imported") -> dict[str, Any]:
    differences = done.differences
    return {
        "file": done.file,
        "exchange": done.symbol.exchange,
        "symbol": done.symbol.ticker,
        "interval": str(done.interval),
        "bars": done.bars,
        "first": None if done.first is None else format_time(done.first),
        "last": None if done.last is None else format_time(done.last),
        "new": differences.new,
        "same": differences.same,
        "replaced": differences.replaced,
        "corrected": differences.corrected,
        "contradicted": differences.contradicted,
        "written": None if done.written is None else done.written._asdict(),
        "rejected": dict(done.rejected),
        "out_of_session": done.out_of_session,
        "forming": done.forming,
        "absent": done.absent,
    }


def _describe(done: "Imported") -> str:
    assert done.first is not None
    assert done.last is not None
    span = f"{format_time(done.first)} to {format_time(done.last)}"
    head = f"{done.symbol} {done.interval}: {done.bars} bars, {span}"
    differences = done.differences
    if done.written is None:
        parts = [f"{differences.new} new", f"{differences.same} held already"]
        for count, what in (
            (differences.replaced, "in place of bars made from ticks"),
            (differences.corrected, "in place of an earlier file's"),
            (differences.contradicted, "against official ones"),
        ):
            if count:
                parts.append(f"{count} {what}")
        body = f"would be imported: {', '.join(parts)}"
    else:
        inserted, updated, unchanged, _ = done.written
        body = f"imported: {inserted} new, {updated} changed, {unchanged} held already"
    lines = [head, body]
    if done.rejected:
        lines.append("left out: " + ", ".join(f"{count} {reason}" for reason, count in done.rejected.items()))
    if done.absent:
        lines.append(f"the calendar has room for {done.absent} more between the first and the last")
    return "\n".join(lines)
