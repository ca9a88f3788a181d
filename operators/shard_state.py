"""The arrays of one shard: made, grown, shown to the kernel, and turned to bytes and back."""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from market.bars import BAR
from market.sessions import Calendar
from market.streams import Stream
from market.ticks import ALWAYS, NEVER
from operators import layout
from operators.buckets import packed
from operators.layout import BLOCK, BUCKETS, HEAD, MINUTE, OPEN_MINUTES, REJECT, SPANS

_BARS_ROOM: Final = 8192
_REJECTS_ROOM: Final = 1024
_COUNTS: Final = list(BLOCK.fields or {}).index("bars_count")


class ShardState:
    """Owns what the kernel works on. See `operators.layout` for what is in it."""

    def __init__(self, grace_ns: int) -> None:
        """Start without streams.

        Args:
            grace_ns: How long after its end a bar stays open, ns.
        """
        self.streams: list[Stream] = []
        """In the order in which they were added; stream `i` has slot `i + 1`."""
        self.calendars: list[Calendar] = []
        """Of each stream."""
        self._classes: list[Calendar] = []
        # What the directory's addresses point to must outlive them.
        self._sessions: list[NDArray[np.int64]] = []
        self._groups: dict[tuple[int, str], int] = {}
        # Slot 0 is `NOBODY`'s, the streams' begin at 1.
        self.heads = np.zeros(1, HEAD)
        """`HEAD` by slot."""
        self.heads["due"] = ALWAYS
        self._newest = np.zeros(1, MINUTE)
        self._older = np.zeros((1, OPEN_MINUTES - 1), MINUTE)
        self._last = np.zeros(1, MINUTE)
        self._figures = np.zeros((1, 5, BUCKETS))
        self._bounds = np.zeros((1, 3, BUCKETS), np.int64)
        self._revisions = np.zeros((1, BUCKETS + 1), np.uint32)
        self._spans = np.zeros((1, SPANS, 2), np.int64)
        self.by_id = np.zeros(0, np.uint32)
        """Slots in the order of their streams' ids."""
        self.slots = np.zeros(layout.IDS, np.uint32)
        """Slot by stream id."""
        self._dues = np.zeros(0, np.int64)
        self._directory = np.zeros((0, 2), np.int64)
        # One row more than there is room for: the kernel sorts through it.
        self.bars = np.zeros(_BARS_ROOM + 1, BAR)
        """What a fold or a look at forming bars wrote."""
        self.rejects = np.zeros(_REJECTS_ROOM, REJECT)
        """What a fold refused."""
        self.touched = np.zeros(1, np.uint16)
        """Ids of the streams that a fold changed."""
        self._block = np.zeros(1, BLOCK)
        self._block["grace"] = grace_ns
        self.address = self._block.ctypes.data
        """Of the block: the kernel's first argument."""
        self.fresh = self._block["fresh"]
        """One number, to be set to 1 before a fold begins."""
        self.counts = self._block.view(np.int64)[_COUNTS:]
        """Bars, rejects and touched streams written; ticks unused, ticks outside sessions; the unknown stream."""
        self._locate()

    @property
    def grace_ns(self) -> int:
        """How long after its end a bar stays open, ns."""
        return int(self._block["grace"][0])

    def add(self, streams: Iterable[tuple[Stream, Calendar]]) -> None:
        """Make places for streams that have none."""
        for stream, calendar in streams:
            self._add(stream, calendar)
        ids = self.heads["stream"][1 : len(self.streams) + 1]
        self.by_id = (np.argsort(ids, kind="stable") + 1).astype(np.uint32)
        self._locate()

    def _add(self, stream: Stream, calendar: Calendar) -> None:
        self.streams.append(stream)
        self.calendars.append(calendar)
        slot = len(self.streams)
        self._make_room(slot + 1, stream.domain + 1)
        if calendar not in self._classes:
            rows = packed(calendar)
            self._classes.append(calendar)
            self._sessions.append(rows)
            self._directory = np.append(self._directory, [[rows.ctypes.data, len(rows)]], axis=0)
        head = self.heads[slot]
        head["due"] = NEVER
        head["spans_end"] = ALWAYS
        head["stream"] = stream.id
        head["domain"] = stream.domain
        head["group"] = self._groups.setdefault((stream.domain, str(stream.symbol)), len(self._groups))
        head["calendar"] = self._classes.index(calendar)
        self._newest[slot]["start"] = NEVER
        self.slots[stream.id] = slot

    def dump(self) -> bytes:
        """The arrays' bytes, slot by slot in each."""
        used = slice(1, len(self.streams) + 1)
        heads = self.heads[used].copy()
        # What depends on the way here, not on the rows: a guess, and what the last fold touched.
        heads["touched"] = 0
        heads["session"] = 0
        return b"".join([heads.tobytes(), *(array[used].tobytes() for array in self._arrays()[1:])])

    def load(self, body: bytes, grace_ns: int) -> None:
        """Take over what `dump` gave, into the same streams added in the same order.

        Args:
            body: The bytes.
            grace_ns: The grace that they were made with, ns.
        """
        used = slice(1, len(self.streams) + 1)
        calendars = self.heads["calendar"][used].copy()
        offset = 0
        for array in self._arrays():
            places = array[used]
            part = np.frombuffer(body, array.dtype, count=places.size, offset=offset)
            places[...] = part.reshape(places.shape)
            offset += part.nbytes
        heads = self.heads[used]
        heads["calendar"] = calendars
        waiting = heads["due"] != NEVER
        heads["due"][waiting] += self.grace_ns - grace_ns
        np.minimum.at(self._dues, heads["domain"], heads["due"])

    def _arrays(self) -> tuple[NDArray[Any], ...]:
        """The arrays by slot, in the order of a snapshot."""
        return (
            self.heads, self._newest, self._older, self._last, self._figures, self._bounds, self._revisions,
            self._spans,
        )  # fmt: skip

    def _make_room(self, slots: int, domains: int) -> None:
        """Grow the arrays, doubling, so that adding streams one by one stays cheap."""
        if slots > len(self.heads):
            room = max(16, 2 * len(self.heads))
            (
                self.heads, self._newest, self._older, self._last, self._figures, self._bounds, self._revisions,
                self._spans,
            ) = (_grown(array, room, 0) for array in self._arrays())  # fmt: skip
            self.touched = _grown(self.touched, room, 0)
        if domains > len(self._dues):
            self._dues = _grown(self._dues, max(domains, 2 * len(self._dues)), NEVER)

    def _locate(self) -> None:
        """Tell the kernel where the arrays are and how long."""
        block = self._block
        for name, array in (
            ("heads", self.heads), ("newest", self._newest), ("older", self._older), ("last", self._last),
            ("figures", self._figures), ("bounds", self._bounds), ("revisions", self._revisions),
            ("spans", self._spans), ("by_id", self.by_id), ("slots", self.slots), ("dues", self._dues),
            ("calendars", self._directory), ("bars", self.bars), ("rejects", self.rejects), ("touched", self.touched),
        ):  # fmt: skip
            block[name] = array.ctypes.data
        block["capacity"] = len(self.heads)
        block["streams"] = len(self.streams)
        block["domains"] = len(self._dues)
        block["classes"] = len(self._directory)
        block["bars_room"] = _BARS_ROOM
        block["rejects_room"] = _REJECTS_ROOM
        block["touched_room"] = len(self.touched)


def _grown(array: NDArray[Any], length: int, fill: int) -> NDArray[Any]:
    """A longer copy, filled up."""
    shape = (length, *array.shape[1:])
    longer = np.full(shape, fill, array.dtype) if fill else np.zeros(shape, array.dtype)
    longer[: len(array)] = array
    return longer
