"""The bars of a stream that are not over yet, put together from its state without changing it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from market.bars import BarState
from market.intervals import MINUTE_NS
from market.ticks import ALWAYS
from operators import layout, memory
from operators.buckets import bucket, find_session
from operators.closing import write_bucket
from operators.jit import njit
from operators.layout import BUCKETS, END, MARGIN
from operators.memory import Block

_FORMING = int(BarState.FORMING)


@njit
def forming(address: int, streams: NDArray[np.uint16], first: int) -> int:
    """Write the forming bars of streams to the block's buffer of bars, by stream as given, interval and start.

    Each stream has 13, and more while two minutes are open; none if nothing of it is open. Revision 0; `updated_at`
    and `seq` are those of the last tick.

    Args:
        address: Of the shard's block; its buffer of bars is written anew.
        streams: Ids; those that the shard does not hold are passed over.
        first: The place in `streams` to begin at.

    Returns:
        The place to continue at once the buffer was taken out: `len(streams)` when done.
    """
    block = memory.block_at(address)
    slots = memory.slot_of_id(block)
    block.bars_count = 0
    for place in range(first, len(streams)):
        slot = slots[streams[place]]
        if slot == layout.NOBODY:
            continue
        if block.bars_count > block.bars_room - MARGIN:
            return place
        _form(block, slot)
    return len(streams)


@njit
def _form(block: Block, slot: int) -> None:
    head = memory.heads(block)[slot]
    count = head.open_minutes
    for place in range(count):
        _begin(block, slot, place, 0, _start(block, slot, place), _start(block, slot, place) + MINUTE_NS)
    sessions = memory.sessions(block, head.calendar)
    bounds = memory.bounds(block)
    bars = memory.bars(block)
    session = head.session
    for i in range(BUCKETS):
        end = ALWAYS
        if head.closed & 1 and not head.closed & (2 << i):
            end = bounds[slot, END, i]
            row = _reserve(block, slot, i + 1)
            write_bucket(block, slot, i, row)
        for place in range(count):
            start = _start(block, slot, place)
            if start < end:
                _merge(block, slot, place, bars[block.bars_count - 1])
            else:
                session = find_session(sessions, session, start // MINUTE_NS)
                first, end = bucket(sessions, session, i + 1, start // MINUTE_NS)
                _begin(block, slot, place, i + 1, first, end)


@njit
def _start(block: Block, slot: int, place: int) -> int:
    """Start of the open minute at a place, oldest first."""
    if place + 1 == memory.heads(block)[slot].open_minutes:
        return int(memory.newest_minutes(block)[slot].start)
    return int(memory.older_minutes(block)[slot, place].start)


@njit
def _reserve(block: Block, slot: int, interval: int) -> int:
    """Take a row of the buffer for a forming bar."""
    head = memory.heads(block)[slot]
    row = block.bars_count
    block.bars_count = row + 1
    bar = memory.bars(block)[row]
    bar.updated_at = head.clock
    bar.seq = head.seq
    bar.revision = 0
    bar.stream = head.stream
    bar.interval = interval
    bar.state = _FORMING
    return int(row)


@njit
def _begin(block: Block, slot: int, place: int, interval: int, start: int, end: int) -> None:
    """Write a bar whose first minute is the open one at `place`."""
    newest = place + 1 == memory.heads(block)[slot].open_minutes
    minute = memory.newest_minutes(block)[slot] if newest else memory.older_minutes(block)[slot, place]
    bar = memory.bars(block)[_reserve(block, slot, interval)]
    bar.start = start
    bar.end = end
    bar.open = minute.open
    bar.high = minute.high
    bar.low = minute.low
    bar.close = minute.close
    bar.volume = minute.volume
    bar.notional = minute.notional
    bar.trades = minute.trades


@njit
def _merge(block: Block, slot: int, place: int, bar: Any) -> None:
    """Add the open minute at `place` to a bar."""
    newest = place + 1 == memory.heads(block)[slot].open_minutes
    minute = memory.newest_minutes(block)[slot] if newest else memory.older_minutes(block)[slot, place]
    bar.high = max(bar.high, minute.high)
    bar.low = min(bar.low, minute.low)
    bar.close = minute.close
    bar.volume += minute.volume
    bar.notional += minute.notional
    bar.trades += minute.trades
