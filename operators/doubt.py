"""Spans in which a stream may lack ticks, and whether a bar overlaps one.

A span matters to the bars that can still change: those that hold the last closed minute, and newer ones. Spans that end
before that minute are forgotten when room is needed, after marking the buckets that they overlap.
"""

from market.ticks import ALWAYS, NEVER
from operators import memory
from operators.jit import njit
from operators.layout import BUCKETS, END, SPANS, START
from operators.memory import Block


@njit
def doubtful(block: Block, slot: int, start: int, end: int) -> bool:
    """Whether a remembered span overlaps `[start, end)`, ns."""
    head = memory.heads(block)[slot]
    if start >= head.spans_end:
        return False
    spans = memory.spans(block)
    found = False
    for place in range(head.spans):
        found |= spans[slot, place, 0] < end and start < spans[slot, place, 1]
    return found


@njit
def add_span(block: Block, slot: int, start: int, end: int) -> None:
    """Remember one more span; an empty one is none."""
    if start >= end:
        return
    head = memory.heads(block)[slot]
    spans = memory.spans(block)
    if head.spans == SPANS:
        _forget_past(block, slot)
    if head.spans == SPANS:
        # Still full: more outages than that since the last tick. What lies between the two oldest counts as doubt.
        spans[slot, 0, 0] = min(spans[slot, 0, 0], spans[slot, 1, 0])
        spans[slot, 0, 1] = max(spans[slot, 0, 1], spans[slot, 1, 1])
        for place in range(1, SPANS - 1):
            spans[slot, place, 0] = spans[slot, place + 1, 0]
            spans[slot, place, 1] = spans[slot, place + 1, 1]
        head.spans = SPANS - 1
    spans[slot, head.spans, 0] = start
    spans[slot, head.spans, 1] = end
    head.spans += 1
    head.spans_end = max(head.spans_end, end)


@njit
def end_spans(block: Block, slot: int, end: int) -> bool:
    """Ticks flow again from `end` on: end the spans that last. False if none does."""
    head = memory.heads(block)[slot]
    spans = memory.spans(block)
    found = False
    kept = 0
    latest = ALWAYS
    for place in range(head.spans):
        start, until = spans[slot, place, 0], spans[slot, place, 1]
        if until == NEVER:
            found = True
            until = end
        if start < until:
            spans[slot, kept, 0] = start
            spans[slot, kept, 1] = until
            latest = max(latest, until)
            kept += 1
    head.spans = kept
    head.spans_end = latest
    return found


@njit
def _forget_past(block: Block, slot: int) -> None:
    """Drop the spans that end by the start of the last closed minute; the buckets they overlap stay marked."""
    head = memory.heads(block)[slot]
    if not head.closed & 1:
        return
    spans = memory.spans(block)
    bounds = memory.bounds(block)
    last = memory.last_minutes(block)[slot].start
    kept = 0
    for place in range(head.spans):
        start, end = spans[slot, place, 0], spans[slot, place, 1]
        if end > last:
            spans[slot, kept, 0] = start
            spans[slot, kept, 1] = end
            kept += 1
            continue
        for i in range(BUCKETS):
            if start < bounds[slot, END, i] and bounds[slot, START, i] < end:
                head.marred |= 2 << i
    head.spans = kept


@njit
def inherit_spans(block: Block, giver: int, heir: int, moment: int) -> None:
    """Give the heir of a symbol's bars the giver's doubts up to `moment`, and its own from then on."""
    spans = memory.spans(block)
    head = memory.heads(block)[heir]
    own = spans[heir].copy()
    count = head.spans
    head.spans = 0
    head.spans_end = ALWAYS
    for place in range(memory.heads(block)[giver].spans):
        add_span(block, heir, spans[giver, place, 0], min(spans[giver, place, 1], moment))
    for place in range(count):
        add_span(block, heir, max(own[place, 0], moment), own[place, 1])
