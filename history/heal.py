"""Healing: every gap of the ledger filled from the journal's own trades or from history, and the bars above it.

A gap is healed when each minute that it touches is known: the venue's bar of it is in the store, or the venue confirms
that nothing traded. It is unfillable when nobody has some of it; what may be had later leaves it open, and the next run
goes on where this one ended. A run that finds nothing new changes nothing.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import TYPE_CHECKING, Final

from history.books import in_words
from history.heal_above import Ground, make_above
from history.heal_gaps import Portion, SymbolHealer, settle
from history.heal_spans import session_minutes, whole_minutes
from history.live_edge import followed_since, live_edge
from history.partial_bars import note_partial_bars
from history.side_by_side import side_by_side
from history.trade_proof import JournaledTrades
from market.intervals import MINUTE_NS
from market.sessions import Calendar, UnknownExchangeError, calendar_for
from market.symbols import Symbol, parse_symbol
from sinks.bar_store import StoreAway
from sinks.heal_book import Above, AboveState, GapNote, HealBook
from sinks.ledger import Gap, GapState
from sinks.lock_file import LockFile

if TYPE_CHECKING:
    from history.desk import HistoryDesk

SETTLE_NS: Final = 5 * 10**9
"""How long after its end a minute is asked for: the venue itself may still be closing it."""
PORTION_NS: Final = 1440 * MINUTE_NS
"""So much of a gap is healed at a time, so that a long one is not begun again from its start."""
AT_ONCE: Final = 4
"""Symbols at a time: more would only wait for the providers' pace."""
KEPT_NS: Final = 3 * 86_400 * 10**9
"""How long bars that were made again are remembered: a late tick may change what they were made of."""


@dataclass(frozen=True, slots=True)
class GapOutcome:
    """What a run did about one gap."""

    gap: Gap
    """As the ledger has it now."""
    bars: int
    """One-minute bars that the store now has of it from history, by this run and those before."""
    why: str
    """Why it is not healed, as a sentence; empty where it is."""


@dataclass(frozen=True, slots=True)
class Healed:
    """What a run of the healer did."""

    gaps: Sequence[GapOutcome]
    """Gaps that it worked on, by symbol and start."""
    minutes: int = 0
    """One-minute bars that changed."""
    above: int = 0
    """Longer bars that changed."""
    waiting: int = 0
    """Longer bars that wait: for their end, for a gap in them, or for the live bars to come that far."""
    given_up: Sequence[Above] = ()
    """Longer bars that nobody has whole."""
    errors: Mapping[Symbol, str] = field(default_factory=dict)
    """Symbols of which nothing more could be healed, and why, as a sentence; the others were."""

    def count(self, state: GapState) -> int:
        """How many of the gaps are in a state now."""
        return sum(outcome.gap.state is state for outcome in self.gaps)


def heal(
    desk: "HistoryDesk",
    symbols: Collection[Symbol] | None = None,
    *,
    again: bool = False,
    wait_s: float = 0.0,
    budget_s: float | None = None,
    say: Callable[[str], None] | None = None,
    stop: Event | None = None,
) -> Healed:
    """Heal what can be healed now.

    Args:
        desk: The desk.
        symbols: Of these only; all if None.
        again: Also try gaps that were unfillable.
        wait_s: Seconds to wait for gaps that are over but whose last minute is not, before leaving them to the next
            run.
        budget_s: Seconds after which no further portion is begun; the next run goes on there.
        say: Told, as a sentence, what cannot be healed.
        stop: Ends it after the portions in hand; what was healed until then is noted.

    Raises:
        BusyError: Another healer is at work on this desk.
        DeskError: The ledger, the journal or the store cannot be used.
    """
    desk.folders.create()
    with LockFile(desk.folders.run / "heal.lock", "healing"), closing(HealBook(desk.folders.history)) as book:
        healer = _Healer(desk, book, symbols, say or (lambda _: None), stop or Event())
        return healer.run(again=again, wait_s=wait_s, budget_s=budget_s)


@dataclass(slots=True)
class _Done:
    """What has come of a run so far; added to from several threads."""

    guard: Lock = field(default_factory=Lock)
    touched: set[int] = field(default_factory=set)
    """Ids of the gaps that were worked on."""
    minutes: int = 0
    above: int = 0
    waiting: int = 0
    moved: bool = False
    """Whether any gap came further in this pass, so that there may be more to do."""
    errors: dict[Symbol, str] = field(default_factory=dict)


class _Healer:
    """One run."""

    def __init__(
        self,
        desk: "HistoryDesk",
        book: HealBook,
        symbols: Collection[Symbol] | None,
        say: Callable[[str], None],
        stop: Event,
    ) -> None:
        self._desk = desk
        self._book = book
        self._only = None if symbols is None else frozenset(symbols)
        self._say = say
        self._stop = stop
        self._extended = frozenset(map(parse_symbol, desk.settings.extended_hours))
        self._done = _Done()

    def run(self, *, again: bool, wait_s: float, budget_s: float | None) -> Healed:
        """Pass after pass, until nothing comes further."""
        desk = self._desk
        began = desk.now_ns()
        note_partial_bars(desk, self._book)
        gaps = self._gaps(again=again)
        while True:
            self._pass(gaps)
            now = desk.now_ns()
            if self._stop.is_set() or (budget_s is not None and now - began >= budget_s * 1e9):
                break
            gaps = self._gaps()
            if self._done.moved:
                continue
            soonest = self._soonest(gaps)
            if soonest is None or soonest - began > wait_s * 1e9:
                break
            desk.sleep(max(0.05, (soonest - now) / 1e9))
            note_partial_bars(desk, self._book)
            gaps = self._gaps()
        self._book.forget_above(desk.now_ns() - KEPT_NS)
        return self._report()

    def _gaps(self, *, again: bool = False) -> list[Gap]:
        """Gaps to be healed, the newest first."""
        gaps = [gap for gap in self._desk.ledger.gaps() if self._wants(gap.symbol)]
        if again:
            self._book.forget_gaps(gap.id for gap in gaps if gap.state is GapState.UNFILLABLE)
        notes = self._book.gap_notes()
        return [
            gap
            for gap in reversed(gaps)
            if gap.state is GapState.OPEN
            or (again and gap.state is GapState.UNFILLABLE)
            or _has_grown(gap, notes.get(gap.id))
        ]

    def _wants(self, symbol: Symbol) -> bool:
        return self._only is None or symbol in self._only

    def _ready(self) -> int:
        """Minutes that end by this moment can be asked for, ns."""
        return (self._desk.now_ns() - SETTLE_NS) // MINUTE_NS * MINUTE_NS

    def _soonest(self, gaps: Sequence[Gap]) -> int | None:
        """When the first of the gaps that are over has its last minute behind it, ns; None if none waits for that."""
        ready = self._ready()
        ends = [whole_minutes(gap.start, gap.end)[1] for gap in gaps if gap.end is not None]
        return min((end + SETTLE_NS for end in ends if end > ready), default=None)

    def _pass(self, gaps: Sequence[Gap]) -> None:
        """The next portion of each gap, and the longer bars that are due."""
        done, notes, ready = self._done, self._book.gap_notes(), self._ready()
        done.moved = False
        portions: dict[Symbol, list[Portion]] = {}
        for gap in gaps:
            if gap.symbol in done.errors:
                continue
            note = notes.get(gap.id)
            if note is not None and gap.end is not None and note.upto >= whole_minutes(gap.start, gap.end)[1]:
                # Its end came when all of it had been healed, or the ledger was not told before the last run ended.
                settle(self._desk, gap, note, self._say)
                done.touched.add(gap.id)
                continue
            try:
                portion = self._portion(gap, note, ready)
            except UnknownExchangeError as error:
                done.errors[gap.symbol] = str(error)
                continue
            if portion is not None:
                portions.setdefault(gap.symbol, []).append(portion)
                done.touched.add(gap.id)
        if portions:
            wanted = [(one.gap.symbol, one.gap.feed, one.span) for many in portions.values() for one in many]
            journaled = JournaledTrades(self._desk, wanted)

            def one(symbol: Symbol) -> None:
                healer = SymbolHealer(self._desk, self._book, symbol, self._calendar(symbol), self._say)
                written, moved = healer.heal(portions[symbol], journaled, notes, ready)
                with done.guard:
                    done.minutes += written
                    done.moved |= moved

            self._for_each(list(portions), one)
        self._make_above()

    def _portion(self, gap: Gap, note: GapNote | None, ready: int) -> Portion | None:
        """The next part of a gap that can be healed now, if there is one."""
        first, end = whole_minutes(gap.start, ready if gap.end is None else gap.end)
        start = max(first, 0 if note is None else note.upto)
        cut = min(end, start + PORTION_NS, ready)
        if cut <= start:
            return None
        minutes = session_minutes([(start, cut)], self._calendar(gap.symbol))
        return Portion(gap, (start, cut), minutes, gap.end is not None and cut >= end)

    def _calendar(self, symbol: Symbol) -> Calendar:
        return calendar_for(symbol, extended=symbol in self._extended)

    def _make_above(self) -> None:
        """Make the longer bars that are due."""
        done, desk = self._done, self._desk
        due: dict[Symbol, list[Above]] = {}
        for bar in self._book.above(AboveState.DUE):
            if self._wants(bar.symbol):
                due.setdefault(bar.symbol, []).append(bar)
        done.waiting = 0
        if not due:
            return
        edge = live_edge(desk) - int(desk.settings.grace_s * 1e9) - SETTLE_NS
        followed, notes, lacking = followed_since(desk), self._book.gap_notes(), self._book.lacking()

        def one(symbol: Symbol) -> None:
            gaps = desk.ledger.gaps(symbol)
            nobody = [span for gap in gaps for span in lacking.get(gap.id, ())]
            ground = Ground(self._calendar(symbol), gaps, notes, nobody, followed.get(symbol), edge)
            made = make_above(desk, symbol, due[symbol], ground)
            self._book.settle_above(made.settled)
            with done.guard:
                done.above += made.written
                done.waiting += made.waiting

        self._for_each([symbol for symbol in due if symbol not in done.errors], one)

    def _for_each(self, symbols: Sequence[Symbol], work: Callable[[Symbol], None]) -> None:
        """Do something for symbols, some at a time; one symbol's trouble never stops the rest.

        Raises:
            StoreAway: It stayed away, and would for each symbol again.
        """
        away: list[StoreAway] = []

        def one(symbol: Symbol) -> None:
            if self._stop.is_set() or away:
                return
            try:
                work(symbol)
            except StoreAway as error:
                away.append(error)
            except Exception as error:  # noqa: BLE001  # Whatever it is, the caller is told.
                with self._done.guard:
                    self._done.errors[symbol] = in_words(error)

        if symbols:
            side_by_side(symbols, one, AT_ONCE, self._stop)
        if away:
            raise away[0]

    def _report(self) -> Healed:
        done, notes = self._done, self._book.gap_notes()
        outcomes = [
            GapOutcome(gap, notes[gap.id].bars, notes[gap.id].why)
            for gap in self._desk.ledger.gaps()
            if gap.id in done.touched and gap.id in notes
        ]
        outcomes.sort(key=lambda outcome: (outcome.gap.symbol, outcome.gap.start))
        given_up = [bar for bar in self._book.above(AboveState.GIVEN_UP) if self._wants(bar.symbol)]
        return Healed(outcomes, done.minutes, done.above, done.waiting, given_up, done.errors)


def _has_grown(gap: Gap, note: GapNote | None) -> bool:
    """Whether a gap that was settled has an end that is later than it was then."""
    return note is not None and gap.end is not None and note.upto < gap.end
