"""The object that owns one shard's arrays: streams in, ticks in, bars out, its state as bytes."""

import json
from collections.abc import Callable, Iterable, Sequence
from struct import Struct
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from market.bars import BAR
from market.errors import DeskError
from market.sessions import Calendar
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from operators import layout
from operators.kernels import FULL, LOST, kernels
from operators.layout import REJECT
from operators.shard_state import ShardState

GRACE_NS: Final = 2_000_000_000
"""How long after its end a bar stays open unless set otherwise, ns."""
GRACE_NS_MAX: Final = 60_000_000_000
"""The longest grace that four open minutes suffice for."""

_MAGIC: Final = b"PQbars"
_FRONT: Final = Struct("<6sHIQ")
"""Magic, version, length of the header, checksum of all that follows."""


def _none(dtype: Any) -> NDArray[Any]:
    empty = np.zeros(0, dtype)
    empty.setflags(write=False)
    return empty


_NO_BARS: Final = _none(BAR)
_NO_REJECTS: Final = _none(REJECT)
_NONE_TOUCHED: Final = _none(np.uint16)


class FoldResult(NamedTuple):
    """What came of one batch, for one shard. All arrays are the caller's to keep."""

    closed: NDArray[np.void]
    """`BAR` records in the order in which they came to be."""
    rejects: NDArray[np.void]
    """`REJECT` records in the same order."""
    touched: NDArray[np.uint16]
    """Ids of the streams whose forming bars changed, each once."""
    ticks: int
    """Ticks that entered bars."""
    out_of_session: int
    """Ticks outside their symbol's sessions, which enter no bar."""


class SnapshotError(DeskError):
    """A snapshot that this program cannot continue from."""


class Aggregator:
    """Makes the bars of one shard.

    The same rows in the same order give the same bars, however they are batched and wherever a snapshot was taken and
    restored in between. State is about 1.5 KB a stream.
    """

    def __init__(self, grace_ns: int = GRACE_NS) -> None:
        """Start empty.

        Args:
            grace_ns: How long after its end a bar stays open, ns, 0 to 60 s.

        Raises:
            DeskError: The grace is out of range.
        """
        if not 0 <= grace_ns <= GRACE_NS_MAX:
            msg = f"grace must be from 0 to {GRACE_NS_MAX / 1e9:g} s, and is {grace_ns / 1e9:g} s; change grace_s"
            raise DeskError(msg)
        self._state = ShardState(grace_ns)
        self._kernels = kernels()
        self._header: bytes | None = None

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The streams of this shard, in the order in which they were added."""
        return tuple(self._state.streams)

    @property
    def grace_ns(self) -> int:
        """How long after its end a bar stays open, ns."""
        return self._state.grace_ns

    def __contains__(self, stream: int) -> bool:
        """Whether a stream of this id was added."""
        return bool(self._state.slots[stream] != layout.NOBODY)

    def add_stream(self, stream: Stream, calendar: Calendar) -> None:
        """Make a place for a stream; adding one again changes nothing.

        It makes bars once a mark says so: DESIGNATED for a live feed, FILE_START for a file.

        Args:
            stream: Of this shard; streams of one symbol must be of one shard.
            calendar: The symbol's sessions.
        """
        self.add_streams([(stream, calendar)])

    def add_streams(self, streams: Iterable[tuple[Stream, Calendar]]) -> None:
        """As `add_stream`, for many at once: a thousand in the time of a few."""
        fresh = [(stream, calendar) for stream, calendar in streams if stream.id not in self]
        if fresh:
            self._state.add(fresh)
            self._header = None

    def fold(
        self,
        ticks: NDArray[np.void],
        order: NDArray[np.uint32],
        row_seq: NDArray[np.int64],
        row_clock: NDArray[np.int64],
        row_first_tick: NDArray[np.int64],
        row_beat: NDArray[np.bool_],
        marks: NDArray[np.void],
        row_first_mark: NDArray[np.int64],
        domain: int,
    ) -> FoldResult:
        """Fold consecutive journal rows of one clock domain. The arguments are those of `operators.fold.fold`.

        Raises:
            DeskError: A tick names a stream that was not added. The state is then that of half the batch: start again
                from a snapshot.
        """
        state = self._state
        state.fresh[0] = 1
        fold = self._kernels.fold
        arguments = (
            state.address, ticks, order, row_seq, row_clock, row_first_tick, row_beat, marks, row_first_mark, domain
        )  # fmt: skip
        closed: list[NDArray[np.void]] = []
        rejects: list[NDArray[np.void]] = []
        outcome = FULL
        while outcome == FULL:
            outcome = fold(*arguments)
            bars, refused, touched, unused, outside, unknown = state.counts.tolist()
            if bars:
                closed.append(_taken(state.bars, bars))
            if refused:
                rejects.append(_taken(state.rejects, refused))
        if outcome == LOST:
            msg = f"a tick names stream {unknown}, which this shard does not hold; restart from the last snapshot"
            raise DeskError(msg)
        return FoldResult(
            _joined(closed, _NO_BARS),
            _joined(rejects, _NO_REJECTS),
            state.touched[:touched].copy() if touched else _NONE_TOUCHED,
            len(order) - unused - outside,
            outside,
        )

    def forming(self, streams: NDArray[np.uint16] | Iterable[int] | None = None) -> NDArray[np.void]:
        """The bars that are not over yet.

        Args:
            streams: Ids of the streams asked for; all, in order of their ids, if None.

        Returns:
            `BAR` records by stream, interval and start: 13 a stream that has something open, more while two minutes
            are open. Revision 0; `updated_at` and `seq` are those of the stream's last tick.
        """
        if streams is None:
            streams = self._state.heads["stream"][self._state.by_id]
        ids = np.ascontiguousarray(streams if isinstance(streams, np.ndarray) else list(streams), np.uint16)
        parts: list[NDArray[np.void]] = []
        place = 0
        while place < len(ids):
            place = self._kernels.forming(self._state.address, ids, place)
            parts.append(_taken(self._state.bars, int(self._state.counts[0])))
        return _joined(parts, _NO_BARS)

    def snapshot(self) -> bytes:
        """Everything `restore` needs, the same bytes for the same rows however they were batched."""
        if self._header is None:
            self._header = self._describe()
        body = self._header + self._state.dump()
        return _FRONT.pack(_MAGIC, layout.VERSION, len(self._header), xxh3_64_intdigest(body)) + body

    @classmethod
    def restore(cls, snapshot: bytes, calendars: Callable[[Stream], Calendar], grace_ns: int | None = None) -> Self:
        """Continue from a snapshot.

        Args:
            snapshot: What `snapshot` gave.
            calendars: The calendar of a stream.
            grace_ns: Another grace from here on; the snapshot's own if None.

        Raises:
            SnapshotError: Another version, damaged, or made with other calendars.
        """
        header, body = _opened(snapshot)
        made = cls(header["grace_ns"] if grace_ns is None else grace_ns)
        known: list[tuple[Stream, Calendar]] = []
        for number, feed, exchange, ticker, kind, domain, extended, name in header["streams"]:
            stream = Stream(number, feed, Symbol(exchange, ticker), FeedKind(kind), domain, extended)
            calendar = calendars(stream)
            if calendar.name != name:
                msg = (
                    f"bars of {stream.symbol} were begun with calendar {name}, which is now {calendar.name}; "
                    "remove the recovery folder, and they are made anew from the journal"
                )
                raise SnapshotError(msg)
            known.append((stream, calendar))
        made.add_streams(known)
        made._state.load(body, header["grace_ns"])
        return made

    def _describe(self) -> bytes:
        """The snapshot's header: the streams, and the grace."""
        streams = [
            [s.id, s.feed, s.symbol.exchange, s.symbol.ticker, int(s.kind), s.domain, s.extended, calendar.name]
            for s, calendar in zip(self._state.streams, self._state.calendars, strict=True)
        ]
        return json.dumps({"grace_ns": self.grace_ns, "streams": streams}, separators=(",", ":")).encode()


def _taken(buffer: NDArray[np.void], count: int) -> NDArray[np.void]:
    """A copy of a buffer's first records, made as bytes: NumPy copies records one by one, at a third of the speed."""
    return buffer.view(np.uint8)[: count * buffer.itemsize].copy().view(buffer.dtype)


def _joined(parts: Sequence[NDArray[np.void]], empty: NDArray[np.void]) -> NDArray[np.void]:
    """All parts as one array."""
    if len(parts) < 2:
        return parts[0] if parts else empty
    return np.concatenate([part.view(np.uint8) for part in parts]).view(empty.dtype)


def _opened(snapshot: bytes) -> tuple[dict[str, Any], bytes]:
    """The header and the arrays' bytes of a snapshot that is whole and of our version."""
    if len(snapshot) < _FRONT.size or not snapshot.startswith(_MAGIC):
        msg = f"snapshot of bars is not one: it begins with {snapshot[:6]!r}; remove the recovery folder to start anew"
        raise SnapshotError(msg)
    _, version, length, checksum = _FRONT.unpack_from(snapshot)
    if version != layout.VERSION:
        msg = (
            f"snapshot of bars has version {version}, this program reads version {layout.VERSION}; "
            "remove the recovery folder, and the bars are made anew from the journal"
        )
        raise SnapshotError(msg)
    body = snapshot[_FRONT.size :]
    if xxh3_64_intdigest(body) != checksum:
        msg = "snapshot of bars is damaged: its checksum differs; remove the recovery folder to start anew"
        raise SnapshotError(msg)
    return json.loads(body[:length]), body[length:]
