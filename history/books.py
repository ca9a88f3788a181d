"""The books of syncs and of chunks of a desk, and work that stands in them while it is in hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from market.errors import DeskError
from market.intervals import Interval
from market.symbols import Symbol
from sinks.chunk_book import ChunkBook
from sinks.process_token import this_process
from sinks.sync_book import SyncBook, SyncState, Task, Work

if TYPE_CHECKING:
    from history.desk import HistoryDesk


class StoppedError(DeskError):
    """It was told to stop before it was done."""


def sync_book(desk: "HistoryDesk") -> SyncBook:
    """The desk's book of syncs."""
    desk.folders.create()
    return desk.keep(SyncBook, lambda: SyncBook(desk.folders.history))


def chunk_book(desk: "HistoryDesk") -> ChunkBook:
    """The desk's book of chunks, without those that the store has lost."""
    desk.folders.create()

    def open_book() -> ChunkBook:
        book = ChunkBook(desk.folders.history)
        book.prune(desk.store)
        return book

    return desk.keep(ChunkBook, open_book)


@contextmanager
def in_hand(
    desk: "HistoryDesk", task: Task, symbol: Symbol, interval: Interval, *, alone: bool = False
) -> Iterator[Work]:
    """For the length of a block the book says that work is in hand; an error that ends the block is noted in it.

    Args:
        desk: The desk.
        task: What kind of work.
        symbol: Whose bars.
        interval: Their length.
        alone: Refuse it while another run of it goes on.

    Raises:
        InHandError: Another run goes on, and this one wants to be alone.
    """
    book = sync_book(desk)
    work = book.begin(task, symbol, interval, desk.now_ns(), this_process(), alone=alone)
    try:
        yield work
    except BaseException as error:
        book.fail(work, in_words(error), desk.now_ns())
        raise


def give_up(desk: "HistoryDesk", task: Task, symbol: Symbol, interval: Interval, error: Exception) -> None:
    """Note why work was never begun, if it is still pending."""
    book = sync_book(desk)
    now = desk.now_ns()
    status = book.status(task, symbol, interval, now)
    if status is not None and status.state is SyncState.PENDING:
        book.fail(book.begin(task, symbol, interval, now, this_process()), in_words(error), now)


def in_words(error: BaseException) -> str:
    """An error for the book and for a user; one of ours is a sentence already."""
    if isinstance(error, DeskError):
        return " ".join(str(error).split())
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return "it was interrupted; start it again, and it goes on"
    return f"unexpected {type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
