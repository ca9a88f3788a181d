"""The bar kernel: ticks, marks and the passing of time become bars of thirteen intervals, tick by tick, in order."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from market.intervals import MINUTE_NS
from market.ticks import NEVER
from operators import memory
from operators.closing import advance, touch
from operators.jit import borrowed, njit, prefetch
from operators.layout import AHEAD_NS, MARGIN, NOBODY
from operators.marking import apply_mark
from operators.memory import Block, Records
from operators.ticking import fold_aside

_TICKS, _MARKS, _BEAT = range(3)
"""Stages of a row, in this order."""

_SOON: Final = 16
"""How many ticks ahead memory is asked for: a shard's ticks lie scattered in the batch."""

DONE: Final = 0
"""All rows are folded."""
FULL: Final = 1
"""A buffer is nearly full: take out what it holds and call again."""
LOST: Final = 2
"""A tick names a stream that the shard does not hold: `UNKNOWN` says which."""


@njit
def fold(
    address: int,
    ticks: Records,
    order: NDArray[np.uint32],
    row_seq: NDArray[np.int64],
    row_clock: NDArray[np.int64],
    row_first_tick: NDArray[np.int64],
    row_beat: NDArray[np.bool_],
    marks: Records,
    row_first_mark: NDArray[np.int64],
    domain: int,
) -> int:
    """Fold one shard's ticks of consecutive journal rows of one domain, from where the block says.

    Each tick first moves its stream's clock to its received time, which closes what is due, then enters its minute.
    After a row's ticks and marks, a beat moves every stream of the domain to the row's clock.

    Args:
        address: Of the shard's block: see `operators.layout`. Bars, rejects and touched streams go to its buffers.
        ticks: `TICK` records of all rows and shards.
        order: Places in `ticks` of this shard's, rising.
        row_seq: Journal sequence by row.
        row_clock: Clock by row, ns.
        row_first_tick: Place of each row's first tick; one more entry than rows.
        row_beat: Whether the row is a beat.
        marks: `MARK` records of all rows.
        row_first_mark: Place of each row's first mark; one more entry than rows.
        domain: Clock domain of the rows.

    Returns:
        `DONE`, `FULL` or `LOST`.
    """
    block = memory.block_at(address)
    ticks = borrowed(ticks)
    order = borrowed(order)
    heads = memory.heads(block)
    slots = memory.slot_of_id(block)
    dues = memory.dues(block)
    if block.fresh:
        _start_afresh(block)
    # The caller has taken out what the last call wrote.
    block.bars_count = 0
    block.rejects_count = 0
    row = block.row
    place = block.place
    stage = block.stage
    item = block.item
    while row < len(row_seq):
        seq = row_seq[row]
        if stage == _TICKS:
            stop = row_first_tick[row + 1]
            while place < len(order) and order[np.uint64(place)] < stop:
                place = _fold_inside(block, ticks, order, place, stop, seq)
                if place == len(order) or order[np.uint64(place)] >= stop:
                    break
                tick = ticks[order[np.uint64(place)]]
                slot = slots[tick.stream]
                if slot == NOBODY:
                    block.unknown = tick.stream
                    return LOST
                if heads[slot].active:
                    if _nearly_full(block):
                        return _pause(block, row, place, stage, item)
                    fold_aside(block, slot, tick, seq, order[np.uint64(place)] - row_first_tick[row])
                else:
                    block.unused += 1
                place += 1
            stage = _MARKS
            item = row_first_mark[row]
        if stage == _MARKS:
            while item < row_first_mark[row + 1]:
                mark = marks[item]
                slot = slots[mark.stream]
                if slot != NOBODY:
                    if _nearly_full(block):
                        return _pause(block, row, place, stage, item)
                    apply_mark(block, slot, mark, seq)
                item += 1
            stage = _BEAT
            item = 0
        if row_beat[row] and domain < len(dues) and dues[domain] <= row_clock[row]:
            item = _beat(block, domain, row_clock[row], seq, item)
            if item < block.streams:
                return _pause(block, row, place, stage, item)
        stage = _TICKS
        row += 1
    return DONE


@njit
def _pause(block: Block, row: int, place: int, stage: int, item: int) -> int:
    """Note where to continue."""
    block.row = row
    block.place = place
    block.stage = stage
    block.item = item
    return FULL


@njit
def _fold_inside(block: Block, ticks: Records, order: NDArray[np.uint32], place: int, stop: int, seq: int) -> int:
    """Fold the ticks that fall inside their stream's newest open minute while nothing is due: nearly all of them.

    A loop of its own, so that the processor's registers are its own too.

    Returns:
        The first place in the order that is not of this kind, or not of this row.
    """
    heads = memory.heads(block)
    newest = memory.newest_minutes(block)
    slots = memory.slot_of_id(block)
    count = len(order)
    # Unsigned numbers spare a check for places counted from the end.
    while place < count and order[np.uint64(place)] < stop:
        tick = ticks[order[np.uint64(place)]]
        if place < count - _SOON:
            prefetch(ticks, order[np.uint64(place + _SOON)])
        slot = slots[tick.stream]
        head = heads[slot]
        minute = newest[slot]
        event_time = tick.event_time
        received_time = tick.received_time
        if (
            received_time >= head.due
            or np.uint64(event_time - minute.start) >= np.uint64(MINUTE_NS)
            or event_time - received_time > AHEAD_NS
        ):
            break
        price = tick.price
        size = tick.size
        if event_time < minute.open_time:
            minute.open_time = event_time
            minute.open = price
        if event_time >= minute.close_time:
            minute.close_time = event_time
            minute.close = price
        minute.high = max(minute.high, price)
        minute.low = min(minute.low, price)
        minute.volume += size
        minute.notional += price * size
        minute.trades += tick.count
        head.clock = received_time
        head.seq = seq
        if not head.touched:
            touch(block, slot)
        place += 1
    return place


@njit
def _start_afresh(block: Block) -> None:
    """Begin with the first row, with nothing counted and no stream touched."""
    heads = memory.heads(block)
    slots = memory.slot_of_id(block)
    touched = memory.touched(block)
    for place in range(block.touched_count):
        heads[slots[touched[place]]].touched = 0
    block.fresh = 0
    block.row = 0
    block.place = 0
    block.stage = _TICKS
    block.item = 0
    block.touched_count = 0
    block.unused = 0
    block.out_of_session = 0


@njit
def _nearly_full(block: Block) -> bool:
    return bool(block.bars_count > block.bars_room - MARGIN or block.rejects_count == block.rejects_room)


@njit
def _beat(block: Block, domain: int, clock: int, seq: int, first: int) -> int:
    """Move every stream of a domain to a clock, in order of their ids.

    Args:
        block: The shard.
        domain: Clock domain.
        clock: ns.
        seq: The journal row that beats.
        first: How many streams were moved by a call before.

    Returns:
        How many streams were moved by now: fewer than there are if a buffer is nearly full.
    """
    heads = memory.heads(block)
    by_id = memory.slots_by_id(block)
    for item in range(first, len(by_id)):
        slot = by_id[item]
        if heads[slot].domain == domain and heads[slot].due <= clock:
            if _nearly_full(block):
                return item
            advance(block, slot, clock, seq)
    earliest = NEVER
    for slot in by_id:
        if heads[slot].domain == domain:
            earliest = min(earliest, heads[slot].due)
    memory.dues(block)[domain] = earliest
    return len(by_id)
