"""A file of ticks on its way into the journal: checked as at ingest, cut into rows, and never twice."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from market.errors import DeskError
from market.intervals import MINUTE_NS
from market.journal_rows import CorruptRow, RowKind
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from market.ticks import ALL_STREAMS, MARK, Batch, MarkKind
from operators.validate import Reason, Rules, check_ticks
from sinks.journal import JournalWriter
from sinks.ledger import Ledger, Reject, Replay
from sources.journal import JournalReader
from sources.tick_files.batches import FileBatch
from sources.tick_files.opening import TickFile

SECOND_NS: Final = 1_000_000_000
ROW_TICKS: Final = 16_384
"""Most ticks in a row of the journal."""
TRANSACTION_TICKS: Final = 500_000
"""About how many ticks are committed at a time."""
EVERYTHING: Final = Symbol("*", "*")
"""Stands for the symbol of a capture that is replayed with all of its symbols."""

Tell = Callable[[str, float], None]
"""Called with what is being done (`journal`, `bars`) and how much of it is done, 0 to 1; now and then."""


class FileIntake:
    """Puts one file into the journal, from where the journal already has it.

    What of it is there is counted in the journal itself: a kill -9 may lose anything else.
    """

    def __init__(
        self,
        file: TickFile,
        symbol: Symbol | None,
        writer: JournalWriter,
        *,
        journal: Path,
        ledger: Ledger,
        now_ns: Callable[[], int],
        grace_ns: int,
        negative: frozenset[Symbol],
        extended: frozenset[Symbol],
    ) -> None:
        """Look how much of the file is in the journal.

        Args:
            file: The file.
            symbol: That it was opened with; None for a capture with all of its symbols.
            writer: Of the journal.
            journal: Its folder.
            ledger: Where rejects go, and how far the replay is.
            now_ns: For the ledger, ns.
            grace_ns: How long after its end a bar stays open, ns.
            negative: Symbols whose price may be zero or below.
            extended: Symbols whose ticks outside the regular session enter bars.

        Raises:
            DeskError: The file is half in the journal and a row of it is damaged.
        """
        self._file = file
        self._symbol = symbol
        self._writer = writer
        self._folder = journal
        self._ledger = ledger
        self._now_ns = now_ns
        self._grace_ns = grace_ns
        self._negative = negative
        self._extended = extended
        known = [stream for stream in writer.streams if stream.feed == file.feed and symbol in {None, stream.symbol}]
        self._domain = known[-1].domain if known else 1 + max((stream.domain for stream in writer.streams), default=0)
        self._streams = {stream.symbol: stream for stream in known if stream.domain == self._domain}
        self._begun: set[int] = set()
        """Streams that have their FILE_START in the journal."""
        self._ended = False
        self._last_minute = 0
        # Several symbols close each other's bars by the rows' clock, so their rows are finer.
        self._cut_ns = MINUTE_NS if symbol is not None else SECOND_NS
        self.journaled_before = 0
        """Ticks of the file that earlier runs journaled."""
        self.journaled = 0
        """Ticks that this run has."""
        if known:
            self._look_back()

    def symbols(self) -> tuple[Symbol, ...]:
        """All symbols that the file had so far."""
        return tuple(self._streams)

    def go_on(self, stop: threading.Event, tell: Tell) -> bool:
        """Journal what of the file is not there yet; says whether all of it was.

        Args:
            stop: Ends it early when set, at the end of a row.
            tell: Told how far it is, as `("journal", share)`.

        Raises:
            DeskError: The file cannot be read on, or the journal not be written.
        """
        if not self._ended:
            self._note("running")
            if not self._journal(stop, tell):
                return False
        self._note("done")
        return not self.journaled

    def _look_back(self) -> None:
        """See in the journal how much of the file it has."""
        # What is damaged counts as it was written: the next row's ticks follow on it.
        lost: list[CorruptRow] = []
        with JournalReader(self._folder, lost.append) as reader:
            for row in reader.read_all():
                if row.domain != self._domain:
                    continue
                if row.kind == RowKind.TICKS:
                    self.journaled_before += row.count
                    self._take_in(row.records)
                elif row.kind == RowKind.MARKS:
                    kinds, streams = row.records["kind"], row.records["stream"]
                    self._begun.update(streams[kinds == MarkKind.FILE_START].tolist())
                    self._ended |= bool((kinds == MarkKind.FILE_END).any())
        if lost and not self._ended:
            msg = f"{lost[0]}; a replay cannot go on behind it: replay the file into a --data-dir of its own"
            raise DeskError(msg)

    def _journal(self, stop: threading.Event, tell: Tell) -> bool:
        """Journal the rest; False if it was stopped first."""
        rows: list[tuple[RowKind, int, Batch]] = []
        waiting = 0
        cutter = _Cutter(self._cut_ns)
        skip = self.journaled_before
        for batch in self._file.batches():
            ticks = self._checked(batch)
            if skip:
                ticks, skip = ticks[skip:], max(0, skip - len(ticks))
            if len(ticks):
                assert batch.symbol is not None, "ticks have a symbol"
                stream = self._stream(batch.symbol)
                ticks = ticks.copy()
                ticks["stream"] = stream.id
                self._take_in(ticks)
                if stream.id not in self._begun:
                    rows += self._ticks_rows(cutter.flush())
                    rows.append((RowKind.MARKS, self._domain, self._start_mark(stream, int(ticks["received_time"][0]))))
                    self._begun.add(stream.id)
                rows += self._ticks_rows(cutter.add(ticks))
                waiting += len(ticks)
            if waiting >= TRANSACTION_TICKS:
                self._commit(rows)
                rows, waiting = [], 0
                tell("journal", batch.progress)
            if stop.is_set():
                # What waits for the end of its row is read again next time.
                self._commit(rows)
                return False
        rows += self._ticks_rows(cutter.flush())
        if self._begun:
            rows.append((RowKind.MARKS, self._domain, self._end_mark()))
        self._commit(rows)
        tell("journal", 1.0)
        return True

    def _checked(self, batch: FileBatch) -> Batch:
        """The ticks that may be journaled; the others, and what was no tick, go to the rejects."""
        symbol = batch.symbol
        negative = frozenset({0}) if symbol in self._negative else frozenset[int]()
        rules = Rules(streams=1, conflated=self._file.kind is FeedKind.CONFLATED, negative=negative)
        good, refused, reasons = check_ticks(batch.ticks, rules)
        rejects = [
            # The ticks around a frame of a capture may be of another symbol than the frame that could not be read.
            self._reject(line.reason, f"line {line.line}: {line.text}", self._symbol, line.line)
            for line in batch.rejects
        ]
        for place, reason, tick in zip(refused.tolist(), reasons.tolist(), batch.ticks[refused].tolist(), strict=True):
            # Lines that were refused within the batch have no place in it, so the row is that or a few after it.
            row = batch.first_row + place
            event_time, received_time, price, size = tick[:4]
            text = f"row {row} or soon after: event_time {event_time}, price {price!r}, size {size!r}"
            rejects.append(self._reject(str(Reason(reason)), text, symbol, row, received_time))
        if rejects:
            self._ledger.reject_many(rejects)
        return good

    def _reject(
        self, reason: str, detail: str, symbol: Symbol | None, line: int, received_time: int | None = None
    ) -> Reject:
        # Row 0 of the journal, which no row has, with the line as place: so that each is counted once.
        noted_at = self._now_ns() if received_time is None else received_time
        return Reject(self._file.feed, reason, f"{self._file.path.name} {detail}", noted_at, symbol, 0, line)

    def _stream(self, symbol: Symbol) -> Stream:
        stream = self._streams.get(symbol)
        if stream is None:
            stream = self._streams[symbol] = self._writer.stream(
                self._file.feed, symbol, self._file.kind, self._domain, extended=symbol in self._extended
            )
        return stream

    def _take_in(self, ticks: Batch) -> None:
        self._last_minute = max(self._last_minute, int(ticks["event_time"].max()) // MINUTE_NS)

    def _ticks_rows(self, parts: Iterator[Batch]) -> Iterator[tuple[RowKind, int, Batch]]:
        return ((RowKind.TICKS, self._domain, part) for part in parts)

    def _start_mark(self, stream: Stream, clock: int) -> Batch:
        return np.array([(clock, clock, clock, MarkKind.FILE_START, 0, stream.id, 0)], MARK)

    def _end_mark(self) -> Batch:
        end = (self._last_minute + 1) * MINUTE_NS + self._grace_ns
        return np.array([(end, end, end, MarkKind.FILE_END, 0, ALL_STREAMS, 0)], MARK)

    def _commit(self, rows: list[tuple[RowKind, int, Batch]]) -> None:
        if not rows:
            return
        self._writer.append_many(rows)
        self.journaled += sum(len(records) for kind, _, records in rows if kind == RowKind.TICKS)
        self._note("running")

    def _note(self, state: str) -> None:
        self._ledger.note_replay(
            Replay(
                self._file.hash,
                self._symbol or EVERYTHING,
                str(self._file.path),
                self.journaled_before + self.journaled,
                state,
                self._now_ns(),
            )
        )


class _Cutter:
    """Joins and cuts ticks into rows: one for each stretch of the clock, and none longer than `ROW_TICKS`.

    The rows depend on the ticks alone, not on how they came.
    """

    def __init__(self, stretch_ns: int) -> None:
        self._stretch_ns = stretch_ns
        self._waiting: list[Batch] = []
        self._count = 0
        self._stretch = 0

    def add(self, ticks: Batch) -> Iterator[Batch]:
        """Take ticks in; gives the rows that are complete."""
        stretches = ticks["received_time"] // self._stretch_ns
        cuts = np.flatnonzero(stretches[1:] != stretches[:-1]) + 1
        for part, first in zip(np.split(ticks, cuts), (0, *cuts.tolist()), strict=True):
            if self._count and stretches[first] != self._stretch:
                yield from self.flush()
            self._stretch = int(stretches[first])
            rest = part
            while self._count + len(rest) >= ROW_TICKS:
                room = ROW_TICKS - self._count
                self._waiting.append(rest[:room])
                rest = rest[room:]
                yield from self.flush()
            if len(rest):
                self._waiting.append(rest)
                self._count += len(rest)

    def flush(self) -> Iterator[Batch]:
        """Give what waits for the end of its row."""
        if self._waiting:
            yield np.concatenate(self._waiting)
            self._waiting, self._count = [], 0
