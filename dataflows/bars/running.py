"""Running the bars dataflow in this process until it ends, live or to the journal's end."""

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple

from dataflows.bars import WRITER, build
from dataflows.bars.prelude import prelude
from dataflows.bars.progress import Progress
from dataflows.engine import EPOCH, run, wake_fast
from dataflows.patience import Patience, Report
from dataflows.recovery import Recovery
from market.errors import DeskError
from market.journal_rows import CorruptRow
from operators.kernels import kernels
from sinks.bar_store import BarStore, StoreAway
from sinks.ledger import Ledger, Reject
from sinks.redis_cache import ClosedStream, FormingCache
from sources.journal import JournalReader
from sources.journal_tail import InFlight, JournalTail

COMPILING: Final = "compiling the kernels, once after an installation or an update: up to a minute"
COMPILING_S: Final = 2.0
"""Reading them from disk takes less, so whoever waits longer is told why."""

MAX_TICKS: Final = 131_072
"""About how many ticks are read at a time when catching up: more do not stay in the caches until every shard has read
its own."""


class Bench(NamedTuple):
    """What the dataflow works with: opened by the caller, and closed by it."""

    journal: Path
    """The journal's folder."""
    recovery: Recovery
    store: BarStore
    ledger: Ledger
    progress: Progress
    report: Report
    grace_ns: int


def make_bars(
    bench: Bench,
    stop: threading.Event,
    *,
    doorbell: Path | None = None,
    until_end: bool = False,
    cache: FormingCache | None = None,
    closed: ClosedStream | None = None,
    epoch: timedelta = EPOCH,
    ring: Callable[[int], object] = lambda _: None,
) -> None:
    """Make bars from where the recovery store says, until `stop` is set or the journal ends.

    Args:
        bench: What to work with.
        stop: Ends the flow cleanly: what is forming is written, a snapshot is taken.
        doorbell: Socket that wakes the flow.
        until_end: Whether to end at the journal's end.
        cache: Where forming bars are shown.
        closed: Where closed bars are announced.
        epoch: Between two snapshots.
        ring: Called with the store's new position after each write; never waits.

    Raises:
        StoreAway: `stop` was set while the store was away; nothing is lost, the next start goes on.
        DeskError: Trouble that waiting does not end; the store knows rows that the journal does not have.
        Exception: A defect; what caused it, not what the engine made of it.
    """
    _of_one_desk(bench, stop)
    in_flight = InFlight()

    def corrupt(damage: CorruptRow) -> None:
        bench.report("error", "journal_corrupt", str(damage))
        bench.ledger.reject(Reject("bars", "corrupt_row", str(damage), bench.progress.clock, seq=damage.first_seq))

    source = JournalTail(
        bench.journal,
        stop,
        doorbell=doorbell,
        in_flight=in_flight,
        until_end=until_end,
        max_ticks=MAX_TICKS,
        on_corrupt=corrupt,
    )
    flow = build(
        source,
        bench.store,
        bench.ledger,
        in_flight=in_flight,
        progress=bench.progress,
        stop=stop,
        report=bench.report,
        cache=cache,
        closed=closed,
        grace_ns=bench.grace_ns,
        prelude=lambda: prelude(JournalReader(bench.journal, lambda _: None)),
        ring=ring,
    )
    run(flow, bench.recovery, epoch)


def _of_one_desk(bench: Bench, stop: threading.Event) -> None:
    """Refuse a store that another journal fed: what this one says would be taken for logged already."""
    patience = Patience(stop=stop, progress=bench.progress, report=bench.report)
    stored = patience(lambda: bench.store.position(WRITER))
    if not stored:
        return
    with JournalReader(bench.journal, lambda _: None) as reader:
        newest = reader.last_seq()
    if stored > newest:
        msg = (
            f"bar store {bench.store.where} has the bars of journal rows up to {stored}, but the journal in "
            f"{bench.journal} ends at row {newest}: it is another desk's store, or this journal was replaced; give "
            "this desk a store of its own, or put the journal back"
        )
        raise DeskError(msg)


def settle_in(tell: Callable[[str], object] = lambda _: None) -> None:
    """Get a process ready for microseconds: kernels compiled, start-up garbage out of the collector's sight.

    Args:
        tell: Told what takes so long, if it does; from another thread.
    """
    late = threading.Timer(COMPILING_S, tell, [COMPILING])
    late.daemon = True
    late.start()
    try:
        kernels()
    finally:
        late.cancel()
        late.join()
    wake_fast()


def open_patiently(
    open_store: Callable[[], BarStore], stop: threading.Event, progress: Progress, report: Report
) -> BarStore | None:
    """Open a store that may be away; None if `stop` was set before it was there."""
    try:
        return Patience(stop=stop, progress=progress, report=report)(open_store)
    except StoreAway:
        return None
