"""What a mark does to one stream: spans of doubt begin and end, a stream takes over the bars of its symbol."""

from typing import Any

from market.intervals import MINUTE_NS
from market.ticks import MarkKind
from operators import memory
from operators.closing import emit_bucket, emit_minute, set_due, touch
from operators.doubt import add_span, doubtful, end_spans, inherit_spans
from operators.jit import njit
from operators.layout import BUCKETS, END, START
from operators.memory import Block
from operators.ticking import clear

_DOWN, _UP, _SUBSCRIBED = int(MarkKind.DOWN), int(MarkKind.UP), int(MarkKind.SUBSCRIBED)
_DROPPED, _GAP = int(MarkKind.DROPPED), int(MarkKind.GAP)
_FILE_START, _DESIGNATED = int(MarkKind.FILE_START), int(MarkKind.DESIGNATED)


@njit
def apply_mark(block: Block, slot: int, mark: Any, seq: int) -> None:
    """Take note of a `MARK` about the stream in `slot`.

    UP and SUBSCRIBED say that ticks flow from `end` on, which ends every span that lasts; where none does they are a
    span of their own, as DOWN, DROPPED and GAP are. Closed bars that a span makes partial go out again.
    """
    kind = mark.kind
    if kind == _FILE_START:
        memory.heads(block)[slot].active = 1
    elif kind == _DESIGNATED:
        _designate(block, slot, mark.time)
    elif kind in (_DOWN, _DROPPED, _GAP) or (kind in (_UP, _SUBSCRIBED) and not end_spans(block, slot, mark.end)):
        add_span(block, slot, mark.start, mark.end)
        _doubt_closed(block, slot, mark.time, seq)


@njit
def _doubt_closed(block: Block, slot: int, clock: int, seq: int) -> None:
    """Put out again, as partial, the closed bars of the last minute and above that a span has come to overlap."""
    head = memory.heads(block)[slot]
    if not head.closed & 1:
        return
    minute = memory.last_minutes(block)[slot]
    if not head.doubted & 1 and doubtful(block, slot, minute.start, minute.start + MINUTE_NS):
        emit_minute(block, slot, clock, seq)
    bounds = memory.bounds(block)
    for i in range(BUCKETS):
        bit = 2 << i
        if not head.closed & bit or head.doubted & bit:
            continue
        if head.marred & bit or doubtful(block, slot, bounds[slot, START, i], bounds[slot, END, i]):
            emit_bucket(block, slot, i, clock, seq)


@njit
def _designate(block: Block, heir: int, moment: int) -> None:
    """Let a stream make the bars of its symbol from `moment` (ns) on.

    Bars belong to the symbol: what another stream of it had begun is continued, not begun again, so that no revision
    is given twice. Doubts up to the moment are that stream's, later ones the heir's.
    """
    heads = memory.heads(block)
    if heads[heir].active:
        return
    giver = -1
    for slot in memory.slots_by_id(block):
        if heads[slot].active and heads[slot].group == heads[heir].group:
            giver = slot
    heads[heir].active = 1
    if giver < 0:
        return
    old, new = heads[giver], heads[heir]
    new.clock = old.clock
    new.seq = old.seq
    new.closed = old.closed
    new.filled = old.filled
    new.marred = old.marred
    new.doubted = old.doubted
    new.open_minutes = old.open_minutes
    memory.newest_minutes(block)[heir] = memory.newest_minutes(block)[giver]
    older = memory.older_minutes(block)
    for place in range(older.shape[1]):
        older[heir, place] = older[giver, place]
    memory.last_minutes(block)[heir] = memory.last_minutes(block)[giver]
    memory.figures(block)[heir] = memory.figures(block)[giver]
    memory.bounds(block)[heir] = memory.bounds(block)[giver]
    memory.revisions(block)[heir] = memory.revisions(block)[giver]
    inherit_spans(block, giver, heir, moment)
    clear(block, giver)
    set_due(block, heir)
    touch(block, heir)
