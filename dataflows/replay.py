"""Replays: a file of recorded ticks through the same journal, dataflow and store as live ones.

The file becomes a feed of its own, `file:<hash8>`, with a clock of its own. What of it is in the journal is counted
there, so a replay that was killed goes on at the next tick, and one that is done changes nothing when it is done again.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dataflows.bars.progress import Progress
from dataflows.bars.running import Bench, make_bars, settle_in
from dataflows.file_intake import EVERYTHING, FileIntake, Tell
from dataflows.patience import Report
from dataflows.recovery import Recovery
from market.errors import DeskError
from market.intervals import MINUTE_NS, NAMES, Interval
from market.symbols import Symbol
from operators.bars import GRACE_NS
from sinks.bar_store import BarStore
from sinks.journal import JournalWriter
from sinks.ledger import Ledger
from sources.tick_files.opening import TickFile


class Summary(NamedTuple):
    """What a replay did."""

    feed: str
    symbols: tuple[Symbol, ...]
    known: bool
    """Whether all of the file had been journaled before."""
    ticks: int
    """Ticks of the file in the journal."""
    journaled: int
    """Of these, the ones that this run added."""
    rejects: int
    """Lines and ticks of the file that were refused, in this run or before."""
    out_of_session: int
    """Ticks outside their symbol's sessions, which entered no bar, in this run."""
    closed: dict[str, int]
    """Bars that this run closed and stored, by interval."""
    held: dict[str, int]
    """Bars that the store now holds of these symbols, by interval."""
    seconds: float
    stopped: bool
    """Whether it was stopped before its end; the same replay again goes on."""


class Desk(NamedTuple):
    """The parts of a data folder that a replay works on."""

    journal: Path
    """Folder of the journal."""
    recovery: Path
    """Recovery folder of the bars dataflow."""
    store: BarStore
    ledger: Ledger
    report: Report
    now_ns: Callable[[], int]
    grace_ns: int = GRACE_NS


def replay(
    file: TickFile,
    desk: Desk,
    *,
    symbol: Symbol | None = None,
    force: bool = False,
    negative: frozenset[Symbol] = frozenset(),
    extended: frozenset[Symbol] = frozenset(),
    stop: threading.Event | None = None,
    tell: Tell | None = None,
) -> Summary:
    """Journal a file and make its bars.

    Args:
        file: As `open_ticks` gave it; read once, or twice if the store holds bars of its symbol.
        desk: Where to; no other process may work on it.
        symbol: That the file was opened with.
        force: Whether bars of another feed in the file's time are no reason to refuse.
        negative: Symbols whose price may be zero or below.
        extended: Symbols whose ticks outside the regular session enter bars.
        stop: Ends the replay cleanly when set.
        tell: Told how far it is.

    Raises:
        DeskError: The data folder is in use, the file cannot be read or would mix with bars of another feed, or a disk
            or a store has trouble.
    """
    began = time.perf_counter()
    stop = stop or threading.Event()
    tell = tell or (lambda *_: None)
    with Recovery(desk.recovery) as recovery:
        known = _is_done(file, symbol, desk.ledger)
        if not force and not known:
            refuse_mixing(file, desk.store)
        with JournalWriter(desk.journal, desk.now_ns, first_seq=desk.ledger.seen_seq() + 1) as writer:
            intake = FileIntake(
                file,
                symbol,
                writer,
                journal=desk.journal,
                ledger=desk.ledger,
                now_ns=desk.now_ns,
                grace_ns=desk.grace_ns,
                negative=negative,
                extended=extended,
            )
            if not known:
                known = intake.go_on(stop, tell)
            target = writer.last_seq
        progress = Progress()
        if not stop.is_set():
            settle_in(lambda text: desk.report("warning", "compiling", text))
            bench = Bench(desk.journal, recovery, desk.store, desk.ledger, progress, desk.report, desk.grace_ns)
            with _Watch(progress, target, tell):
                make_bars(bench, stop, until_end=True)
    symbols = intake.symbols()
    held = dict.fromkeys(NAMES, 0)
    for found, interval, bars, _, _ in desk.store.series():
        if found in symbols:
            held[str(interval)] += bars
    return Summary(
        file.feed,
        symbols,
        known,
        intake.journaled_before + intake.journaled,
        intake.journaled,
        sum(count for source, _, count in desk.ledger.reject_counts() if source == file.feed),
        progress.out_of_session,
        {name: int(count) for name, count in zip(NAMES, progress.closes, strict=True)},
        held,
        time.perf_counter() - began,
        stop.is_set(),
    )


def refuse_mixing(file: TickFile, store: BarStore) -> None:
    """Refuse a file whose time and symbol have bars of another feed.

    Raises:
        DeskError: They have; says which.
    """
    held: dict[Symbol, list[Interval]] = {}
    for series in store.series():
        held.setdefault(series.symbol, []).append(series.interval)
    if not held:
        return
    spans: dict[Symbol, tuple[int, int]] = {}
    for batch in file.batches():
        if batch.symbol in held and len(batch.ticks):
            times = batch.ticks["event_time"]
            first, last = spans.get(batch.symbol, (int(times[0]), int(times[0])))
            spans[batch.symbol] = min(first, int(times.min())), max(last, int(times.max()))
    for symbol, (first, last) in spans.items():
        for interval in held[symbol]:
            # Bars that began before the file do not count, or no file could follow on another within a week.
            bars = store.read(symbol, interval, first // MINUTE_NS * MINUTE_NS, last + 1)
            others = bars.filter(bars["source"] != file.feed)["source"].unique().sort().to_list()
            if others:
                msg = (
                    f"{symbol} already has {interval} bars of {others[0]} in the time of {file.path.name}: replay it "
                    "into a --data-dir of its own, or mix them under the store's rule with --force"
                )
                raise DeskError(msg)


def _is_done(file: TickFile, symbol: Symbol | None, ledger: Ledger) -> bool:
    key = symbol or EVERYTHING
    return any(replay.symbol == key and replay.state == "done" for replay in ledger.replays(file.hash))


class _Watch:
    """Tells how far the bars have come, from a thread, while the block lasts."""

    def __init__(self, progress: Progress, target: int, tell: Tell) -> None:
        self._progress = progress
        self._target = target
        self._tell = tell
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="replay-progress", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._tell("bars", min(1.0, self._progress.seq / max(1, self._target)))

    def _run(self) -> None:
        while not self._end.wait(0.2):
            self._tell("bars", min(1.0, self._progress.seq / max(1, self._target)))
