"""The journal's reader: rows in order across the days' files, verified; what is damaged is named, not returned."""

import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, Self

from market.chunks import Chunk, Position, join
from market.errors import DeskError
from market.journal_rows import CorruptRow, Row, RowValues, fault, intact
from market.streams import Stream
from market.ticks import ALL_STREAMS, TICK
from sources.journal_doubt import doubt
from sources.journal_file import FETCH_ROWS_MAX, UNREADABLE, DayFile
from sources.journal_folder import JournalFolder

ROWS_MAX: Final = 65_536
BYTES_MAX: Final = 64 << 20
REPORTED_MAX: Final = 10_000
FAR: Final = 1 << 40
"""How far ahead to look for a readable row where a damaged file cannot say how many it has."""

_row = partial(tuple.__new__, Row)


class JournalReader:
    """Reads the journal, also while it is written, and never writes to it. To be used by one thread at a time.

    It holds one file open and follows the writer from day to day. What it remembers of the damage that it has reported
    is bounded to 10,000 entries.
    """

    def __init__(
        self, folder: Path, on_corrupt: Callable[[CorruptRow], None] | None = None, *, doubts: bool = False
    ) -> None:
        """Look at a journal; the folder may be empty or not be there yet.

        Args:
            folder: The journal's.
            on_corrupt: Told once of each damaged or missing range of rows, after which reading goes on behind it.
                Without it, such a range ends the reading with `CorruptRow`.
            doubts: Whether a row of marks stands in for each range that was passed over (`sources.journal_doubt`), for
                whoever makes bars of what is left.
        """
        self._folder = JournalFolder(folder)
        self._on_corrupt = on_corrupt
        self._doubts = doubts
        self._file: DayFile | None = None
        self._from = self._upto = 0
        self._streams: tuple[Stream, ...] = ()
        self._reported: dict[tuple[int, int], None] = {}

    def read(self, after_seq: int, max_rows: int = ROWS_MAX, max_bytes: int = BYTES_MAX) -> list[Row]:
        """Read the rows that follow `after_seq`, all of one file.

        Args:
            after_seq: The last row that the caller has, 0 for none.
            max_rows: At most so many.
            max_bytes: No more once the payloads reach this; at least one row is given.

        Returns:
            Verified rows in order; none if there is no more yet.

        Raises:
            CorruptRow: The next row is damaged or missing and nobody listens for that, or none after it is readable.
            DeskError: A file cannot be opened.
        """
        return [*map(_row, self._read(after_seq, max_rows, max_bytes))]

    def read_values(self, after_seq: int, max_rows: int = ROWS_MAX, max_bytes: int = BYTES_MAX) -> list[RowValues]:
        """As `read`, without the names: for those who read millions of rows."""
        return self._read(after_seq, max_rows, max_bytes)

    def read_all(self, after_seq: int = 0) -> Iterator[Row]:
        """Yield every row after `after_seq` up to the present end; errors as `read`."""
        while rows := self.read(after_seq):
            yield from rows
            after_seq = rows[-1].seq

    def read_chunks(self, position: Position, max_ticks: int) -> tuple[list[Chunk], Position]:
        """Read on from a position and join the rows.

        Args:
            position: Where the last call ended; `Position()` for the beginning.
            max_ticks: About how many ticks at most; one row is given whatever it holds.

        Returns:
            Chunks in order, and the position after them. Quotes move the position and are in no chunk.

        Raises:
            CorruptRow, DeskError: As `read`.
        """
        rows = self._read(position.seq, ROWS_MAX, max_ticks * TICK.itemsize)
        if not rows:
            return [], position
        found = join(rows, position, self._streams)
        if all(_names_known(chunk, len(self._streams)) for chunk in found[0]):
            return found
        return join(rows, position, self._streams_so_far())

    def streams(self) -> tuple[Stream, ...]:
        """All streams that the journal knows now, `streams[i].id == i`."""
        file = self._folder.newest()
        if file is None:
            return ()
        with file, self._folder.naming(file):
            return file.streams()

    def last_seq(self) -> int:
        """Number of the newest row; 0 where there is none."""
        file = self._folder.newest()
        if file is None:
            return 0
        with file, self._folder.naming(file):
            return file.last_seq() or file.follows

    def first_seq(self) -> int:
        """Number of the oldest row that is kept; 0 where there is none."""
        for file in self._folder.files():
            with file, self._folder.naming(file):
                first = file.first_seq()
            if first is not None:
                return first
        return 0

    def files(self) -> Iterator[DayFile]:
        """Yield the files that can be opened, oldest first, each to be closed by the caller."""
        return self._folder.files()

    def close(self) -> None:
        """Let go of the file. Reading on opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, after_seq: int, max_rows: int, max_bytes: int) -> list[RowValues]:
        """As `read`, without the names."""
        upto = after_seq
        if self._file is None or not self._from <= upto <= self._upto:
            found = self._folder.find(upto)
            if found is None:
                return []
            upto = self._enter(found, upto)
        while True:
            file = self._file
            assert file is not None, "a file has been entered"
            rows, reached = self._take(file, upto, max_rows, max_bytes)
            if not rows and reached == upto:
                following = self._folder.after(file.path.name)
                if following is None:
                    return []
                # The writer goes on to a new file only after its last row in this one: look once more, then move.
                rows, reached = self._take(file, upto, max_rows, max_bytes)
                if not rows and reached == upto:
                    upto = self._enter(following, upto)
                    continue
                following.close()
            self._upto = upto = reached
            if rows:
                if self._doubts and rows[-1][0] - after_seq != len(rows):
                    return self._doubted(file, rows, after_seq)
                return rows

    def _doubted(self, file: DayFile, rows: list[RowValues], upto: int) -> list[RowValues]:
        """The rows, and a row of doubt before each that does not follow on the one before."""
        found = []
        for row in rows:
            # A journal whose beginning was removed is not doubted: what reaches back is for its first reader to say.
            if upto and row[0] > upto + 1 and not file.jumped_to(row[0]):
                before = file.row_before(row[0], row[2])
                found.append(doubt(before, row, self.streams()))
            found.append(row)
            upto = row[0]
        return found

    def _take(
        self, file: DayFile, after: int, max_rows: int, max_bytes: int, helping: int = FETCH_ROWS_MAX
    ) -> tuple[list[RowValues], int]:
        """Read rows of one file; returns them and the number up to which all is given out or reported."""
        good: list[RowValues] = []
        expected = after + 1
        try:
            for rows in file.rows(after, max_rows, max_bytes, helping):
                left = rows
                while left:
                    n = intact(left, expected)
                    good += left[:n]
                    expected += n
                    if n < len(left):
                        expected = self._odd(file, left[n], expected, good)
                    left = left[n + 1 :]
        except CorruptRow:
            # Nobody listens for it: first give out what is good before it; the next call meets it again.
            if not good:
                raise
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in UNREADABLE:
                msg = f"journal file {file.path} cannot be read now: {error}; try again"
                raise DeskError(msg) from error
            if helping > 1:
                # Rows before the bad one were lost with their helping.
                rest, upto = self._take(file, expected - 1, max_rows, max_bytes, helping=1)
                return good + rest, upto
            if not good:
                expected = self._skip(file, expected, error)
        return good, expected - 1

    def _odd(self, file: DayFile, row: RowValues, expected: int, good: list[RowValues]) -> int:
        """Deal with a row that is not the intact one expected; returns the number expected after it."""
        why = fault(row)
        seq = row[0]
        jumped = file.jumped_to(seq)
        if why is not None:
            # A flipped number would lead astray, so a bad row is taken for the one whose turn it is.
            at = seq if jumped else expected
            self._report(at, at, file.path.name, why if at == seq else f"{why}, its number reads {seq}")
            return at + 1
        if seq < expected:
            # Out of place in a damaged file, and given out before.
            return expected
        if not jumped:
            self._report(expected, seq - 1, file.path.name, "missing, though later rows are there")
        good.append(row)
        return seq + 1

    def _skip(self, file: DayFile, expected: int, error: sqlite3.DatabaseError) -> int:
        """Report rows that SQLite cannot read; returns the number of the next that it can, or of the next file's."""
        name = file.path.name
        following = self._folder.after(name)
        if following is None:
            try:
                last = file.last_seq() or 0
            except sqlite3.DatabaseError:
                last = expected + FAR
            found = file.next_readable(expected - 1, last)
            if found is None:
                raise CorruptRow(expected, expected, name, f"{error}, nor can any row after it be read") from error
            upto = max(expected, found - 1)
        else:
            with following:
                last = following.spans_from()[0]
            if last < expected:
                return expected
            found = file.next_readable(expected - 1, last)
            upto = last if found is None else max(expected, found - 1)
        self._report(expected, upto, name, str(error))
        return upto + 1

    def _enter(self, file: DayFile, upto: int) -> int:
        """Go on in another file; returns the number up to which all is given out or reported."""
        begins = self._file is None and upto == 0
        self.close()
        before = file.spans_from()[0]
        if before > upto:
            lost = [name for name in self._folder.unreadable if name < file.path.name]
            if lost:
                self._report(upto + 1, before, lost[-1], self._folder.unreadable[lost[-1]])
            elif not begins and not file.jumped_to(before + 1):
                self._report(upto + 1, before, file.path.name, "missing before it, as if removed by retention")
            upto = before
        self._file, self._from, self._upto = file, upto, upto
        return upto

    def _report(self, first: int, last: int, file: str, why: str) -> None:
        trouble = CorruptRow(first, last, file, why)
        if self._on_corrupt is None:
            raise trouble
        if (first, last) in self._reported:
            return
        if len(self._reported) >= REPORTED_MAX:
            del self._reported[next(iter(self._reported))]
        self._reported[first, last] = None
        self._on_corrupt(trouble)

    def _streams_so_far(self) -> tuple[Stream, ...]:
        """Streams that the rows read so far name, and perhaps later ones; the same object until there are more."""
        file = self._file
        assert file is not None, "rows have been read"
        try:
            if file.stream_count() > len(self._streams):
                self._streams = file.streams()
        except (sqlite3.DatabaseError, ValueError):
            # Every later file repeats them.
            self._streams = self.streams()
        return self._streams


def _names_known(chunk: Chunk, known: int) -> bool:
    """Whether all streams that a chunk names are among the first `known`: far cheaper than to ask the file."""
    ticks, marks = chunk.ticks["stream"], chunk.marks["stream"]
    return (not len(ticks) or int(ticks.max()) < known) and (
        not len(marks) or not ((marks >= known) & (marks != ALL_STREAMS)).any()
    )
