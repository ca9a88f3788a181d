"""`pq verify` and `pq rebuild`."""

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from market.symbols import Symbol
from pocketquant import options
from pocketquant.output import Format, Kind, Records, aside, note, plain_row, write
from pocketquant.progress import progress
from pocketquant.times import format_time

if TYPE_CHECKING:
    from dataflows.verify import Difference, Verified
    from infra.settings import Settings

COLUMNS: Final[dict[str, Kind]] = {
    "exchange": "text",
    "symbol": "text",
    "interval": "text",
    "start": "time",
    "feed": "text",
    "where": "text",
    "field": "text",
    "stored": "text",
    "expected": "text",
}


@click.command(epilog=options.example("pq verify", "pq verify KRAKEN:BTCUSD --json", "pq verify --output differ.csv"))
@click.argument("symbol", type=options.SYMBOL, required=False)
@options.output_options
@options.desk_options
def verify(symbol: Symbol | None, *, form: Format | None, as_json: bool, output: Path | None, **desk: Any) -> int:
    """Work bars out anew from the journal by a slow, independent rule, and compare them with the stored ones.

    The store's log is checked too, row by row along its chain of hashes. Exit 1 if anything differs.
    """
    from dataflows.verify import Verified
    from dataflows.verify import verify as run
    from pocketquant.reading import known_symbols, nothing_for, open_bars

    picked = options.chosen(form, as_json, output)
    settings = options.existing_desk(**desk)
    if symbol is not None and symbol not in known_symbols(settings):
        raise click.UsageError(nothing_for(settings, symbol, "bars"))
    # An empty store has nothing that differs; that it was not always empty is known elsewhere.
    consumed = _consumed(settings)
    store = open_bars(settings)
    lost: list[str] = []
    if store is None:
        result = Verified(0, [], [], [], 0)
        if consumed:
            lost.append(
                f"bar store {settings.folders.bars} is missing, and had the bars of journal rows up to {consumed}: put "
                f"it back, or move {settings.folders.recovery_bars} away and start again: bars are then made anew"
            )
    else:
        steps = {"recompute": "working bars out", "compare": "comparing"}
        with closing(store), progress(steps) as tell:
            result = run(
                settings.folders.journal,
                store,
                None if symbol is None else {symbol},
                consumed=consumed,
                grace_ns=round(settings.grace_s * 1_000_000_000),
                tell=tell,
            )
    removed, left_out = _removed(settings), 0
    if removed:
        kept = [one for one in result.differences if not _was_removed(one, removed)]
        left_out = len(result.differences) - len(kept)
        result = result._replace(differences=kept)
    differ = len({(d.feed, d.symbol, d.interval, d.start) for d in result.differences})
    sentence = f"{result.bars} bars compared, {differ} differ"
    rows = [
        (*d.symbol, str(d.interval), d.start, d.feed, d.where, d.field, _text(d.stored), _text(d.expected))
        for d in result.differences
    ]
    if picked == "json":
        _write_json(result, differ, rows, lost, output)
    else:
        if picked == "table" and output is None:
            click.echo(sentence)
        else:
            note(sentence)
        if rows or output is not None:
            write(Records(COLUMNS, rows), picked, output)
    if left_out:
        note(f"{left_out} bars that were removed with their symbol (`pq symbols remove --with-data`) are left out")
    for trouble in (*lost, *result.findings, *result.damage):
        note(str(trouble))
    return 0 if result.good and not lost else 1


def _removed(settings: "Settings") -> dict[Symbol, int]:
    """Symbols whose bars a user has removed, and when: the journal has their ticks for some days yet."""
    from sinks.registry_book import RegistryBook

    if not settings.folders.history.is_file():
        return {}
    with RegistryBook(settings.folders.history) as book:
        return book.removals()


def _was_removed(one: "Difference", removed: dict[Symbol, int]) -> bool:
    """Whether a bar is absent because a user removed it."""
    return one.where == "store" and one.stored is None and one.start < removed.get(one.symbol, 0)


def _consumed(settings: "Settings") -> int:
    """The row of the journal up to which the dataflow has put everything into the store, by its own note."""
    from dataflows.bars.keeper import WRITER
    from sinks.ledger import Ledger

    if not settings.folders.desk.is_file():
        return 0
    with Ledger(settings.folders.desk) as ledger:
        return next((position.seq for position in ledger.positions() if position.consumer == WRITER), 0)


def _write_json(
    result: "Verified", differ: int, rows: list[tuple[Any, ...]], lost: list[str], output: Path | None
) -> None:
    document = {
        "compared": result.bars,
        "differ": differ,
        "differences": [dict(zip(COLUMNS, plain_row(COLUMNS, row), strict=True)) for row in rows],
        "log": [*lost, *(str(finding) for finding in result.findings)],
        "journal": [str(damage) for damage in result.damage],
    }
    text = json.dumps(document, indent=1)
    if output is None:
        click.echo(text)
        return
    with aside(output) as path:
        path.write_text(text + "\n")


def _text(value: Any) -> str | None:
    """A value of any field, floats with all their digits."""
    return None if value is None else repr(value) if isinstance(value, float) else str(value)


@click.command(
    epilog=options.example(
        "pq rebuild KRAKEN:BTCUSD", "pq rebuild SIM:BTCUSD --start 2026-01-02 --end 2026-01-03T12:00:00Z"
    )
)
@click.argument("symbol", type=options.SYMBOL)
@click.option("--start", type=options.TIME, help="Bars that start at this time or later.")
@click.option("--end", type=options.TIME, help="Bars that end by this time.")
@options.desk_options
def rebuild(symbol: Symbol, *, start: int | None, end: int | None, **desk: Any) -> int:
    """Make a symbol's closed bars anew from the journal, and write those that the store lacks or has otherwise.

    Days that the journal has let go are read from the archive. What changes becomes the next revision of its bar;
    healed and official bars stay.
    """
    from dataflows.rebuild import rebuild as run
    from pocketquant.archived import archive_of
    from pocketquant.reading import known_symbols, nothing_for
    from sinks.bar_store import open_store
    from sinks.query_cache import announced

    options.check_span(start, end)
    settings = options.existing_desk(**desk)
    if symbol not in known_symbols(settings):
        raise click.UsageError(nothing_for(settings, symbol, "ticks"))
    with (
        closing(announced(open_store(settings.store), settings.redis, settings.store)) as store,
        progress({"rebuild": "making bars anew"}) as tell,
    ):
        made = run(
            settings.folders.journal,
            store,
            symbol,
            start,
            end,
            archive=archive_of(settings),
            grace_ns=round(settings.grace_s * 1_000_000_000),
            tell=tell,
        )
    span = f" from {format_time(made.first)} to {format_time(made.last)}" if made.first and made.last else ""
    click.echo(f"{symbol}: {made.bars} bars made anew{span}, {made.written} written")
    for damage in made.damage:
        note(f"skipped: {damage}")
    if made.left:
        note(f"{made.left} bars around what was skipped were left as they are stored: they may hold what is lost now")
    return 1 if made.damage else 0
