"""The one order in which paper trading sees everything: the journal's rows, what the bars dataflow logged, controls.

Rows are read one after the other. At a boundary (`dataflows.paper.total_order`) come first the row's ticks, then the
bars that were logged since the last boundary, for which the dataflow of bars is waited for if need be; ticks of other
rows never wait. A control takes effect right behind the row that it is given, which is written down before anything
after it is acted on.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from dataflows.paper import total_order
from dataflows.paper.counting import LIVE, Counting
from dataflows.paper.events import Begin, Closed, Event, Rest, Ticks, Told
from dataflows.paper.standing import BARS, Desk, Standing, Ways
from dataflows.paper.starting import Preparation
from market.bars import BAR
from market.chunks import Chunk
from market.chunks import Position as JournalPosition
from market.errors import DeskError
from sinks.bar_store import Logged, Name
from sinks.paper_book import Control, Position

FILE_FEED: Final = "file:"
"""How the feeds of tick files begin: their bars are of another clock."""
EVENTS_MAX: Final = 64
"""So many are handed over at a time while catching up."""
BEHIND_ROWS: Final = 4096
"""With more than this read at once, what is read is of the past."""
LOOK_S: Final = 0.2
"""How often controls are looked for."""
REST_S: Final = 1.0
"""How long after the last rest there may be another one when nothing comes."""
REST_LONGEST_S: Final = 10.0
"""After this long there is one in any case."""
KEEP_S: Final = 10.0
"""How often all that could be gone on from is written down."""


class Tail:
    """Reads on from where it stands; for one thread."""

    def __init__(self, ways: Ways, standing: Standing, desk: Callable[[], Desk]) -> None:
        """Go on.

        Args:
            ways: What to read.
            standing: Where to go on.
            desk: The runs; asked when nothing is on its way to them.
        """
        self._ways = ways
        self._at = standing
        self._desk = desk
        self._counting = Counting(standing.designated)
        self._chunks: deque[Chunk] = deque()
        self._row = 0
        self._read_upto = standing.seq
        self._at_end = False
        self._behind = True
        self._bars_upto = 0
        self._logged: deque[Logged] = deque()
        self._placed: deque[Control] = deque(_placed_after(ways.patience(ways.book.controls), standing))
        self._waiting: dict[int, Control] = {}
        self._preparing: dict[int, Preparation] = {}
        self._looked_s = float("-inf")
        self._rested_s = ways.clock_s()
        self._rested = standing.seq
        self._kept_s = ways.clock_s()

    @property
    def position(self) -> Position:
        """As the book has it."""
        at = self._at
        return Position(at.seq, at.log_seq, at.closed, at.controls, at.clock, at.grace_ns)

    @property
    def seq(self) -> int:
        """The row up to which all is done."""
        return self._at.seq

    @property
    def clock(self) -> int:
        """Of the last live row, ns."""
        return self._at.clock

    @property
    def waits_for_bars(self) -> bool:
        """Whether a minute has closed whose bars have not come."""
        return self._at.awaiting

    def snapshot(self) -> bytes:
        """Where it stands."""
        self._at.designated = self._counting.designated
        return msgspec.msgpack.encode(self._at)

    def next(self) -> list[Event]:
        """The next events; none if there is nothing more for now. To be called when the runs have had all before.

        Raises:
            StopIteration: The journal's end is the end, and it is there.
            DeskError: The journal, the store or the book has trouble that waiting does not end.
        """
        self._counting.watch(self._desk().symbols)
        self._look_at_controls()
        events: list[Event] = []
        # Never together with what somebody waits for: to draw up a hundred statements takes longer than to act.
        rested = self._rest(REST_LONGEST_S)
        if rested is not None:
            return [rested]
        while len(events) < EVENTS_MAX and self._advance(events):
            pass
        if not events and (self._at_end or self._at.awaiting):
            rested = self._rest(REST_S)
            if rested is not None:
                return [rested]
            if self._ways.until_end and not self._preparing:
                raise StopIteration
        return events

    def _rest(self, after_s: float) -> Rest | None:
        """A rest, if the last one was so long ago and something has come since."""
        now = self._ways.clock_s()
        if self._at.seq <= self._rested or now - self._rested_s < after_s:
            return None
        self._rested_s, self._rested = now, self._at.seq
        whole = now - self._kept_s >= KEEP_S
        if whole:
            self._kept_s = now
        return Rest(self.position, self.snapshot() if whole else b"")

    def look_soon(self) -> None:
        """Look at the controls next time: somebody has rung."""
        self._looked_s = float("-inf")

    def _advance(self, events: list[Event]) -> bool:
        """Do the next thing that is due; False if there is none, or what is on its way has to arrive first."""
        if self._at.awaiting:
            if not self._bars_are_there():
                return False
            events.append(self._close())
            return True
        if self._placed and self._is_due(self._placed[0]):
            events.append(self._tell(self._placed.popleft(), None))
            # What comes next may be of symbols that were not watched so far.
            return False
        due = self._due_waiting()
        if due is not None:
            # What the runs say of it counts once they have had all that comes before.
            return not events and self._place(due, events)
        if not self._chunks and not self._read():
            return False
        if self._chunks:
            self._step(events)
        return True

    # Rows

    def _read(self) -> bool:
        """Read on; False if there is no more for now."""
        at = self._at
        position = JournalPosition(self._read_upto, {LIVE: at.clock} if at.clock else {})
        chunks, after = self._ways.reader.read_chunks(position, self._ways.max_ticks)
        self._at_end = after.seq == self._read_upto
        if self._at_end:
            self._behind = False
            return False
        self._behind = after.seq - self._read_upto > BEHIND_ROWS
        self._read_upto = after.seq
        self._chunks.extend(chunk for chunk in chunks if chunk.domain == LIVE)
        self._row = 0
        if not self._chunks:
            self._move_to(after.seq)
        return True

    def _move_to(self, seq: int) -> None:
        """Rows up to `seq` hold nothing; a control that took effect among them is not passed over."""
        if self._placed and self._placed[0].applied_seq is not None:
            seq = min(seq, self._placed[0].applied_seq)
        self._at.seq = max(self._at.seq, seq)

    def _step(self, events: list[Event]) -> None:
        """Take rows of the first chunk up to where the order is cut."""
        at, chunk, row = self._at, self._chunks[0], self._row
        if row == len(chunk.row_seq):
            self._chunks.popleft()
            self._row = 0
            self._move_to(chunk.last_seq if self._chunks else self._read_upto)
            return
        self._counting.learn(chunk.streams)
        boundary = total_order.next_boundary(chunk, row, at.grace_ns, at.closed)
        designation = total_order.next_designation(chunk, row)
        stops = [boundary, designation]
        if self._placed and self._placed[0].applied_seq is not None:
            stops.append(total_order.last_upto(chunk, row, self._placed[0].applied_seq))
        asked = [one.asked_at for one in self._waiting.values() if one.asked_at > at.clock]
        if asked:
            stops.append(total_order.first_at(chunk, row, min(asked)))
        end = min((stop + 1 for stop in stops if stop is not None), default=len(chunk.row_seq))
        first, last = int(chunk.row_first_tick[row]), int(chunk.row_first_tick[end])
        counted = None
        if last > first and self._counting.symbols:
            rows = _rows_of_ticks(chunk, row, end)
            counted = self._counting.counted(chunk.ticks[first:last], rows, at.closed)
        at.seq = int(chunk.row_seq[end - 1])
        at.clock = int(chunk.row_clock[end - 1])
        if counted is not None:
            events.append(Ticks(self.position, *counted, self._counting.symbols))
        if designation == end - 1:
            self._counting.designate(total_order.designated(chunk, designation))
        at.awaiting = boundary == end - 1
        self._row = end

    # Bars

    def _bars_are_there(self) -> bool:
        """Whether the bars dataflow has done the row that is waited at."""
        if self._bars_upto < self._at.seq:
            self._bars_upto = self._ways.patience(lambda: self._ways.store.position(BARS))
        return self._bars_upto >= self._at.seq

    def _close(self) -> Closed:
        """What was logged up to the boundary."""
        at = self._at
        rows, log_seqs, names = self._take_log(at.seq)
        at.closed = total_order.closed_until(at.clock, at.grace_ns)
        at.awaiting = False
        return Closed(self.position, rows, log_seqs, names)

    def _take_log(self, upto: int) -> tuple[NDArray[np.void], NDArray[np.int64], tuple[Name, ...]]:
        """Rows of the bars' log that were logged up to a journal row, and have not been taken yet."""
        self._fetch_log(upto)
        parts: list[NDArray[np.void]] = []
        places: list[NDArray[np.int64]] = []
        names: dict[Name, int] = {}
        while self._logged:
            part = self._logged[0]
            count = int(np.searchsorted(part.rows["seq"], upto, side="right"))
            if count:
                known = np.array([names.setdefault(name, len(names)) for name in part.names], np.uint16)
                live = np.array([not name.feed.startswith(FILE_FEED) for name in part.names], np.bool_)
                rows, seqs = part.rows[:count].copy(), part.seqs[:count]
                kept = live[rows["stream"]] & (rows["seq"] > self._at.shown_after)
                rows["stream"] = known[rows["stream"]]
                parts.append(rows[kept])
                places.append(seqs[kept])
                self._at.log_seq = int(seqs[-1])
            if count < len(part.rows):
                self._logged[0] = part._replace(seqs=part.seqs[count:], rows=part.rows[count:])
                break
            self._logged.popleft()
        if not parts:
            return np.empty(0, BAR), np.empty(0, np.int64), ()
        return np.concatenate(parts), np.concatenate(places), tuple(names)

    def _fetch_log(self, upto: int) -> None:
        """Have all rows of the log at hand that were logged up to a journal row."""
        if self._logged and int(self._logged[-1].rows["seq"][-1]) > upto:
            return

        def fetch() -> list[Logged]:
            after = int(self._logged[-1].seqs[-1]) if self._logged else self._at.log_seq
            found = []
            for part in self._ways.store.revisions(BARS, after):
                found.append(part)
                if int(part.rows["seq"][-1]) > upto:
                    break
            return found

        self._logged.extend(self._ways.patience(fetch))

    # Controls

    def _look_at_controls(self) -> None:
        now = self._ways.clock_s()
        if now - self._looked_s < LOOK_S:
            return
        self._looked_s = now
        for control in self._ways.patience(lambda: self._ways.book.controls(waiting=True)):
            if not control.refused:
                self._waiting.setdefault(control.number, control)

    def _is_due(self, control: Control) -> bool:
        """Whether all rows are done that a control takes effect behind."""
        place = control.applied_seq or 0
        if place <= self._at.seq:
            return True
        chunk = self._chunks[0] if self._chunks else None
        return chunk is not None and self._row < len(chunk.row_seq) and place < int(chunk.row_seq[self._row])

    def _due_waiting(self) -> Control | None:
        """The first control that waits for its place and may have it here."""
        for number in sorted(self._waiting):
            control = self._waiting[number]
            if control.asked_at > self._at.clock and not (self._at_end and not self._chunks):
                continue
            # Behind one row they take effect by number.
            if number < self._at.control and self._at.seq <= self._at.control_seq:
                continue
            if control.action == "start" and not self._ready(control):
                continue
            return control
        return None

    def _ready(self, control: Control) -> bool:
        """Whether all is there that a start needs; live it is made beside the flow."""
        at = self._at
        known = self._preparing.get(control.number)
        if known is None or (known.wait(0) and known.closed_until != at.closed):
            make = self._ways.prepare(dict(self._counting.designated), at.closed)
            known = self._preparing[control.number] = Preparation(control, make, at.closed)
        if self._ways.until_end or self._behind:
            # Behind, rows of hours would go by.
            known.wait(None)
        return known.wait(0) or known.overdue

    def _place(self, control: Control, events: list[Event]) -> bool:
        """Give a control its place, here; or refuse it."""
        at = self._at
        del self._waiting[control.number]
        begin = None
        prepared = self._preparing.pop(control.number, None)
        why = self._desk().refusal(control)
        if not why and prepared is not None:
            try:
                begin = prepared.result()
            except DeskError as error:
                why = str(error)
        refused = {control.number: why} if why else {}
        self._ways.patience(lambda: self._ways.book.apply({control.number: at.seq}, refused))
        if not why:
            events.append(self._tell(control._replace(applied_seq=at.seq), begin))
            return False
        return True

    def _tell(self, control: Control, begin: Begin | None) -> Told:
        """A control takes effect."""
        at = self._at
        at.seq = max(at.seq, control.applied_seq or 0)
        at.control, at.control_seq = control.number, at.seq
        at.controls += 1
        if control.action == "grace":
            at.grace_ns = int(control.body["grace_ns"])
        if control.action == "start" and begin is None:
            begin = self._ways.prepare(dict(self._counting.designated), at.closed)(control)
        return Told(self.position, control, begin)


def _rows_of_ticks(chunk: Chunk, row: int, end: int) -> NDArray[np.int64]:
    """The journal row of each tick of rows `[row, end)`."""
    counts = chunk.row_first_tick[row + 1 : end + 1] - chunk.row_first_tick[row:end]
    return np.repeat(chunk.row_seq[row:end], counts)


def _placed_after(controls: list[Control], standing: Standing) -> Iterator[Control]:
    """Controls that have their place, and it is still to come, by place and number."""
    place = (standing.control_seq, standing.control)
    found = [one for one in controls if one.applied_seq is not None and not one.refused]
    found = [one for one in found if (one.applied_seq or 0, one.number) > place]
    return iter(sorted(found, key=lambda one: (one.applied_seq or 0, one.number)))
