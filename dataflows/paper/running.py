"""Running paper trading in this process until it ends, live or to the journal's end."""

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from dataflows.engine import EPOCH, run, wake_fast
from dataflows.paper.acting import Acting, Holding
from dataflows.paper.deciding import PATIENCE_S, Thinker
from dataflows.paper.desk import WHOLE, PaperDesk, read_state
from dataflows.paper.events import Begin, Rest
from dataflows.paper.flow import PaperInput, PaperLogic, PaperOutput, Write, build
from dataflows.paper.kept import FAILED
from dataflows.paper.progress import Progress
from dataflows.paper.standing import Standing, Ways, beginning, opened
from dataflows.paper.starting import chosen, maker, unpacked
from dataflows.paper.tail import Tail
from dataflows.paper.writing import Writer
from dataflows.patience import Patience, Report
from dataflows.recovery import Recovery
from market.errors import DeskError
from market.journal_rows import CorruptRow
from sinks.bar_store import BarStore
from sinks.ledger import Ledger
from sinks.paper_book import Control, PaperBook, Written
from sources.doorbell import DoorbellListener
from sources.journal import JournalReader
from sources.journal_tail import InFlight
from trading.called import Step
from trading.opening import Conditions, open_account
from trading.records import VIEW
from trading.ticks import compiled_over_ticks

CONSUMER: Final = "paper"
"""In the ledger: rows of the journal behind its place stay."""
BLOCK_MS: Final = 50
"""Longest wait for the doorbell. The flow's epochs are late by up to this much."""
BARS_MS: Final = 5
"""The same while bars are waited for, whose bell may be lost."""


class Limits(NamedTuple):
    """What the settings say of all runs together."""

    max_exposure: float | None = None
    max_daily_loss: float | None = None
    max_orders_per_minute: int = 0
    flatten: bool = False


class Bench(NamedTuple):
    """What the dataflow works with: opened by the caller, and closed by it."""

    journal: Path
    """The journal's folder."""
    recovery: Recovery
    store: BarStore
    book: PaperBook
    ledger: Ledger
    progress: Progress
    report: Report
    told: Callable[[str, str], object]
    """Called with the kind of what a user may want to hear of, and a sentence."""
    loops: Path
    """Folder of compiled loops."""
    grace_ns: int
    limits: Limits = Limits()
    warm_up: int = 5_000
    """Bars of each series that a run is shown before its first, at most."""
    keep_ns: int = 0
    """How long decisions and the like are kept; 0 for ever."""
    patience_s: float = PATIENCE_S
    """How long a strategy may take over the bars of one minute."""
    history: Path | None = None
    """File of the book of splits and dividends; None for none."""


def trade(
    bench: Bench,
    stop: threading.Event,
    now_ns: Callable[[], int],
    *,
    doorbell: Path | None = None,
    until_end: bool = False,
    epoch: timedelta = EPOCH,
) -> None:
    """Trade from where the recovery store says, or else the book, until `stop` is set or the journal ends.

    Args:
        bench: What to work with.
        stop: Ends the flow cleanly: all is written down, a snapshot is taken.
        now_ns: When something is asked of the book by the flow itself.
        doorbell: Socket that wakes the flow.
        until_end: Whether to end at the journal's end.
        epoch: Between two snapshots.

    Raises:
        StoreAway: `stop` was set while a store was away; nothing is lost, the next start goes on.
        DeskError: Trouble that waiting does not end.
        Exception: A defect; what caused it, not what the engine made of it.
    """
    flow = _Assembled(bench, stop, now_ns, doorbell=doorbell, until_end=until_end)
    try:
        flow.ask_for_settings(now_ns())
        flow.ask_for_actions()
        run(flow.dataflow(), bench.recovery, epoch)
        flow.check()
    finally:
        flow.close()


def settle_in() -> None:
    """Get a process ready for microseconds: kernels compiled or read, start-up garbage out of the collector's sight."""
    Step()
    book = open_account(["SIM:NONE"], Conditions(), 1.0)
    none = np.zeros(0, np.int64)
    compiled_over_ticks()(book.accounts, np.zeros(0, VIEW), none, none, 0, 0)
    wake_fast()


class _Assembled:
    """The parts of the graph, which know each other's state: one worker, one thread."""

    def __init__(
        self,
        bench: Bench,
        stop: threading.Event,
        now_ns: Callable[[], int],
        *,
        doorbell: Path | None,
        until_end: bool,
    ) -> None:
        self.bench = bench
        self._stop = stop
        self._now_ns = now_ns
        self._acting = Acting(bench.history, bench.book, self._holdings, self._report) if bench.history else None
        self._patience = Patience(stop=stop, progress=bench.progress, report=bench.report)
        self._in_flight = InFlight()
        self._reader = JournalReader(bench.journal, self._corrupt, doubts=True)
        self._listener = DoorbellListener(doorbell) if doorbell is not None and not until_end else None
        self._thinker = Thinker(bench.patience_s)
        self._desk: PaperDesk | None = None
        self._tail: Tail | None = None
        self._ways = Ways(self._reader, bench.store, bench.book, self._patience, self._prepare, until_end=until_end)
        self._whole = self._begin()
        self._begun = read_state(self._whole)

    def dataflow(self) -> Any:
        """The graph."""
        source = PaperInput(self._open_tail, self._wait, self._note, self._is_over, self._in_flight)
        return build(source, self._open_desk, PaperOutput(self._open_book))

    def ask_for_settings(self, now_ns: int) -> None:
        """Ask for what the settings say, where that is not what runs go by: it is a control like others."""
        book, bench = self.bench.book, self.bench
        controls = self._patience(book.controls)
        # What was asked last counts, though its place may be still to come.
        asked = {one.action: one.body for one in controls if not one.run and not one.refused}
        before = asked.get("grace", {}).get("grace_ns", opened(self._begun.tail).grace_ns)
        if before != bench.grace_ns:
            # A rerun from before the change has no other way to know what it was.
            grace = {"grace_ns": bench.grace_ns, "before_ns": before}
            self._patience(lambda: book.ask("", "grace", grace, now_ns))
        wanted = dict(bench.limits._asdict())
        if asked.get("limits", self._begun.overall.limits()) != wanted:
            self._patience(lambda: book.ask("", "limits", wanted, now_ns))

    def ask_for_actions(self) -> None:
        """Ask for the splits and dividends that have come about since this ended the last time."""
        if self._acting is not None:
            acting, clock = self._acting, opened(self._begun.tail).clock
            self._patience(lambda: acting.look(clock, self._now_ns()))

    def close(self) -> None:
        """Let go of the journal, the doorbell and the book of actions."""
        self._reader.close()
        if self._acting is not None:
            self._acting.close()
        if self._listener is not None:
            self._listener.close()

    def _begin(self) -> bytes:
        """What the book has of the desk; where it has nothing, the beginning is written down first."""
        book = self.bench.book
        kept = self._patience(lambda: book.state(WHOLE))
        if kept is None:
            standing = beginning(self._ways, self.bench.grace_ns)
            tail = Tail(self._ways, standing, PaperDesk(self.bench.loops).itself)
            whole = PaperDesk(self.bench.loops).states(tail.snapshot())
            self._patience(lambda: book.write(Written(states=whole, position=tail.position)))
            self.bench.ledger.reset(CONSUMER, standing.seq)
            return whole[WHOLE]
        found: bytes = kept[1]
        return found

    def _open_tail(self, resume_state: bytes | None) -> Tail:
        standing: Standing = opened(self._begun.tail if resume_state is None else resume_state)
        self._check_journal(standing)
        self._tail = Tail(self._ways, standing, self._the_desk)
        return self._tail

    def _check_journal(self, standing: Standing) -> None:
        newest = self._reader.last_seq()
        if newest < standing.seq:
            msg = (
                f"paper trading has gone over journal rows up to {standing.seq}, but the journal in "
                f"{self.bench.journal} ends at row {newest}: it was replaced or cut; put the old one back, or move the "
                "recovery folder of paper trading and the paper book away"
            )
            raise DeskError(msg)

    def _open_desk(self, resume_state: bytes | None) -> PaperLogic:
        book, bench = self.bench.book, self.bench
        rows = self._patience(book.runs)
        hung = {row["run"]: row["ended_seq"] for row in rows if row["state"] == FAILED and row["ended_seq"] is not None}

        def state(run: str) -> bytes:
            found = self._patience(lambda: book.state(run))
            if found is None:
                msg = f"paper book {book.where} lacks the state of run {run}: put a whole book back from a backup"
                raise DeskError(msg)
            kept: bytes = found[1]
            return kept

        if resume_state is None:
            self._desk = PaperDesk(bench.loops, thinker=self._thinker, hung=hung, state=self._whole, runs=state)
        else:
            self._desk = PaperDesk(bench.loops, thinker=self._thinker, hung=hung, state=resume_state)
        return PaperLogic(self._desk, self._last)

    def _open_book(self, resume_state: Any | None) -> Write:
        bench = self.bench
        writer = Writer(
            bench.book,
            patience=self._patience,
            progress=bench.progress,
            told=bench.told,
            consumed=lambda: bench.ledger.move(CONSUMER, bench.progress.seq),
            keep_ns=bench.keep_ns,
            resume_state=resume_state,
        )
        return Write(writer.write, writer.snapshot, self._in_flight)

    def _the_desk(self) -> PaperDesk:
        assert self._desk is not None, "the first event has made it"
        return self._desk

    def _last(self) -> Rest:
        """What is written down when the flow ends."""
        assert self._tail is not None, "the input is opened before anything comes of it"
        self._in_flight.add()
        return Rest(self._tail.position, self._tail.snapshot())

    def _is_over(self) -> bool:
        return self._stop.is_set() or self._thinker.spoiled()

    def check(self) -> None:
        """Raise if the process has to be started anew.

        Raises:
            DeskError: A strategy goes on in compiled code, on a core that nobody can take from it otherwise.
        """
        if self._thinker.spoiled() and not self._stop.is_set():
            msg = (
                "a strategy that has not come back goes on in compiled code, which only the end of its process ends: "
                "its run has failed, and paper trading starts anew for the others"
            )
            raise DeskError(msg)

    def _note(self, tail: Tail) -> None:
        """Take note of how far all is."""
        progress, desk = self.bench.progress, self._the_desk()
        progress.seq, progress.clock, progress.waits_for_bars = tail.seq, tail.clock, tail.waits_for_bars
        progress.runs, progress.decisions = desk.counts, desk.decisions
        if progress.strategies.keys() != desk.runs.keys():
            progress.strategies = {name: one.told.plan.strategy for name, one in desk.runs.items()}
        acting = self._acting
        if acting is not None and tail.clock >= acting.look_at:
            clock = tail.clock
            if self._patience(lambda: acting.look(clock, self._now_ns())):
                tail.look_soon()

    def _holdings(self) -> list[Holding]:
        """The runs, as far as splits and dividends concern them."""
        if self._desk is None:
            rows = self._patience(self.bench.book.runs)
            return [Holding(row["run"], tuple(row["symbols"]), row["asked_at"], row["currency"]) for row in rows]
        runs = self._desk.runs.values()
        return [Holding(run.run, run.symbols, run.kept.asked_at, run.told.plan.currency) for run in runs]

    def _report(self, name: str, text: str) -> None:
        self.bench.report("warning", name, text)

    def _wait(self, tail: Tail) -> None:
        """Wait until something may have come."""
        pause = BARS_MS if tail.waits_for_bars else BLOCK_MS
        if self._listener is None:
            self._stop.wait(pause / 1000)
        elif self._listener.wait(pause) and self._listener.answer() == 0:
            # Whoever asks for something rings with 0; rows and bars ring with their numbers.
            tail.look_soon()

    def _prepare(self, designated: Mapping[str, int], closed_until: int) -> Callable[[Control], Begin]:
        bench = self.bench
        make = maker(bench.store, bench.loops, designated, closed_until, bench.warm_up)

        def prepare(control: Control) -> Begin:
            known = bench.book.run(control.run)
            if not known or known[0]["run"] != control.run:
                return make(control)
            # It had begun before a crash: with what it began then.
            return Begin(known[0]["streams"], unpacked(bench.book.warm_up(control.run)), chosen(control.body))

        return prepare

    def _corrupt(self, damage: CorruptRow) -> None:
        self.bench.report("error", "journal_corrupt", f"paper trading: {damage}")
