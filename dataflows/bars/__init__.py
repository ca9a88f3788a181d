"""The dataflow that makes bars: the journal in, bars in the store and the cache out.

Step ids, the shards' keys and the snapshots' layouts are recovery data: a change of one is a breaking change.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource

from dataflows.bars.bars_output import BarsOutput
from dataflows.bars.journal_input import JournalInput
from dataflows.bars.keeper import WRITER, Keeper
from dataflows.bars.pieces import Refused
from dataflows.bars.progress import Progress
from dataflows.bars.shard import Shard
from dataflows.patience import Patience, Report
from market.chunks import Chunk
from market.intervals import MINUTE_NS
from market.sessions import Calendar, calendar_for
from market.streams import Stream
from operators.bars import GRACE_NS
from sinks.bar_store import BarStore
from sinks.ledger import Ledger, NewGap, Reject
from sinks.redis_cache import ClosedStream, FormingCache
from sources.journal_tail import InFlight

__all__ = ["WRITER", "build"]


def build(
    source: FixedPartitionedSource[Chunk, Any],
    store: BarStore,
    ledger: Ledger,
    *,
    in_flight: InFlight,
    progress: Progress,
    stop: threading.Event,
    report: Report,
    cache: FormingCache | None = None,
    closed: ClosedStream | None = None,
    grace_ns: int = GRACE_NS,
    calendars: Callable[[Stream], Calendar] | None = None,
    prelude: Callable[[], list[Chunk]] = list,
    ring: Callable[[int], object] = lambda _: None,
) -> Dataflow:
    """Wire the graph; live, replays and tests differ only in what they pass.

    Args:
        source: Chunks of the journal, one partition; adds each to `in_flight` and waits only when none is.
        store: Where closed bars go.
        ledger: Where ticks that entered no bar are noted, and how far the journal is consumed.
        in_flight: Shared with `source`.
        progress: Counts; written while the flow runs.
        stop: Set when the process is to end: a wait for the store ends then. `source` ends by it too.
        report: Told what a user should hear of, from any thread.
        cache: Where forming bars are shown; None shows none.
        closed: Where closed bars are announced once the store has them; None announces none.
        grace_ns: How long after its end a bar stays open, by the journal's clock, ns.
        calendars: The calendar of a stream; that of its symbol unless given.
        prelude: Chunks to begin with where there is no snapshot.
        ring: Called with the store's new position after each write, and when a minute is over; never waits.
    """
    patience = Patience(stop=stop, progress=progress, report=report)

    def keeper() -> Keeper:
        return Keeper(
            store,
            patience=patience,
            progress=progress,
            refuse=lambda refused: note_refused(ledger, refused),
            announce=None if closed is None else closed.publish,
            ring=ring,
        )

    def shard(resume_state: bytes | None) -> Shard:
        return Shard(resume_state, grace_ns=grace_ns, calendars=calendars or _calendar, shown=cache is not None)

    flow = Dataflow("bars")
    pieces = op.input(
        "journal", flow, JournalInput(source, in_flight=in_flight, show=cache is not None, prelude=prelude)
    )
    made = op.stateful_batch("shards", pieces, shard)
    output = BarsOutput(
        keeper,
        store,
        in_flight=in_flight,
        progress=progress,
        cache=cache,
        grace_ns=grace_ns,
        patience=patience,
        consumed=lambda seq: ledger.move(WRITER, seq),
        restarted=lambda: ledger.reset(WRITER),
    )
    op.output("bars", made, output)
    return flow


def note_refused(ledger: Ledger, refused: Sequence[Refused]) -> None:
    """Put ticks that entered no bar into the rejects, and what that leaves lacking into the gaps.

    To do it again with the same ticks, after a crash, changes nothing.
    """
    ledger.reject_many(
        Reject(
            WRITER,
            tick.reason,
            f"{tick.stream.feed} price {tick.price!r} size {tick.size!r} event_time {tick.event_time}",
            tick.received_time,
            tick.stream.symbol,
            tick.seq,
            tick.place,
        )
        for tick in refused
    )
    late: dict[tuple[Stream, int], int] = {}
    for tick in refused:
        if tick.reason == "late":
            late.setdefault((tick.stream, tick.event_time // MINUTE_NS * MINUTE_NS), tick.received_time)
    ledger.note_gaps(
        NewGap(stream.symbol, minute, minute + MINUTE_NS, "late", noticed_at, stream.feed)
        for (stream, minute), noticed_at in late.items()
    )


def _calendar(stream: Stream) -> Calendar:
    return calendar_for(stream.symbol, extended=stream.extended)
