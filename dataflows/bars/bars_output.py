"""The one output of the bars dataflow: forming bars to the cache at once, closed bars to the keeper, in order.

One step for both, so that one place knows when a chunk is done, and because what is shown and what is stored must come
in one order: a bar leaves the cache no later than it goes to the store.
"""

from collections.abc import Callable
from typing import Final

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from dataflows.bars.keeper import WRITER, Closed, Keeper, merge
from dataflows.bars.pieces import Made, Refused
from dataflows.bars.progress import Progress
from dataflows.patience import Patience
from market.errors import DeskError
from market.intervals import MINUTE_NS
from sinks.bar_store import BarStore
from sinks.redis_cache import FormingCache
from sources.journal_tail import InFlight

VERSION: Final = 1
"""Version of the output's snapshot."""

Snapshot = tuple[int, int, int]
"""(version, last journal row whose bars were made, the store's position)."""


class BarsOutput(FixedPartitionedSink[Made, Snapshot]):
    """One partition, `bars`, for the pieces of all shards."""

    def __init__(
        self,
        keeper: Callable[[], Keeper],
        store: BarStore,
        *,
        in_flight: InFlight,
        progress: Progress,
        cache: FormingCache | None,
        grace_ns: int,
        patience: Patience,
        consumed: Callable[[int], None],
        restarted: Callable[[], None],
    ) -> None:
        """Describe the output.

        Args:
            keeper: Starts the keeper of `store`; called once.
            store: Asked for its position before the keeper starts.
            in_flight: Told of each chunk that is done.
            progress: Written to.
            cache: Of forming bars; None if nobody reads them.
            grace_ns: How long after its end a minute stays open, ns.
            patience: Waits for the store while it is away.
            consumed: Called at each snapshot with the last journal row that it holds.
            restarted: Called first where there is no snapshot: the journal is read from its beginning.
        """
        self._keeper = keeper
        self._store = store
        self._in_flight = in_flight
        self._progress = progress
        self._cache = cache
        self._grace_ns = grace_ns
        self._patience = patience
        self._consumed = consumed
        self._restarted = restarted

    def list_parts(self) -> list[str]:
        """The one partition."""
        return ["bars"]

    def part_fn(self, item_key: str) -> int:
        """Every shard's pieces go to the one partition."""
        del item_key
        return 0

    def build_part(self, step_id: str, for_part: str, resume_state: Snapshot | None) -> "BarsOutputPartition":
        """Begin anew, or go on from a snapshot.

        Raises:
            DeskError: The store lacks bars that the recovery store takes it to have.
        """
        del step_id, for_part
        seq = 0
        position = self._progress.position = self._patience(lambda: self._store.position(WRITER))
        if resume_state is None:
            self._restarted()
        else:
            version, seq, stored = resume_state
            if version != VERSION:
                msg = (
                    f"recovery state of the bars' output has version {version}, this program knows {VERSION}; move "
                    "the recovery folder away and make the bars anew"
                )
                raise DeskError(msg)
            if position < stored:
                msg = (
                    f"bar store {self._store.where} has the bars of journal rows up to {position}, but had them up to "
                    f"{stored} when the desk last ran: it was replaced or restored; put that store back, or move the "
                    "recovery folder away and start again: bars are then made anew from the journal"
                )
                raise DeskError(msg)
        return BarsOutputPartition(self, seq)


class BarsOutputPartition(StatefulSinkPartition[Made, Snapshot]):
    """Puts the shards' pieces of each chunk together again, chunk by chunk."""

    def __init__(self, output: BarsOutput, seq: int) -> None:
        self._keeper = output._keeper()  # noqa: SLF001 - the partition is the output's own.
        self._store = output._store  # noqa: SLF001
        self._in_flight = output._in_flight  # noqa: SLF001
        self._progress = output._progress  # noqa: SLF001
        self._cache = output._cache  # noqa: SLF001
        self._grace_ns = output._grace_ns  # noqa: SLF001
        self._consumed = output._consumed  # noqa: SLF001
        self._seq = seq
        self._next = 0
        self._waiting: dict[int, list[Made]] = {}
        self._clock = 0
        self._minute = -1

    def write_batch(self, values: list[Made]) -> None:
        """Take pieces; a chunk is done when all of its pieces are there and the chunks before it are done.

        Raises:
            DeskError: The store has trouble that waiting does not end.
        """
        waiting = self._waiting
        for made in values:
            if made.number < 0:
                self._keeper.put(Closed(self._seq, [made.rows], made.streams, []))
            elif made.parts == 1 and made.number == self._next:
                self._next += 1
                self._finish([made])
            else:
                waiting.setdefault(made.number, []).append(made)
            while (parts := waiting.get(self._next)) and len(parts) == parts[0].parts:
                del waiting[self._next]
                self._next += 1
                self._finish(sorted(parts, key=_shard))

    def snapshot(self) -> Snapshot:
        """Wait until the store has everything, then say so.

        Raises:
            StoreAway: The process was asked to end while the store was away.
            DeskError: The store has trouble that waiting does not end.
        """
        self._keeper.drain()
        self._consumed(self._seq)
        return VERSION, self._seq, self._progress.position

    def close(self) -> None:
        """End the keeper."""
        self._keeper.close()

    def _finish(self, parts: list[Made]) -> None:
        """One chunk, all of it, shards ascending."""
        progress = self._progress
        first = parts[0]
        if len(parts) == 1:
            # The live case, where microseconds count.
            upto, clock, refused = first.upto, first.clock, first.refused
            runs = [first.rows] if len(first.rows) else []
        else:
            upto = max(made.upto for made in parts)
            clock = max(made.clock for made in parts)
            runs = merge([made.rows for made in parts])
            refused = [tick for made in parts for tick in made.refused]
        if upto:
            self._seq = progress.seq = upto
        over = first.beat > 0 and self._minute_over(first.beat)
        if runs or refused or over:
            # The newest list of streams is one of those of this chunk's pieces.
            streams = max((made.streams for made in parts), key=len)
            refused.sort(key=_place)
            self._keeper.put(Closed(self._seq, runs, streams, refused, over))
        progress.chunks += 1
        for made in parts:
            progress.ticks += made.ticks
            progress.out_of_session += made.out_of_session
        if clock:
            self._clock = progress.clock = clock
        if self._cache is not None:
            for made in parts:
                for stream, bars in made.forming:
                    self._cache.put_bytes(stream, bars, self._clock)
            self._cache.flush(self._clock)
        self._in_flight.done()

    def _minute_over(self, beat: int) -> bool:
        """Whether a minute has closed since the last beat; after a start it is taken to have."""
        minute = (beat - self._grace_ns) // MINUTE_NS
        before, self._minute = self._minute, max(minute, self._minute)
        return minute > before


def _place(tick: Refused) -> tuple[int, int]:
    return tick.seq, tick.place


def _shard(made: Made) -> int:
    return made.shard
