"""`pq coverage`."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from market.intervals import MINUTE_NS, Interval
from market.symbols import Symbol
from pocketquant import options
from pocketquant.output import Format, Kind, Records, note
from pocketquant.progress import progress

if TYPE_CHECKING:
    from history.coverage import Coverage
    from infra.settings import Settings

SERIES: Final[dict[str, Kind]] = {
    "exchange": "text",
    "symbol": "text",
    "interval": "text",
    "first": "time",
    "last": "time",
    "expected": "int",
    "held": "int",
    "quiet": "int",
    "missing": "int",
    "holes": "int",
}
HOLES: Final[dict[str, Kind]] = {
    "exchange": "text",
    "symbol": "text",
    "interval": "text",
    "start": "time",
    "end": "time",
    "missing": "int",
}
DAYS: Final[dict[str, Kind]] = {
    "exchange": "text",
    "symbol": "text",
    "interval": "text",
    "day": "text",
    "expected": "int",
    "held": "int",
    "quiet": "int",
    "missing": "int",
}


@click.command(
    epilog=options.example(
        "pq coverage",
        "pq coverage KRAKEN:BTCUSD",
        "pq coverage KRAKEN:BTCUSD --interval 1m --start 2026-01-01 --holes",
        "pq coverage NASDAQ:AAPL --interval 1d --days --format csv",
    )
)
@click.argument("symbol", type=options.SYMBOL, required=False)
@click.option("--interval", type=options.INTERVAL, help="Bars of this length only.")
@click.option("--start", type=options.TIME, help="Look from this time on  [default: from the oldest bar]")
@click.option("--end", type=options.TIME, help="Look up to this time  [default: to the newest bar]")
@click.option("--holes", "only_holes", is_flag=True, help="List the holes.")
@click.option("--days", "only_days", is_flag=True, help="List the days.")
@options.output_options
@options.desk_options
def coverage(
    symbol: Symbol | None,
    *,
    interval: Interval | None,
    start: int | None,
    end: int | None,
    only_holes: bool,
    only_days: bool,
    form: Format | None,
    as_json: bool,
    output: Path | None,
    **desk: Any,
) -> None:
    """What history is held, and its holes, per symbol and interval, as a calendar.

    Of the bars that the exchange's calendar has room for, those that are absent are quiet where a provider was asked
    for them or the live feed was up, for then nothing traded; else they are missing. `pq backfill` fetches those.
    """
    picked = options.chosen(form, as_json, output)
    options.check_span(start, end)
    if symbol is not None:
        options.check_exchange(symbol)
    if only_holes and only_days:
        msg = "--holes and --days are two lists: name one of them"
        raise click.UsageError(msg)
    settings = options.existing_desk(**desk)
    found = list(_look(settings, symbol, interval, start, end))
    whose = f" of {symbol}" if symbol else ""
    empty = f"no bars{whose} are held: `pq sync {symbol or 'KRAKEN:BTCUSD'} {interval or '1d'}` fetches some"
    if only_holes:
        options.deliver(Records(HOLES, _hole_rows(found), empty=f"no holes{whose}"), form, as_json, output)
        return
    if only_days:
        options.deliver(Records(DAYS, _day_rows(found), empty=empty), form, as_json, output)
        return
    rows = [
        (*_series(one), one.first, one.last, one.expected, one.held, one.quiet, one.missing, len(one.holes))
        for one in found
    ]
    options.deliver(Records(SERIES, rows, empty=empty), form, as_json, output)
    if picked == "table" and output is None and symbol is not None and found:
        _show_calendars(found)


def _look(
    settings: "Settings", symbol: Symbol | None, interval: Interval | None, start: int | None, end: int | None
) -> "Iterator[Coverage]":
    """What is held of each series; nothing is created."""
    from history.coverage import coverage as look
    from history.coverage import known_spans
    from infra.kept_schedules import keep_in
    from pocketquant.reading import open_bars
    from sinks.chunk_book import ChunkBook
    from sinks.ledger import Ledger

    keep_in(settings.folders.cache)
    with ExitStack() as stack:
        store = open_bars(settings)
        if store is None:
            return
        stack.enter_context(closing(store))
        folders = settings.folders
        chunks = stack.enter_context(ChunkBook(folders.history)) if folders.history.is_file() else None
        ledger = stack.enter_context(Ledger(folders.desk)) if folders.desk.is_file() else None
        tell = stack.enter_context(progress({"look": "looking"}))
        every, now = store.series(), time.time_ns()
        newest = {one.symbol: one.last + MINUTE_NS for one in every if one.interval is Interval.M1}
        wanted = [
            one
            for one in every
            if (symbol is None or one.symbol == symbol) and (interval is None or one.interval is interval)
        ]
        for number, one in enumerate(wanted):
            known = known_spans(
                one.symbol,
                one.interval,
                store=store,
                chunks=chunks,
                ledger=ledger,
                live_until=newest.get(one.symbol),
            )
            yield look(store, one.symbol, one.interval, known, now, start, end, one)
            tell("look", (number + 1) / len(wanted))


def _series(one: "Coverage") -> tuple[str, str, str]:
    return (*one.symbol, str(one.interval))


def _hole_rows(found: "list[Coverage]") -> Iterator[tuple[Any, ...]]:
    for one in found:
        for hole in one.holes:
            yield (*_series(one), hole.start, hole.end, hole.bars)


def _day_rows(found: "list[Coverage]") -> Iterator[tuple[Any, ...]]:
    from datetime import date, timedelta

    for one in found:
        for day in one.days:
            when = date(1970, 1, 1) + timedelta(days=day.day)
            yield (*_series(one), when.isoformat(), day.expected, day.held, day.quiet, day.missing)


def _show_calendars(found: "list[Coverage]") -> None:
    """A calendar of each series: of intervals above the day there is none to speak of."""
    from pocketquant.calendar_view import LEGEND, calendar_lines

    shown = [one for one in found if one.interval <= Interval.D1]
    for one in shown:
        click.echo(f"\n{one.symbol} {one.interval}")
        for line in calendar_lines(one.days):
            click.echo(line)
    if shown:
        note(LEGEND)
