"""What a tick does that is not simply inside the newest open minute: opens one, amends the last closed, or neither."""

from typing import Any

from market.intervals import MINUTE_NS
from market.ticks import NEVER, TickFlag
from operators import memory
from operators.buckets import close_of, find_session, holds
from operators.closing import advance, emit_bucket, emit_minute, set_due, start_last, touch
from operators.jit import njit
from operators.layout import AHEAD_NS, AUCTION_NS, BUCKETS, END, OPEN_MINUTES, Reason
from operators.memory import Block

_AUCTION = int(TickFlag.AUCTION)
_LATE = int(Reason.LATE)
_FUTURE = int(Reason.FUTURE)
_NO_MINUTE = -1


@njit
def begin(minute: Any, start: int, tick: Any) -> None:
    """Write a `MINUTE` that holds one tick."""
    minute.start = start
    minute.open_time = tick.event_time
    minute.close_time = tick.event_time
    minute.open = tick.price
    minute.high = tick.price
    minute.low = tick.price
    minute.close = tick.price
    # Sums begin at zero, so that none is ever minus zero.
    minute.volume = 0.0 + tick.size
    minute.notional = 0.0 + tick.price * tick.size
    minute.trades = tick.count


@njit
def add(minute: Any, tick: Any) -> None:
    """Add a tick to a `MINUTE`."""
    price = tick.price
    event_time = tick.event_time
    if event_time < minute.open_time:
        minute.open_time = event_time
        minute.open = price
    if event_time >= minute.close_time:
        minute.close_time = event_time
        minute.close = price
    minute.high = max(minute.high, price)
    minute.low = min(minute.low, price)
    minute.volume += tick.size
    minute.notional += price * tick.size
    minute.trades += tick.count


@njit
def minute_of(block: Block, slot: int, tick: Any) -> int:
    """Start (ns) of the minute bar that a tick belongs to; -1 if it is outside the sessions."""
    head = memory.heads(block)[slot]
    minute = tick.event_time // MINUTE_NS
    sessions = memory.sessions(block, head.calendar)
    session = find_session(sessions, head.session, minute)
    head.session = session
    if holds(sessions, session, minute):
        return int(minute * MINUTE_NS)
    if tick.flags & _AUCTION and session >= 0:
        close = close_of(sessions, session)
        if tick.event_time - close <= AUCTION_NS:
            return close - MINUTE_NS
    return _NO_MINUTE


@njit
def fold_aside(block: Block, slot: int, tick: Any, seq: int, index: int) -> None:
    """Fold any tick of an active stream.

    Args:
        block: The shard.
        slot: The tick's stream.
        tick: A `TICK` record.
        seq: Its journal row.
        index: Its place in that row.
    """
    head = memory.heads(block)[slot]
    clock = tick.received_time
    if head.due <= clock:
        advance(block, slot, clock, seq)
    if tick.event_time - clock > AHEAD_NS:
        _refuse(block, head.stream, seq, index, _FUTURE)
        return
    start = minute_of(block, slot, tick)
    if start == _NO_MINUTE:
        block.out_of_session += 1
        return
    last = memory.last_minutes(block)[slot]
    if head.closed & 1 and start <= last.start:
        if start < last.start:
            _refuse(block, head.stream, seq, index, _LATE)
            return
        _amend(block, slot, tick, seq)
    elif start + MINUTE_NS + block.grace <= clock:
        _close_at_once(block, slot, start, tick, seq)
    elif not _add_open(block, slot, start, tick):
        _refuse(block, head.stream, seq, index, _FUTURE)
        return
    touch(block, slot)
    head.clock = clock
    head.seq = seq


@njit
def _refuse(block: Block, stream: int, seq: int, index: int, reason: int) -> None:
    count = block.rejects_count
    reject = memory.rejects(block)[count]
    block.rejects_count = count + 1
    reject.seq = seq
    reject.index = index
    reject.stream = stream
    reject.reason = reason
    reject.pad = 0
    reject.pad2 = 0
    block.unused += 1


@njit
def _amend(block: Block, slot: int, tick: Any, seq: int) -> None:
    """A tick for the last closed minute: it goes out again, and each closed bar above it."""
    head = memory.heads(block)[slot]
    clock = tick.received_time
    add(memory.last_minutes(block)[slot], tick)
    emit_minute(block, slot, clock, seq)
    for i in range(BUCKETS):
        if head.closed & (2 << i):
            emit_bucket(block, slot, i, clock, seq)


@njit
def _close_at_once(block: Block, slot: int, start: int, tick: Any, seq: int) -> None:
    """A tick for a minute that had been quiet, is over, and is newer than the last closed one: it becomes that one."""
    head = memory.heads(block)[slot]
    clock = tick.received_time
    start_last(block, slot, start, clock, seq)
    begin(memory.last_minutes(block)[slot], start, tick)
    emit_minute(block, slot, clock, seq)
    bounds = memory.bounds(block)
    for i in range(BUCKETS):
        if head.closed & (2 << i) or bounds[slot, END, i] + block.grace <= clock:
            emit_bucket(block, slot, i, clock, seq)
    set_due(block, slot)


@njit
def _add_open(block: Block, slot: int, start: int, tick: Any) -> bool:
    """Add a tick to an open minute, opening it if it is the first; False if there is no place for one more.

    That takes clocks that fall, which the journal rules out; such a tick is refused, and nothing is overwritten.
    """
    head = memory.heads(block)[slot]
    newest = memory.newest_minutes(block)[slot]
    older = memory.older_minutes(block)
    count = head.open_minutes
    if count and newest.start == start:
        add(newest, tick)
        return True
    for place in range(count - 1):
        if older[slot, place].start == start:
            add(older[slot, place], tick)
            return True
    if count == OPEN_MINUTES:
        return False
    if count == 0:
        begin(newest, start, tick)
    elif newest.start < start:
        older[slot, count - 1] = newest
        begin(newest, start, tick)
    else:
        place = count - 1
        while place > 0 and older[slot, place - 1].start > start:
            older[slot, place] = older[slot, place - 1]
            place -= 1
        begin(older[slot, place], start, tick)
    head.open_minutes = count + 1
    due = start + MINUTE_NS + block.grace
    if due < head.due:
        head.due = due
        dues = memory.dues(block)
        dues[head.domain] = min(dues[head.domain], due)
    return True


@njit
def clear(block: Block, slot: int) -> None:
    """Forget a stream's bars: it makes none any more. Its spans stay."""
    head = memory.heads(block)[slot]
    head.due = NEVER
    head.active = 0
    head.open_minutes = 0
    head.closed = 0
    head.filled = 0
    head.marred = 0
    head.doubted = 0
    memory.newest_minutes(block)[slot].start = NEVER
