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
from market.ticks import ALWAYS, NEVER
from operators import layout
from operators.buckets import packed
from operators.kernels import FULL, LOST, kernels
from operators.layout import BUCKETS, HEAD, MINUTE, OPEN_MINUTES, REJECT, SPANS

GRACE_NS: Final = 2_000_000_000
"""How long after its end a bar stays open unless set otherwise, ns."""
GRACE_NS_MAX: Final = 60_000_000_000
"""The longest grace that four open minutes suffice for."""

_BARS_ROOM: Final = 8192
_REJECTS_ROOM: Final = 1024
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
        self._streams: list[Stream] = []
        self._calendars: list[Calendar] = []
        self._calendar_of: list[int] = []
        # What the directory's addresses point to must outlive them.
        self._sessions: list[NDArray[np.int64]] = []
        self._groups: dict[tuple[int, Symbol], int] = {}
        # Slot 0 is `NOBODY`'s, the streams' begin at 1.
        self._heads = np.zeros(1, HEAD)
        self._heads["due"] = ALWAYS
        self._newest = np.zeros(1, MINUTE)
        self._older = np.zeros((1, OPEN_MINUTES - 1), MINUTE)
        self._last = np.zeros(1, MINUTE)
        self._figures = np.zeros((1, 5, BUCKETS))
        self._bounds = np.zeros((1, 3, BUCKETS), np.int64)
        self._revisions = np.zeros((1, BUCKETS + 1), np.uint32)
        self._spans = np.zeros((1, SPANS, 2), np.int64)
        self._by_id = np.zeros(0, np.uint32)
        self._slots = np.zeros(layout.IDS, np.uint32)
        self._dues = np.zeros(0, np.int64)
        self._directory = np.zeros((0, 2), np.int64)
        # One row more than there is room for: the kernel sorts through it.
        self._bars = np.zeros(_BARS_ROOM + 1, BAR)
        self._rejects = np.zeros(_REJECTS_ROOM, REJECT)
        self._touched = np.zeros(1, np.uint16)
        self._header: bytes | None = None
        self._kernels = kernels()
        self._block = np.zeros(layout.BLOCK, np.int64)
        self._block[layout.GRACE] = grace_ns
        self._address = self._block.ctypes.data
        self._locate()

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The streams of this shard, in the order in which they were added."""
        return tuple(self._streams)

    @property
    def grace_ns(self) -> int:
        """How long after its end a bar stays open, ns."""
        return int(self._block[layout.GRACE])

    def __contains__(self, stream: int) -> bool:
        """Whether a stream of this id was added."""
        return bool(self._slots[stream] != layout.NOBODY)

    def add_stream(self, stream: Stream, calendar: Calendar) -> None:
        """Make a place for a stream; adding one again changes nothing.

        It makes bars once a mark says so: DESIGNATED for a live feed, FILE_START for a file.

        Args:
            stream: Of this shard; streams of one symbol must be of one shard.
            calendar: The symbol's sessions.
        """
        if stream.id in self:
            return
        self._streams.append(stream)
        slot = len(self._streams)
        self._make_room(slot + 1, stream.domain + 1)
        if calendar not in self._calendars:
            self._calendars.append(calendar)
            rows = packed(calendar)
            self._sessions.append(rows)
            self._directory = np.append(self._directory, [[rows.ctypes.data, len(rows)]], axis=0)
        self._calendar_of.append(self._calendars.index(calendar))
        head = self._heads[slot]
        head["due"] = NEVER
        head["spans_end"] = ALWAYS
        head["stream"] = stream.id
        head["domain"] = stream.domain
        head["group"] = self._groups.setdefault((stream.domain, stream.symbol), len(self._groups))
        head["calendar"] = self._calendar_of[-1]
        self._newest[slot]["start"] = NEVER
        self._slots[stream.id] = slot
        self._by_id = np.argsort([known.id for known in self._streams]).astype(np.uint32) + np.uint32(1)
        self._header = None
        self._locate()

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
        block = self._block
        block[layout.FRESH] = 1
        fold = self._kernels.fold
        arguments = (
            self._address, ticks, order, row_seq, row_clock, row_first_tick, row_beat, marks, row_first_mark, domain
        )  # fmt: skip
        closed: list[NDArray[np.void]] = []
        rejects: list[NDArray[np.void]] = []
        outcome = FULL
        while outcome == FULL:
            outcome = fold(*arguments)
            bars, refused, touched, unused, outside, unknown = block[layout.BARS_COUNT : layout.BLOCK].tolist()
            if bars:
                closed.append(_taken(self._bars, bars))
            if refused:
                rejects.append(_taken(self._rejects, refused))
        if outcome == LOST:
            msg = f"a tick names stream {unknown}, which this shard does not hold; restart from the last snapshot"
            raise DeskError(msg)
        return FoldResult(
            _joined(closed, _NO_BARS),
            _joined(rejects, _NO_REJECTS),
            self._touched[:touched].copy() if touched else _NONE_TOUCHED,
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
            streams = self._heads["stream"][self._by_id]
        ids = np.ascontiguousarray(streams if isinstance(streams, np.ndarray) else list(streams), np.uint16)
        parts: list[NDArray[np.void]] = []
        place = 0
        while place < len(ids):
            place = self._kernels.forming(self._address, ids, place)
            parts.append(_taken(self._bars, int(self._block[layout.BARS_COUNT])))
        return _joined(parts, _NO_BARS)

    def snapshot(self) -> bytes:
        """Everything `restore` needs, the same bytes for the same rows however they were batched."""
        used = slice(1, len(self._streams) + 1)
        heads = self._heads[used].copy()
        # What depends on the way here, not on the rows: a guess, and what the last fold touched.
        heads["touched"] = 0
        heads["session"] = 0
        if self._header is None:
            self._header = self._describe()
        arrays = [heads, *(array[used] for array in self._state()[1:])]
        body = b"".join([self._header, *(array.tobytes() for array in arrays)])
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
        for number, feed, exchange, ticker, kind, domain, extended, name in header["streams"]:
            stream = Stream(number, feed, Symbol(exchange, ticker), FeedKind(kind), domain, extended)
            calendar = calendars(stream)
            if calendar.name != name:
                msg = (
                    f"bars of {stream.symbol} were begun with calendar {name}, which is now {calendar.name}; "
                    "remove the recovery folder, and they are made anew from the journal"
                )
                raise SnapshotError(msg)
            made.add_stream(stream, calendar)
        used = slice(1, len(made._streams) + 1)
        offset = 0
        for array in made._state():
            places = array[used]
            part = np.frombuffer(body, array.dtype, count=places.size, offset=offset)
            places[...] = part.reshape(places.shape)
            offset += part.nbytes
        heads = made._heads[used]
        heads["calendar"] = made._calendar_of
        waiting = heads["due"] != NEVER
        heads["due"][waiting] += made.grace_ns - header["grace_ns"]
        np.minimum.at(made._dues, heads["domain"], heads["due"])
        return made

    def _describe(self) -> bytes:
        """The snapshot's header: the streams, and the grace."""
        streams = [
            [s.id, s.feed, s.symbol.exchange, s.symbol.ticker, int(s.kind), s.domain, s.extended, calendar]
            for s, calendar in zip(
                self._streams, (self._calendars[place].name for place in self._calendar_of), strict=True
            )
        ]
        return json.dumps({"grace_ns": self.grace_ns, "streams": streams}, separators=(",", ":")).encode()

    def _state(self) -> tuple[NDArray[Any], ...]:
        """The arrays that a snapshot holds, by slot, in its order."""
        return (
            self._heads, self._newest, self._older, self._last, self._figures, self._bounds, self._revisions,
            self._spans,
        )  # fmt: skip

    def _make_room(self, slots: int, domains: int) -> None:
        """Grow the arrays, doubling, so that adding streams one by one stays cheap."""
        if slots > len(self._heads):
            room = max(16, 2 * len(self._heads))
            (
                self._heads, self._newest, self._older, self._last, self._figures, self._bounds, self._revisions,
                self._spans,
            ) = (_grown(array, room, 0) for array in self._state())  # fmt: skip
            self._touched = _grown(self._touched, room, 0)
        if domains > len(self._dues):
            self._dues = _grown(self._dues, max(domains, 2 * len(self._dues)), NEVER)

    def _locate(self) -> None:
        """Tell the kernel where the arrays are and how long."""
        block = self._block
        for place, array in (
            (layout.HEADS, self._heads), (layout.NEWEST, self._newest), (layout.OLDER, self._older),
            (layout.LAST, self._last), (layout.FIGURES, self._figures), (layout.BOUNDS, self._bounds),
            (layout.REVISIONS, self._revisions), (layout.SPAN_ENDS, self._spans), (layout.BY_ID, self._by_id),
            (layout.SLOTS, self._slots), (layout.DUES, self._dues), (layout.CALENDARS, self._directory),
            (layout.BARS, self._bars), (layout.REJECTS, self._rejects), (layout.TOUCHED, self._touched),
        ):  # fmt: skip
            block[place] = array.ctypes.data
        for place, size in (
            (layout.CAPACITY, len(self._heads)), (layout.STREAMS, len(self._streams)),
            (layout.DOMAINS, len(self._dues)), (layout.CLASSES, len(self._directory)),
            (layout.BARS_ROOM, _BARS_ROOM), (layout.REJECTS_ROOM, len(self._rejects)),
            (layout.TOUCHED_ROOM, len(self._touched)),
        ):  # fmt: skip
            block[place] = size


def _grown(array: NDArray[Any], length: int, fill: int) -> NDArray[Any]:
    """A longer copy, filled up."""
    shape = (length, *array.shape[1:])
    longer = np.full(shape, fill, array.dtype) if fill else np.zeros(shape, array.dtype)
    longer[: len(array)] = array
    return longer


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
