"""What happens when time passes: minutes close into the last closed minute, buckets close behind them, bars go out.

A bucket is kept as the sum of its minutes *older* than the last closed one, so that a late tick in that minute changes
every bar above it exactly: bar = ((older minutes + last minute) + first open minute) + second. One order, always.
"""

from market.bars import BarState
from market.intervals import MINUTE_NS
from market.ticks import NEVER
from operators import memory
from operators.buckets import bucket, find_session
from operators.doubt import doubtful
from operators.jit import inlined, njit
from operators.lanes import at_most, count, join, least, lowest
from operators.layout import BUCKETS, END, HIGH, LOW, NOTIONAL, OPEN, START, TRADES, VOLUME
from operators.memory import Block

_CLOSED = int(BarState.CLOSED)
_PARTIAL = int(BarState.PARTIAL)
_ALL = (1 << BUCKETS) - 1


@inlined
def emit_minute(block: Block, slot: int, clock: int, seq: int) -> None:
    """Put out the last closed minute as its next revision."""
    minute = memory.last_minutes(block)[slot]
    count = block.bars_count
    bar = memory.bars(block)[count]
    block.bars_count = count + 1
    bar.start = minute.start
    bar.end = minute.start + MINUTE_NS
    bar.open = minute.open
    bar.high = minute.high
    bar.low = minute.low
    bar.close = minute.close
    bar.volume = minute.volume
    bar.notional = minute.notional
    bar.trades = minute.trades
    _stamp(block, slot, count, 0, clock, seq, doubtful(block, slot, minute.start, minute.start + MINUTE_NS))


@njit
def emit_bucket(block: Block, slot: int, i: int, clock: int, seq: int) -> None:
    """Put out bucket `i` (interval `i + 1`) as its next revision, and take it as closed."""
    head = memory.heads(block)[slot]
    count = block.bars_count
    block.bars_count = count + 1
    write_bucket(block, slot, i, count)
    bounds = memory.bounds(block)
    marred = (head.marred >> (i + 1)) & 1 == 1
    doubt = marred or doubtful(block, slot, bounds[slot, START, i], bounds[slot, END, i])
    head.closed |= 2 << i
    _stamp(block, slot, count, i + 1, clock, seq, doubt)


@njit
def write_bucket(block: Block, slot: int, i: int, row: int) -> None:
    """Bounds and figures of a bucket up to and with the last closed minute, into a row of the buffer."""
    head = memory.heads(block)[slot]
    minute = memory.last_minutes(block)[slot]
    figures = memory.figures(block)
    bounds = memory.bounds(block)
    bar = memory.bars(block)[row]
    bar.start = bounds[slot, START, i]
    bar.end = bounds[slot, END, i]
    bar.open = figures[slot, OPEN, i] if (head.filled >> (i + 1)) & 1 else minute.open
    bar.high = max(figures[slot, HIGH, i], minute.high)
    bar.low = min(figures[slot, LOW, i], minute.low)
    bar.close = minute.close
    bar.volume = figures[slot, VOLUME, i] + minute.volume
    bar.notional = figures[slot, NOTIONAL, i] + minute.notional
    bar.trades = bounds[slot, TRADES, i] + minute.trades


@njit
def _stamp(block: Block, slot: int, row: int, interval: int, clock: int, seq: int, doubt: bool) -> None:
    """State, revision and origin of a bar that goes out."""
    head = memory.heads(block)[slot]
    revisions = memory.revisions(block)
    revisions[slot, interval] += 1
    bar = memory.bars(block)[row]
    bar.updated_at = clock
    bar.seq = seq
    bar.revision = revisions[slot, interval]
    bar.stream = head.stream
    bar.interval = interval
    if doubt:
        bar.state = _PARTIAL
        head.doubted |= 1 << interval
    else:
        bar.state = _CLOSED
        head.doubted &= ~(1 << interval)


@njit
def touch(block: Block, slot: int) -> None:
    """Note that the fold changed the stream's forming bars."""
    head = memory.heads(block)[slot]
    if not head.touched:
        head.touched = 1
        count = block.touched_count
        memory.touched(block)[count] = head.stream
        block.touched_count = count + 1


@njit
def start_last(block: Block, slot: int, start: int, clock: int, seq: int) -> bool:
    """Make room for a newer last closed minute, whose figures the caller writes and puts out.

    The one that was joins the buckets that both are in; the others begin anew. A bucket that ends before the new
    minute and has not been put out goes out first.

    Returns:
        Whether any bucket was put out.
    """
    head = memory.heads(block)[slot]
    last = memory.last_minutes(block)[slot]
    figures = memory.figures_at(block, slot)
    put_out = False
    if head.closed & 1:
        ended = at_most(memory.bounds_at(block, slot, END), start)
        pending = ended & ~(head.closed >> 1)
        while pending:
            emit_bucket(block, slot, lowest(pending), clock, seq)
            pending &= pending - 1
            put_out = True
        minute_figures = (last.open, last.high, last.low, last.volume, last.notional)
        join(figures, minute_figures, ~(head.filled >> 1), ended)
        count(memory.bounds_at(block, slot, TRADES), last.trades, ended)
        head.filled = 0xFFFF
    else:
        ended = _ALL
        join(figures, (0.0, 0.0, 0.0, 0.0, 0.0), 0, ended)
        count(memory.bounds_at(block, slot, TRADES), 0, ended)
    if ended:
        minute = start // MINUTE_NS
        sessions = memory.sessions(block, head.calendar)
        session = find_session(sessions, head.session, minute)
        head.session = session
        bounds = memory.bounds(block)
        revisions = memory.revisions(block)
        keep = ~(ended << 1)
        while ended:
            i = lowest(ended)
            ended &= ended - 1
            bounds[slot, START, i], bounds[slot, END, i] = bucket(sessions, session, i + 1, minute)
            revisions[slot, i + 1] = 0
        head.filled &= keep
        head.marred &= keep
        head.closed &= keep
    head.closed |= 1
    memory.revisions(block)[slot, 0] = 0
    return put_out


@inlined
def set_due(block: Block, slot: int) -> None:
    """Work out when the stream next has something to close."""
    head = memory.heads(block)[slot]
    end = NEVER
    if head.open_minutes == 1:
        end = memory.newest_minutes(block)[slot].start + MINUTE_NS
    elif head.open_minutes > 1:
        end = memory.older_minutes(block)[slot, 0].start + MINUTE_NS
    if head.closed & 1:
        end = min(end, least(memory.bounds_at(block, slot, END), ~(head.closed >> 1)))
    if end == NEVER:
        head.due = NEVER
        return
    head.due = end + block.grace
    dues = memory.dues(block)
    dues[head.domain] = min(dues[head.domain], head.due)


@njit
def advance(block: Block, slot: int, clock: int, seq: int) -> None:
    """Close what is due at a clock, ns. The bars go out by interval, then start."""
    head = memory.heads(block)[slot]
    newest = memory.newest_minutes(block)
    older = memory.older_minutes(block)
    last = memory.last_minutes(block)
    grace = block.grace
    first = block.bars_count
    closed = 0
    disordered = False
    while head.open_minutes > 0:
        many = head.open_minutes > 1
        start = older[slot, 0].start if many else newest[slot].start
        if start + MINUTE_NS + grace > clock:
            break
        disordered |= start_last(block, slot, start, clock, seq)
        if many:
            last[slot] = older[slot, 0]
            for place in range(head.open_minutes - 2):
                older[slot, place] = older[slot, place + 1]
        else:
            last[slot] = newest[slot]
            newest[slot].start = NEVER
        head.open_minutes -= 1
        emit_minute(block, slot, clock, seq)
        closed += 1
    if head.closed & 1:
        pending = at_most(memory.bounds_at(block, slot, END), clock - grace) & ~(head.closed >> 1)
        while pending:
            emit_bucket(block, slot, lowest(pending), clock, seq)
            pending &= pending - 1
    if disordered or closed > 1:
        _sort_bars(block, first)
    touch(block, slot)
    set_due(block, slot)


@njit
def _sort_bars(block: Block, first: int) -> None:
    """Sort the bars of one closing, from row `first` on, by interval, then start; a handful, nearly in order."""
    bars = memory.bars(block)
    count = block.bars_count
    # The row behind the last is free: the buffer keeps a margin.
    for row in range(first + 1, count):
        place = row
        bars[count] = bars[row]
        while place > first and (
            bars[place - 1].interval > bars[count].interval
            or (bars[place - 1].interval == bars[count].interval and bars[place - 1].start > bars[count].start)
        ):
            bars[place] = bars[place - 1]
            place -= 1
        bars[place] = bars[count]
