"""One shard of the bars dataflow: the kernel's state as a Bytewax logic, its snapshot bytes."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from struct import Struct
from typing import Final

import numpy as np
from bytewax.operators import StatefulBatchLogic
from numpy.typing import NDArray

from dataflows.bars.journal_input import LIVE
from dataflows.bars.pieces import Made, Piece, Refused
from market.bars import BAR
from market.chunks import Chunk
from market.errors import DeskError
from market.intervals import INTERVALS
from market.sessions import Calendar
from market.streams import Stream
from operators.bars import Aggregator
from operators.layout import Reason

VERSION: Final = 1
"""Version of the shard's snapshot, around the kernel's own."""

_FRONT: Final = Struct("<4sIqq")
_MAGIC: Final = b"PQsh"
_NO_BARS: Final = np.empty(0, BAR)
_NO_STREAMS: Final = np.empty(0, np.uint16)
_PER_STREAM: Final = len(INTERVALS)


class Shard(StatefulBatchLogic[Piece, Made, bytes]):
    """Makes the bars of the streams whose symbols hash to it. Never discarded.

    State: that of `operators.bars.Aggregator`, the last journal row that went to all shards, and the last that came.
    """

    def __init__(
        self, resume_state: bytes | None, *, grace_ns: int, calendars: Callable[[Stream], Calendar], shown: bool
    ) -> None:
        """Begin empty, or go on from a snapshot.

        Args:
            resume_state: What `snapshot` gave.
            grace_ns: How long after its end a bar stays open, ns.
            calendars: The calendar of a stream.
            shown: Whether pieces will ask what is forming.

        Raises:
            DeskError: The snapshot is damaged, of another version, or made with other calendars.
        """
        self._calendars = calendars
        self._shown = shown
        self._known: tuple[Stream, ...] = ()
        self._own: dict[int, Stream] = {}
        self._dirty: set[int] = set()
        if resume_state is None:
            self._broadcast = self._seq = 0
            self._bars = Aggregator(grace_ns)
        else:
            self._broadcast, self._seq, inner = _opened(resume_state)
            self._bars = Aggregator.restore(inner, calendars, grace_ns)
            # The cache may have forgotten them since.
            self._own = {stream.id: stream for stream in self._bars.streams}
            self._dirty.update(stream.id for stream in self._bars.streams if stream.domain == LIVE)

    def on_batch(self, values: list[Piece]) -> tuple[Iterable[Made], bool]:
        """Make what each piece closes, one `Made` a piece.

        Raises:
            DeskError: The pieces do not follow on the state.
        """
        return [self._make(piece) for piece in values], StatefulBatchLogic.RETAIN

    def on_eof(self) -> tuple[Iterable[Made], bool]:
        """What is forming, for the store; the state goes on after the next start."""
        rows = self._bars.forming()
        if not len(rows):
            return [], StatefulBatchLogic.RETAIN
        # Before the first chunk the journal's list is not known; places of other shards' streams hold any of ours.
        some = next(iter(self._own.values()))
        streams = self._known or tuple(self._own.get(place, some) for place in range(max(self._own) + 1))
        made = Made(-1, 1, 0, 0, 0, 0, rows, [], 0, 0, [], streams)
        return [made], StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        """A copy of the state."""
        return _FRONT.pack(_MAGIC, VERSION, self._broadcast, self._seq) + self._bars.snapshot()

    def _make(self, piece: Piece) -> Made:
        chunk = piece.chunk
        if piece.after != self._broadcast or (chunk is not None and chunk.first_seq <= self._seq):
            rows = "nothing" if chunk is None else f"rows {chunk.first_seq} to {chunk.last_seq}"
            msg = (
                f"the recovery store does not fit the journal: shard {piece.shard} has seen rows up to {self._seq} "
                f"(of those for all, {self._broadcast}), and now came {rows} (after {piece.after}); stop the desk, "
                "move the recovery folder away and start again: bars are then made anew from the journal"
            )
            raise DeskError(msg)
        if chunk is None:
            forming = self._show(_NO_STREAMS) if piece.show else []
            return Made(piece.number, piece.parts, piece.shard, 0, 0, 0, _NO_BARS, [], 0, 0, forming, self._known)
        if chunk.streams is not self._known:
            self._learn(chunk.streams, piece.shard)
        made = self._bars.fold(
            chunk.ticks, piece.places, chunk.row_seq, chunk.row_clock, chunk.row_first_tick, chunk.row_beat,
            chunk.marks, chunk.row_first_mark, chunk.domain,
        )  # fmt: skip
        self._seq = chunk.last_seq
        if piece.moves_all:
            self._broadcast = chunk.last_seq
        forming = []
        clock = beat = 0
        if chunk.domain == LIVE:
            clock = int(chunk.row_clock[-1])
            if piece.moves_all:
                beat = int(chunk.row_clock[chunk.row_beat][-1])
            if piece.show:
                forming = self._show(made.touched)
            elif self._shown:
                self._dirty.update(made.touched.tolist())
        refused = _refused(made.rejects, chunk) if len(made.rejects) else []
        return Made(
            piece.number, piece.parts, piece.shard, chunk.last_seq, clock, beat, made.closed, refused,
            made.out_of_session, made.ticks, forming, chunk.streams,
        )  # fmt: skip

    def _show(self, touched: NDArray[np.uint16]) -> list[tuple[Stream, bytes]]:
        """What is forming of the streams that changed since it was shown last."""
        dirty = self._dirty
        if dirty:
            dirty.update(touched.tolist())
            touched = np.array(sorted(dirty), np.uint16)
            dirty.clear()
        ids = touched.tolist()
        if not ids:
            return []
        rows = self._bars.forming(touched)
        data, own = rows.tobytes(), self._own
        if len(ids) == 1:
            return [(own[ids[0]], data)]
        if len(rows) == _PER_STREAM * len(ids) and rows["stream"][::_PER_STREAM].tolist() == ids:
            # The live case, where microseconds count: each has one bar an interval.
            size = _PER_STREAM * BAR.itemsize
            return [(own[place], data[n * size : n * size + size]) for n, place in enumerate(ids)]
        found = by_stream(rows)
        return [(own[place], found.get(place, b"")) for place in ids]

    def _learn(self, streams: tuple[Stream, ...], shard: int) -> None:
        own = [stream for stream in streams[len(self._known) :] if stream.shard == shard]
        self._own.update((stream.id, stream) for stream in own)
        self._bars.add_streams((stream, self._calendars(stream)) for stream in own)
        self._known = streams


def by_stream(rows: NDArray[np.void]) -> dict[int, bytes]:
    """The bytes of `BAR` records by stream.

    Args:
        rows: Those of one stream lie together.
    """
    if not len(rows):
        return {}
    streams = rows["stream"]
    cuts = [0, *(np.flatnonzero(streams[1:] != streams[:-1]) + 1).tolist(), len(rows)]
    data, size = rows.tobytes(), BAR.itemsize
    return {int(streams[first]): data[first * size : last * size] for first, last in pairwise(cuts)}


def _refused(rejects: NDArray[np.void], chunk: Chunk) -> list[Refused]:
    """What the kernel refused, with what the tick said."""
    seqs, indices = rejects["seq"], rejects["index"]
    ticks = chunk.ticks[chunk.row_first_tick[np.searchsorted(chunk.row_seq, seqs)] + indices]
    columns = [ticks[name].tolist() for name in ("event_time", "received_time", "price", "size")]
    streams = [chunk.streams[place] for place in rejects["stream"].tolist()]
    reasons = [str(Reason(reason)) for reason in rejects["reason"].tolist()]
    return [*map(Refused, seqs.tolist(), indices.tolist(), reasons, streams, *columns)]


def _opened(state: bytes) -> tuple[int, int, bytes]:
    """The last row for all, the last row, and the kernel's snapshot."""
    magic, version, broadcast, seq = _FRONT.unpack_from(state) if len(state) >= _FRONT.size else (b"", 0, 0, 0)
    if magic != _MAGIC or version != VERSION:
        msg = (
            f"recovery state of the bars has version {version}, this program knows {VERSION}; move the recovery "
            "folder away and start again: bars are then made anew from the journal"
        )
        raise DeskError(msg)
    return broadcast, seq, state[_FRONT.size :]
