"""How the kernel reaches its arrays: by their addresses in the block, so that a call passes one number for them all.

Numba spends 50 to 100 ns on each array of a call, which for a batch of one tick would be most of the time. Whoever owns
the block owns the arrays too, and keeps both alive over the call.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from market.bars import BAR
from operators import layout
from operators.jit import carray, njit, pointer
from operators.layout import BLOCK, BUCKETS, HEAD, MINUTE, OPEN_MINUTES, REJECT, SPANS

_ROW_BYTES = BUCKETS * 8
_FIGURES_BYTES = 5 * _ROW_BYTES

Block = Any
"""A `BLOCK` record: addresses, sizes, and where a fold stands."""
Records = NDArray[Any]
"""An array of records, whose fields are attributes inside a kernel."""


@njit
def block_at(address: int) -> Block:
    """The block at an address, as a record: what a kernel passes on is one pointer."""
    return carray(pointer(address), (1,), BLOCK)[0]


@njit
def heads(block: Block) -> Records:
    """`HEAD` by slot."""
    return carray(pointer(block.heads), (block.capacity,), HEAD)


@njit
def newest_minutes(block: Block) -> Records:
    """`MINUTE` by slot: the newest open minute."""
    return carray(pointer(block.newest), (block.capacity,), MINUTE)


@njit
def older_minutes(block: Block) -> Records:
    """`MINUTE` by slot and place: the other open minutes, oldest first."""
    return carray(pointer(block.older), (block.capacity, OPEN_MINUTES - 1), MINUTE)


@njit
def last_minutes(block: Block) -> Records:
    """`MINUTE` by slot: the last closed minute."""
    return carray(pointer(block.last), (block.capacity,), MINUTE)


@njit
def figures(block: Block) -> NDArray[np.float64]:
    """Open, high, low, volume and notional of the buckets: (slots, 5, 12)."""
    return carray(pointer(block.figures), (block.capacity, 5, BUCKETS), np.float64)


@njit
def bounds(block: Block) -> NDArray[np.int64]:
    """Start, end (ns) and trades of the buckets: (slots, 3, 12)."""
    return carray(pointer(block.bounds), (block.capacity, 3, BUCKETS), np.int64)


@njit
def figures_at(block: Block, slot: int) -> int:
    """Address of one stream's figures."""
    return int(block.figures + np.int64(slot) * _FIGURES_BYTES)


@njit
def bounds_at(block: Block, slot: int, row: int) -> int:
    """Address of one row of one stream's bounds: start, end or trades by bucket."""
    return int(block.bounds + (np.int64(slot) * 3 + row) * _ROW_BYTES)


@njit
def revisions(block: Block) -> NDArray[np.uint32]:
    """Revisions of the last closed minute and of the buckets that hold it: (slots, 13)."""
    return carray(pointer(block.revisions), (block.capacity, BUCKETS + 1), np.uint32)


@njit
def spans(block: Block) -> NDArray[np.int64]:
    """Spans of doubt, [start, end) in ns, in order of arrival: (slots, 8, 2)."""
    return carray(pointer(block.spans), (block.capacity, SPANS, 2), np.int64)


@njit
def slots_by_id(block: Block) -> NDArray[np.uint32]:
    """The slots in use, in the order of their streams' ids."""
    return carray(pointer(block.by_id), (block.streams,), np.uint32)


@njit
def slot_of_id(block: Block) -> NDArray[np.uint32]:
    """Slot by stream id, `NOBODY` where this shard holds no such stream."""
    return carray(pointer(block.slots), (layout.IDS,), np.uint32)


@njit
def dues(block: Block) -> NDArray[np.int64]:
    """No stream of the domain is due before this, ns, by domain."""
    return carray(pointer(block.dues), (block.domains,), np.int64)


@njit
def sessions(block: Block, calendar: int) -> NDArray[np.int64]:
    """The calendar's rows as `calendar_rows.packed` makes them: (sessions, 8), minutes since 1970."""
    directory = carray(pointer(block.calendars), (block.classes, 2), np.int64)
    return carray(pointer(directory[calendar, 0]), (directory[calendar, 1], 8), np.int64)


@njit
def bars(block: Block) -> Records:
    """The buffer of `BAR` records; there is room for one more than `BARS_ROOM` says."""
    return carray(pointer(block.bars), (block.bars_room + 1,), BAR)


@njit
def rejects(block: Block) -> Records:
    """The buffer of `REJECT` records."""
    return carray(pointer(block.rejects), (block.rejects_room,), REJECT)


@njit
def touched(block: Block) -> NDArray[np.uint16]:
    """The buffer of ids of streams that the fold changed; each at most once, so there is room for all."""
    return carray(pointer(block.touched), (block.touched_room,), np.uint16)
