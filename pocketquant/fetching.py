"""What the commands that fetch history share: the symbols they are about, their desk, their sentences."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from market.symbols import Symbol
from pocketquant.output import Kind, Records, note
from pocketquant.until_signal import until_signal

if TYPE_CHECKING:
    from threading import Event

    from history.desk import HistoryDesk
    from history.tally import Total
    from infra.settings import Settings
    from market.intervals import Interval
    from sinks.sync_book import Task

STATUS_COLUMNS: Final[dict[str, Kind]] = {
    "task": "text",
    "exchange": "text",
    "symbol": "text",
    "interval": "text",
    "state": "text",
    "provider": "text",
    "bars": "int",
    "chunks_done": "int",
    "chunks": "int",
    "asked_at": "time",
    "started_at": "time",
    "ended_at": "time",
    "completed_at": "time",
    "message": "text",
}


@contextmanager
def fetching_desk(settings: "Settings") -> "Iterator[tuple[HistoryDesk, Event]]":
    """A desk to fetch for, and the event of a signal: Ctrl-C ends it after the pages in hand, and any wait at once.

    Nothing is created before something is written to it.

    Raises:
        click.UsageError: What was asked for cannot be.
    """
    from history.asking import WrongRequest
    from history.books import StoppedError
    from history.desk import HistoryDesk

    def sleep(seconds: float) -> None:
        if stop.wait(seconds):
            msg = "it was stopped while it waited; start it again, and it goes on"
            raise StoppedError(msg)

    try:
        with until_signal() as stop, HistoryDesk(settings, sleep=sleep) as desk:
            yield desk, stop
    except WrongRequest as error:
        raise click.UsageError(str(error)) from error


def open_log(settings: "Settings", name: str) -> None:
    """From here on what is unexpected goes to the log of a command; the data folder is made if it is not there."""
    from infra import logs

    folders = settings.folders.create()
    logs.configure(name, folders.log_file(name), level=settings.log_level, secrets=settings.secrets())


def chosen_symbols(
    desk: "HistoryDesk", named: Sequence[Symbol], everything: bool, universe: str | None
) -> Sequence[Symbol]:
    """The symbols that were named, all that are registered, or those of a list.

    Raises:
        click.UsageError: None, or more than one of these; or there are none.
    """
    if bool(named) + everything + (universe is not None) != 1:
        msg = "name symbols, such as KRAKEN:BTCUSD, or a list by --universe, or --all for every registered one"
        raise click.UsageError(msg)
    if named:
        return named
    from history import registry
    from market.errors import DeskError

    try:
        desk.folders.require()
        found = registry.registered(desk) if universe is None else registry.universe(desk, universe)
    except DeskError as error:
        raise click.UsageError(str(error)) from error
    if not found:
        msg = "no symbol is registered or followed: `pq symbols add KRAKEN:BTCUSD`, or name one"
        raise click.UsageError(msg)
    return found


def say(text: str) -> None:
    """A change of provider and the like, on standard error; from any thread."""
    # One call, so that two threads' lines do not mix.
    sys.stderr.write(f"{text}\n")


def in_one_line(error: Exception) -> str:
    """Why one symbol failed; what is unexpected has its traceback in the log."""
    from history.books import in_words
    from market.errors import DeskError

    if not isinstance(error, DeskError):
        from infra.logs import logger

        logger().error("unexpected", exc_info=error)
    return in_words(error)


def without_message(records: Records) -> Records:
    """A table for people: what failed is said below it, once, and a long sentence makes a table unreadable."""
    last = len(records.columns) - 1
    columns = dict(list(records.columns.items())[:last])
    return Records(columns, [row[:last] for row in records.rows], empty=records.empty)


def report_failures(failed: Sequence[tuple[Symbol, str]], of: int) -> None:
    """Say on standard error which symbols failed, and why."""
    for symbol, why in failed:
        note(why if str(symbol) in why else f"{symbol}: {why}")
    if failed and of > 1:
        rest = "the rest is done" if len(failed) < of else "none is done"
        note(f"{len(failed)} of {of} symbols failed; {rest}")


def report_lost(symbol: Symbol, interval: "Interval", total: "Total") -> bool:
    """Say on standard error how many bars are missing for rows that were refused; whether there are any."""
    if total.lost:
        note(f"{symbol} {interval}: {total.shortfall}; the same command asks for that again")
    return total.lost > 0


def statuses(
    settings: "Settings", task: "Task | None", symbols: Sequence[Symbol], interval: "Interval | None"
) -> Records:
    """How syncs and backfills stand; nothing is created, and nothing but the book is read."""
    rows: list[tuple[Any, ...]] = []
    if settings.folders.history.is_file():
        from sinks.sync_book import SyncBook

        with SyncBook(settings.folders.history) as book:
            rows = [
                (
                    one.task, *one.symbol, str(one.interval), one.state, one.provider, one.bars,
                    one.done if one.parts else None, one.parts or None, one.asked_at, one.started_at, one.ended_at,
                    one.completed_at, one.message,
                )
                for one in book.statuses(time.time_ns(), task)
                if (not symbols or one.symbol in symbols) and (interval is None or one.interval is interval)
            ]  # fmt: skip
    return Records(STATUS_COLUMNS, rows, empty="nothing was synced or backfilled yet")
