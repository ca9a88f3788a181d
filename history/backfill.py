"""Backfill: years of a series in chunks, each noted once its bars are stored, so that nothing is fetched twice.

A chunk is some thousands of bars. Whatever ends a backfill, the same call again goes on with the chunks that are not
noted; a longer span fetches only what is new in it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from threading import Event, Lock
from typing import TYPE_CHECKING, Final

from history.asking import WrongRequest, check_request
from history.books import StoppedError, chunk_book, give_up, in_hand, sync_book
from history.moments import iso
from history.side_by_side import side_by_side
from history.slot_numbers import slot_number, slot_start, slots_between
from history.spans import Spans
from history.sync import AT_ONCE
from history.tally import Fetch, Tally, Total, fetch_bars
from market.intervals import Interval
from market.sessions import Calendar, calendar_for
from market.symbols import Symbol
from sinks.process_token import this_process
from sinks.sync_book import Task

if TYPE_CHECKING:
    from history.desk import HistoryDesk

WRITER: Final = "backfill"
CHUNK_BARS: Final = 5_000
"""Bars that a chunk has room for: some pages of every provider, and what a kill costs at most, times those at once."""

Span = tuple[int, int]
"""`[start, end)` in ns: the bars that start in it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be fetched of one symbol."""

    symbol: Symbol
    interval: Interval
    start: int
    """ns."""
    end: int
    """ns."""
    provider: str | None
    """The one to ask; None for all in order."""
    chunks: tuple[Span, ...]
    """What was not fetched yet, newest first: should the rest not be to be had, the more useful part is."""
    slots: int
    """Bars that the calendar has room for in the whole span."""
    left: int
    """Of them, those in `chunks`."""


@dataclass(frozen=True, slots=True)
class Backfilled:
    """How far the backfill of one symbol is."""

    plan: Plan
    done: int = 0
    """Chunks fetched by this run."""
    left: int = 0
    """Bars that the calendar has room for in the chunks to come."""
    total: Total = field(default_factory=Total)
    """What this run received."""
    seconds: float = 0.0
    eta_s: float | None = None
    """How long the rest will take at the pace so far; None before the first chunk, 0 at the end."""
    error: Exception | None = None
    """Why it ended early; chunks that were done stay done."""

    @property
    def ended(self) -> bool:
        """Whether it is done or has failed."""
        return self.error is not None or self.eta_s == 0.0

    @property
    def share(self) -> float:
        """How much of the span is fetched, now or earlier, 0 to 1."""
        return 1.0 if not self.plan.slots else 1 - self.left / self.plan.slots


def plan_backfill(
    desk: "HistoryDesk",
    symbols: Iterable[Symbol],
    interval: Interval,
    start: int,
    end: int | None = None,
    *,
    provider: str | None = None,
    again: bool = False,
) -> list[Plan]:
    """What a backfill has to fetch; no provider is called.

    Args:
        desk: The desk.
        symbols: Whose bars; each is planned once.
        interval: Their length.
        start: ns; bars that start at this moment or later.
        end: ns; bars that start before this moment; None is now, which later ones are cut to.
        provider: Fetch from this one only; what came from another is fetched again.
        again: Forget that anything of the span was fetched before.

    Raises:
        WrongRequest: What was asked for cannot be, for one of the symbols at least.
    """
    wanted = check_request(desk, symbols, interval, start=start, end=end, provider=provider)
    stop = desk.now_ns() if end is None else min(end, desk.now_ns())
    book = chunk_book(desk)
    plans = []
    for symbol in wanted:
        calendar = calendar_for(symbol)
        if again:
            book.forget(symbol, interval, start, stop)
        known = Spans()
        for chunk in book.chunks(desk.store, symbol, interval, provider):
            known.add(chunk.start, chunk.end)
        chunks = [chunk for gap in reversed(known.gaps(start, stop)) for chunk in _cut(calendar, interval, gap)]
        left = sum(slots_between(calendar, interval, *chunk) for chunk in chunks)
        slots = slots_between(calendar, interval, start, stop)
        if not slots:
            msg = f"{symbol} has no {interval} bar that starts from {iso(start)} to {iso(stop)}: give a longer span"
            raise WrongRequest(msg)
        plans.append(Plan(symbol, interval, start, stop, provider, tuple(chunks), slots, left))
    return plans


def backfill_symbol(
    desk: "HistoryDesk",
    plan: Plan,
    *,
    say: Callable[[str], None] | None = None,
    told: Callable[[Backfilled], None] | None = None,
    stop: Event | None = None,
    fetch: Fetch | None = None,
) -> Backfilled:
    """Fetch the chunks of one symbol, one after the other.

    Args:
        desk: The desk.
        plan: From `plan_backfill`.
        say: Told, as a sentence, of each change of provider.
        told: Told at the beginning, after each page and after each chunk how far it is.
        stop: Ends it after the page in hand.
        fetch: In place of `fetch_bars`.

    Raises:
        InHandError: Another process is at it.
        StoppedError: It was told to stop.
        DeskError: No provider gave a chunk, or the store does not take it. Chunks that were done are noted.
    """
    fetch = fetch or fetch_bars()
    symbol, interval = plan.symbol, plan.interval
    calendar = calendar_for(symbol)
    book = sync_book(desk)
    began = desk.now_ns()
    state = Backfilled(plan, left=plan.left)

    def tell(**changes: object) -> None:
        nonlocal state
        state = replace(state, seconds=(desk.now_ns() - began) / 1e9, **changes)  # type: ignore[arg-type]
        if told is not None:
            told(state)

    with in_hand(desk, Task.BACKFILL, symbol, interval, alone=True) as work:
        tell()
        book.advance(work, 0, plan.provider, 0, len(plan.chunks))
        for start, end in plan.chunks:
            before = state.total
            tally = Tally(symbol, interval)
            asked = desk.now_ns()
            for part in fetch(desk, symbol, interval, start=start, end=end, provider=plan.provider, say=say):
                tally.store(desk, part, WRITER)
                tell(total=_sum(before, tally.total))
                if stop is not None and stop.is_set():
                    msg = f"backfill of {symbol} {interval} was stopped; start it again, and it goes on"
                    raise StoppedError(msg)
            tally.note(desk, start, asked, WRITER)
            tell(total=_sum(before, tally.total))
            left = state.left - slots_between(calendar, interval, start, end)
            pace = (desk.now_ns() - began) / 1e9 / max(plan.left - left, 1)
            tell(done=state.done + 1, left=left, eta_s=pace * left)
            book.advance(work, state.total.bars, state.total.provider, state.done, len(plan.chunks))
        tell(eta_s=0.0)
        book.complete(work, state.total.bars, state.total.provider or plan.provider, desk.now_ns())
    return state


def backfill(
    desk: "HistoryDesk",
    symbols: Iterable[Symbol],
    interval: Interval,
    start: int,
    end: int | None = None,
    *,
    provider: str | None = None,
    again: bool = False,
    at_once: int = AT_ONCE,
    say: Callable[[str], None] | None = None,
    told: Callable[[Backfilled], None] | None = None,
    stop: Event | None = None,
    fetch: Fetch | None = None,
) -> list[Backfilled]:
    """Backfill many symbols, some at a time; one symbol's failure never stops the rest.

    Args:
        desk: The desk.
        symbols: See `plan_backfill`, and so for the next five.
        interval: Their length.
        start: ns.
        end: ns.
        provider: Its name.
        again: Whether what was fetched before is fetched again.
        at_once: Symbols at a time.
        say: See `backfill_symbol`; called from several threads.
        told: See `backfill_symbol`; called from several threads, one at a time.
        stop: Ends those in hand after their page, and begins no other.
        fetch: See `backfill_symbol`.

    Returns:
        One a symbol, in their order; `error` says what went wrong.

    Raises:
        WrongRequest: What was asked for cannot be, for one of the symbols at least; nothing was begun.
    """
    plans = plan_backfill(desk, symbols, interval, start, end, provider=provider, again=again)
    return run_plans(desk, plans, at_once=at_once, say=say, told=told, stop=stop, fetch=fetch)


def announce(desk: "HistoryDesk", plans: Sequence[Plan]) -> None:
    """Note the symbols of plans as pending: what says how they stand also lists those that wait for their turn."""
    for plan in plans:
        sync_book(desk).ask(Task.BACKFILL, [plan.symbol], plan.interval, desk.now_ns(), this_process())


def run_plans(
    desk: "HistoryDesk",
    plans: Sequence[Plan],
    *,
    at_once: int = AT_ONCE,
    say: Callable[[str], None] | None = None,
    told: Callable[[Backfilled], None] | None = None,
    stop: Event | None = None,
    fetch: Fetch | None = None,
) -> list[Backfilled]:
    """As `backfill`, of what was planned; the plans are of one interval and of symbols that differ."""
    stopped = stop or Event()
    guard = Lock()
    by_symbol = {plan.symbol: plan for plan in plans}
    announce(desk, plans)

    def one(symbol: Symbol) -> Backfilled:
        plan = by_symbol[symbol]
        latest = Backfilled(plan, left=plan.left)

        def remember(state: Backfilled) -> None:
            nonlocal latest
            latest = state
            if told is not None:
                with guard:
                    told(state)

        try:
            if stopped.is_set():
                msg = f"backfill of {symbol} {plan.interval} was stopped before it began; start it again"
                raise StoppedError(msg)  # noqa: TRY301  # Handled as every other way to fail is.
            return backfill_symbol(desk, plan, say=say, told=remember, stop=stopped, fetch=fetch)
        except Exception as error:  # noqa: BLE001  # Whatever it is: the rest goes on, and the caller is told.
            give_up(desk, Task.BACKFILL, symbol, plan.interval, error)
            remember(replace(latest, error=error))
            return latest

    return side_by_side(list(by_symbol), one, at_once, stopped)


class Whole:
    """How far all symbols of a backfill are together, and how long the rest will take."""

    def __init__(self, plans: Sequence[Plan], now_ns: Callable[[], int]) -> None:
        self._slots = sum(plan.slots for plan in plans)
        self._wanted = sum(plan.left for plan in plans)
        self._left = {plan.symbol: plan.left for plan in plans}
        self._now_ns = now_ns
        self._began = now_ns()

    def tell(self, state: Backfilled) -> None:
        """Take in how far one symbol is; from one thread at a time."""
        self._left[state.plan.symbol] = state.left

    @property
    def share(self) -> float:
        """How much is fetched, now or earlier, 0 to 1."""
        return 1 - sum(self._left.values()) / self._slots

    @property
    def eta_s(self) -> float | None:
        """Seconds that the rest will take at the pace so far; None before the first chunk."""
        left = sum(self._left.values())
        done = self._wanted - left
        if not done:
            return None if left else 0.0
        return (self._now_ns() - self._began) / 1e9 * left / done


def _cut(calendar: Calendar, interval: Interval, span: Span) -> list[Span]:
    """A span in chunks, newest first; the oldest is the shorter one. None where there is no bar to be had."""
    start, end = span
    first, last = slot_number(calendar, interval, start), slot_number(calendar, interval, end)
    if last <= first:
        return []
    cuts = (slot_start(calendar, interval, number) for number in range(last - CHUNK_BARS, first, -CHUNK_BARS))
    return [(older, newer) for newer, older in pairwise([end, *cuts, start])]


def _sum(old: Total, new: Total) -> Total:
    """Totals of two requests together."""
    names = [name for total in (old, new) for name in total.provider.split("+") if name]
    spans = [(total.first, total.last) for total in (old, new) if total.first is not None and total.last is not None]
    return Total(
        "+".join(dict.fromkeys(names)),
        old.bars + new.bars,
        old.inserted + new.inserted,
        old.updated + new.updated,
        old.bad + new.bad,
        old.lost + new.lost,
        min((first for first, _ in spans), default=None),
        max((last for _, last in spans), default=None),
    )
