"""The one input of the bars dataflow: chunks of the journal, each split over the shards that it concerns.

A chunk goes to the shards that have ticks in it, and to all eight if it moves their clock. Splitting is part of the
input, and no step of its own, for two reasons: a step costs microseconds a chunk, and the numbers that let each shard
see that it missed nothing have to be in the input's snapshot.
"""

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final

import numpy as np
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from numpy.typing import NDArray

from dataflows.bars.pieces import Piece
from market.chunks import Chunk
from market.errors import DeskError
from market.streams import SHARDS, Stream
from operators.split import places_by_shard
from sources.journal_tail import InFlight

KEYS: Final = tuple(str(shard) for shard in range(SHARDS))
"""Keys of the shards; recovery data."""

VERSION: Final = 1
"""Version of the input's snapshot."""

BEHIND_TICKS: Final = 4096
"""A chunk of more ticks than this means that the flow is behind; forming bars are then shown less often."""
SHOW_BEHIND_S: Final = 0.1
"""How often while it is behind."""

LIVE: Final = 0
"""Clock domain of the live feeds, the only bars that are shown while they form."""

_NONE: Final = np.empty(0, np.uint32)
_FIRST: Final = np.zeros(1, np.uint32)

Snapshot = tuple[int, int, Any]
"""(version, last row of the last chunk that went to all shards, the snapshot of the chunks' source)."""


class JournalInput(FixedPartitionedSource[tuple[str, Piece], Snapshot]):
    """Pieces of the journal's chunks, keyed by shard."""

    def __init__(
        self,
        chunks: FixedPartitionedSource[Chunk, Any],
        *,
        in_flight: InFlight,
        show: bool,
        prelude: Callable[[], list[Chunk]] = list,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Describe the input.

        Args:
            chunks: The journal's tail, or anything else with one partition of chunks.
            in_flight: Counts what the flow has not finished; that of the tail.
            show: Whether anybody wants to see forming bars.
            prelude: Chunks to begin with where there is no snapshot (see `dataflows.bars.prelude`).
            clock_s: Seconds, monotone: decides how often forming bars are shown while behind, and nothing else.
        """
        self._chunks = chunks
        self._in_flight = in_flight
        self._show = show
        self._prelude = prelude
        self._clock_s = clock_s

    def list_parts(self) -> list[str]:
        """The one partition of the chunks."""
        return self._chunks.list_parts()

    def build_part(self, step_id: str, for_part: str, resume_state: Snapshot | None) -> "JournalInputPartition":
        """Build the partition anew, or from a snapshot.

        Raises:
            DeskError: The snapshot is of another version.
        """
        if resume_state is None:
            inner = self._chunks.build_part(step_id, for_part, None)
            return JournalInputPartition(inner, 0, self._prelude(), self._in_flight, self._show, self._clock_s)
        version, broadcast, state = resume_state
        if version != VERSION:
            msg = (
                f"recovery state of the bars' input has version {version}, this program knows {VERSION}; move the "
                "recovery folder away and make the bars anew"
            )
            raise DeskError(msg)
        inner = self._chunks.build_part(step_id, for_part, state)
        return JournalInputPartition(inner, broadcast, [], self._in_flight, self._show, self._clock_s)


class JournalInputPartition(StatefulSourcePartition[tuple[str, Piece], Snapshot]):
    """The pieces of one partition of chunks."""

    def __init__(
        self,
        inner: StatefulSourcePartition[Chunk, Any],
        broadcast: int,
        prelude: list[Chunk],
        in_flight: InFlight,
        show: bool,
        clock_s: Callable[[], float],
    ) -> None:
        self._inner = inner
        self._broadcast = broadcast
        self._prelude = prelude
        self._in_flight = in_flight
        self._show = show
        self._clock_s = clock_s
        self._number = 0
        # After a start the cache knows nothing, or what a predecessor wrote: every shard is asked once.
        self._owed = show
        self._shown = 0.0
        self._streams: tuple[Stream, ...] = ()
        self._shard_of: NDArray[np.uint8] = np.empty(0, np.uint8)

    def next_batch(self) -> list[tuple[str, Piece]]:
        """The pieces of the next chunks.

        Raises:
            StopIteration: As the chunks' source.
        """
        if self._prelude:
            chunks: Iterable[Chunk] = self._prelude
            self._in_flight.add(len(self._prelude))
            self._prelude = []
        else:
            chunks = self._inner.next_batch()
        out: list[tuple[str, Piece]] = []
        for chunk in chunks:
            self._divide(chunk, out)
        # Nothing came and nothing is on its way: the flow has caught up.
        if not out and self._owed and not self._in_flight.count:
            self._settle(out)
        return out

    def next_awake(self) -> datetime | None:
        """As the chunks' source."""
        return self._inner.next_awake()

    def snapshot(self) -> Snapshot:
        """Where the chunks' source stands, and what the shards must have seen."""
        return VERSION, self._broadcast, self._inner.snapshot()

    def close(self) -> None:
        """Close the chunks' source."""
        self._inner.close()

    def _divide(self, chunk: Chunk, out: list[tuple[str, Piece]]) -> None:
        """Append the pieces of one chunk."""
        if chunk.streams is not self._streams:
            self._learn(chunk.streams)
        live = chunk.domain == LIVE
        show = self._show and live and self._may_show(len(chunk.ticks))
        beat = chunk.row_beat
        moves_all = bool(beat[0]) if len(beat) == 1 else bool(beat.any())
        places = self._places(chunk)
        number, after = self._number, self._broadcast
        self._number += 1
        if moves_all:
            self._broadcast = chunk.last_seq
        if moves_all or (show and self._owed):
            for shard, key in enumerate(KEYS):
                own = places.get(shard, _NONE)
                sent = chunk if moves_all or len(own) else None
                out.append((key, Piece(number, SHARDS, shard, sent, own, moves_all, after, show)))
        else:
            for shard, own in places.items():
                out.append((KEYS[shard], Piece(number, len(places), shard, chunk, own, False, after, show)))
        if self._show and live:
            self._owed = not show and (self._owed or bool(len(chunk.ticks) or moves_all))

    def _settle(self, out: list[tuple[str, Piece]]) -> None:
        """Append pieces that only ask for what is forming."""
        self._in_flight.add()
        number = self._number
        self._number += 1
        self._owed = False
        out += (
            (key, Piece(number, SHARDS, shard, None, _NONE, False, self._broadcast, True))
            for shard, key in enumerate(KEYS)
        )

    def _may_show(self, ticks: int) -> bool:
        if ticks <= BEHIND_TICKS:
            return True
        now = self._clock_s()
        if now - self._shown < SHOW_BEHIND_S:
            return False
        self._shown = now
        return True

    def _places(self, chunk: Chunk) -> dict[int, NDArray[np.uint32]]:
        """Places of the ticks in the chunk, by shard."""
        count = len(chunk.ticks)
        if not count:
            return {}
        if count == 1:
            # The live case, where microseconds count.
            return {int(self._shard_of[chunk.ticks["stream"][0]]): _FIRST}
        found = places_by_shard(chunk.ticks, self._shard_of)
        return {shard: own for shard, own in enumerate(found) if len(own)}

    def _learn(self, streams: tuple[Stream, ...]) -> None:
        fresh = [stream.shard for stream in streams[len(self._streams) :]]
        self._shard_of = np.append(self._shard_of, np.array(fresh, np.uint8))
        self._streams = streams
