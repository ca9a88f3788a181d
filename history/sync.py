"""Sync: the newest bars of a series, or those of a span, from a provider into the store, with a status to ask for."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from threading import Event
from typing import TYPE_CHECKING, Final

from history.asking import COUNT_DEFAULT, check_request
from history.books import StoppedError, chunk_book, give_up, in_hand, sync_book
from history.planner import in_turn
from history.side_by_side import side_by_side
from history.tally import Fetch, Tally, Total, fetch_bars
from market.intervals import Interval
from market.symbols import Symbol
from sinks.process_token import this_process
from sinks.sync_book import Task

if TYPE_CHECKING:
    from history.desk import HistoryDesk

WRITER: Final = "sync"
AT_ONCE: Final = 4
"""Symbols at a time: more would only wait for the providers' pace."""


@dataclass(frozen=True, slots=True)
class Synced:
    """What one sync has done."""

    symbol: Symbol
    interval: Interval
    total: Total = field(default_factory=Total)
    seconds: float = 0.0
    error: Exception | None = None
    """Why it failed; what was received until then is stored. One of ours (`DeskError`) is a sentence for the user."""


def sync(
    desk: "HistoryDesk",
    symbol: Symbol,
    interval: Interval,
    *,
    count: int | None = None,
    start: int | None = None,
    end: int | None = None,
    provider: str | None = None,
    say: Callable[[str], None] | None = None,
    told: Callable[[Synced], None] | None = None,
    stop: Event | None = None,
    fetch: Fetch | None = None,
) -> Synced:
    """Fetch bars of one symbol and store them, page by page; the book says how it stands meanwhile.

    Args:
        desk: The desk.
        symbol: Whose bars.
        interval: Their length.
        count: The newest so many; 500 where no start is given either.
        start: ns; in place of a count, bars that start at this moment or later.
        end: ns; bars that start before this moment; None is now.
        provider: Ask this one only.
        say: Told, as a sentence, of each change of provider.
        told: Told after each page what was done so far.
        stop: Ends it after the page in hand.
        fetch: In place of `fetch_bars`.

    Raises:
        WrongRequest: What was asked for cannot be; nothing was called.
        StoppedError: It was told to stop.
        DeskError: No provider gave it, or the store does not take it. What was stored until then stays.
    """
    check_request(desk, [symbol], interval, start=start, end=end, count=count, provider=provider)
    if start is None and count is None:
        count = COUNT_DEFAULT
    fetch = fetch or fetch_bars()
    began = desk.now_ns()
    tally = Tally(symbol, interval)
    book = sync_book(desk)

    def so_far() -> Synced:
        return Synced(symbol, interval, tally.total, (desk.now_ns() - began) / 1e9)

    with in_hand(desk, Task.SYNC, symbol, interval) as work:
        # Before a bar is written: as the book is opened, it is looked what the store has lost.
        chunk_book(desk)
        parts = fetch(desk, symbol, interval, start=start, end=end, count=count, provider=provider, say=say)
        for part in parts:
            tally.store(desk, part, WRITER)
            book.advance(work, tally.total.bars, tally.total.provider)
            if told is not None:
                told(so_far())
            if stop is not None and stop.is_set():
                msg = f"sync of {symbol} {interval} was stopped after {tally.total.bars} bars: sync again"
                raise StoppedError(msg)
        # One row of what is fetched again and again, for coverage to tell quiet from missing.
        tally.note(desk, start, began, WRITER, join=True)
        book.complete(work, tally.total.bars, tally.total.provider or provider, desk.now_ns())
    return so_far()


def sync_many(
    desk: "HistoryDesk",
    symbols: Iterable[Symbol],
    interval: Interval,
    *,
    count: int | None = None,
    start: int | None = None,
    end: int | None = None,
    provider: str | None = None,
    at_once: int = AT_ONCE,
    say: Callable[[str], None] | None = None,
    told: Callable[[Synced], None] | None = None,
    ended: Callable[[Synced], None] | None = None,
    stop: Event | None = None,
    fetch: Fetch | None = None,
) -> list[Synced]:
    """Sync many symbols, some at a time; one symbol's failure never stops the rest.

    The newest bars of symbols of which nothing is held are fetched first, then those of the stalest, and what the
    providers' quotas will not reach is said beforehand.

    Args:
        desk: The desk.
        symbols: Whose bars; each is synced once.
        interval: As for `sync`, and so are those below that say no more.
        count: See `sync`.
        start: See `sync`.
        end: See `sync`.
        provider: See `sync`.
        at_once: Symbols at a time.
        say: See `sync`; called from several threads.
        told: Told of each symbol after each page; from several threads.
        ended: Told of each symbol when it is done or has failed; from several threads.
        stop: Ends those in hand after their page, and begins no other.
        fetch: See `sync`.

    Returns:
        One a symbol, in their order; `error` says what went wrong.

    Raises:
        WrongRequest: What was asked for cannot be, for one of the symbols at least; nothing was begun.
    """
    wanted = check_request(desk, symbols, interval, start=start, end=end, count=count, provider=provider)
    stopped = stop or Event()
    sync_book(desk).ask(Task.SYNC, wanted, interval, desk.now_ns(), this_process())

    def one(symbol: Symbol) -> Synced:
        latest = Synced(symbol, interval)

        def remember(done: Synced) -> None:
            nonlocal latest
            latest = done
            if told is not None:
                told(done)

        try:
            if stopped.is_set():
                msg = f"sync of {symbol} {interval} was stopped before it began: sync again"
                raise StoppedError(msg)  # noqa: TRY301  # Handled as every other way to fail is.
            latest = sync(
                desk,
                symbol,
                interval,
                count=count,
                start=start,
                end=end,
                provider=provider,
                say=say,
                told=remember,
                stop=stopped,
                fetch=fetch,
            )
        except Exception as error:  # noqa: BLE001  # Whatever it is: the rest goes on, and the caller is told.
            give_up(desk, Task.SYNC, symbol, interval, error)
            latest = replace(latest, error=error)
        if ended is not None:
            ended(latest)
        return latest

    turn = wanted
    if fetch is None and start is None and provider is None and len(wanted) > 1:
        turn = in_turn(desk, wanted, interval, count or COUNT_DEFAULT, at_once=at_once, say=say or _silence)
    done = {synced.symbol: synced for synced in side_by_side(turn, one, at_once, stopped)}
    return [done[symbol] for symbol in wanted]


def _silence(_: str) -> None:
    """Nobody listens."""


def ask_for(desk: "HistoryDesk", symbols: Iterable[Symbol], interval: Interval) -> list[Symbol]:
    """Note that syncs are wanted, for a process that takes them up later; the book has their status from now on.

    Returns:
        The symbols, each once.

    Raises:
        WrongRequest: One of them cannot be synced.
    """
    wanted = check_request(desk, symbols, interval)
    sync_book(desk).ask(Task.SYNC, wanted, interval, desk.now_ns())
    return wanted
