"""One day's file of the journal as its readers see it: opened without ever writing to it, damaged or not."""

import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from market.errors import DeskError
from market.journal_rows import VERSION, RowKind, RowValues, fault, stream_of
from market.streams import Stream

BUSY_S: Final = 5.0
MMAP_BYTES: Final = 1 << 31
"""Mapped, rows of 64 Ki ticks come four times faster than read. A disk that fails under a mapped file ends the process
by a signal, not by an error; the supervisor starts it again."""

FETCH_ROWS_MAX: Final = 4096
UNREADABLE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR})
_ABSENT = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})
_SELECT = "SELECT seq, kind, domain, clock, count, payload, checksum FROM rows WHERE seq > ? ORDER BY seq LIMIT ?"


class Unreadable(Exception):  # noqa: N818 - a finding about the file, to be named by who looks for it.
    """The file is no database any more, or not one of ours."""


class FileGone(Exception):  # noqa: N818 - no error: retention took the file between the listing and the opening.
    """The file is no longer there."""


class DayFile:
    """A file of the journal, open for reading. Damage comes out as `sqlite3.DatabaseError` for the caller to name."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            FileGone: It is not there (any more).
            Unreadable: It is no database.
            DeskError: It is of another version, or cannot be opened now.
        """
        self.path = path
        try:
            self._connection = _open(path)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise _finding(error, path) from error
        try:
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            facts = dict(self._connection.execute("SELECT name, value FROM facts"))
            self._starts = {seq for (seq,) in self._connection.execute("SELECT seq FROM starts")}
            self._connection.execute(_SELECT, (0, 0))
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self._connection.close()
            raise _finding(error, path) from error
        if version != VERSION:
            self._connection.close()
            msg = f"journal file {path} has format version {version}, this program reads {VERSION}; use its own program"
            raise DeskError(msg)
        follows = facts.get("follows", "0")
        self.follows = int(follows) if str(follows).isdecimal() else 0
        """Last sequence number of the file before, as noted when the file was made; 0 in the first file."""

    def rows(
        self, after: int, max_rows: int, max_bytes: int, helping: int = FETCH_ROWS_MAX
    ) -> Iterator[list[RowValues]]:
        """Yield rows after `after` in their order, as they lie in the file, unverified.

        Args:
            after: A sequence number.
            max_rows: Stop after so many.
            max_bytes: Stop once the payloads reach this; at least one row is given.
            helping: Most rows to fetch at once. At a damaged place a helping of more than one is lost as a whole.
        """
        if helping == 1:
            # A cursor looks one row ahead and loses the good one before a bad one, so each row has its own query.
            for _ in range(max_rows):
                found = self._connection.execute(_SELECT, (after, 1)).fetchall()
                if not found or found[0][0] <= after:
                    return
                yield found
                after = found[0][0]
            return
        cursor = self._connection.execute(_SELECT, (after, max_rows))
        try:
            size = 1
            n = total = 0
            while found := cursor.fetchmany(size):
                # Rows of one journal differ in size by a factor of 100,000, so the next helping goes by those before,
                # and grows in steps: after a tiny first row may come thousands of huge ones.
                yield found
                n += len(found)
                total += sum(len(row[5]) for row in found)
                if total >= max_bytes:
                    return
                size = max(1, min(helping, 8 * size, (max_bytes - total) * n // max(total, 1)))
        finally:
            cursor.close()

    def jumped_to(self, seq: int) -> bool:
        """Whether the numbering starts or jumps to `seq` on purpose."""
        if seq in self._starts:
            return True
        self._starts = {found for (found,) in self._connection.execute("SELECT seq FROM starts")}
        return seq in self._starts

    def next_readable(self, after: int, end: int) -> int | None:
        """The first readable row in (after, end], where a read from `after` on meets damage; None if there is none."""
        step = 1
        lost = after
        while lost + step <= end:
            if self._first_from(lost + step) is None:
                step *= 2
                continue
            # It lies in (lost + step / 2, lost + step]; narrow down from which number on reading works.
            low, high = lost + step // 2, lost + step
            while high - low > 1:
                middle = (low + high) // 2
                if self._first_from(middle) is None:
                    low = middle
                else:
                    high = middle
            return self._first_from(high)
        return None

    def first_seq(self) -> int | None:
        """The first row's number; None where there is no row."""
        found: int | None = self._connection.execute("SELECT min(seq) FROM rows").fetchone()[0]
        return found

    def spans_from(self) -> tuple[int, int]:
        """The number after which the file's rows begin, as told by its note of the file before and by its first row.

        The lower and the higher of the two, which differ where the numbering jumped in between, or where one of them is
        damaged: rows after the higher one are here if anywhere; up to the lower one, none is.
        """
        try:
            first = self.first_seq()
        except sqlite3.DatabaseError:
            first = None
        told = self.follows if first is None else first - 1
        return min(self.follows, told), max(self.follows, told)

    def last_seq(self) -> int | None:
        """The last row's number; None where there is no row."""
        found: int | None = self._connection.execute("SELECT max(seq) FROM rows").fetchone()[0]
        return found

    def stream_count(self) -> int:
        """How many streams are known."""
        found: int | None = self._connection.execute("SELECT max(id) FROM streams").fetchone()[0]
        return 0 if found is None else found + 1

    def streams(self) -> tuple[Stream, ...]:
        """All streams, by id.

        Raises:
            ValueError: One of them is damaged.
        """
        return tuple(stream_of(row) for row in self._connection.execute("SELECT * FROM streams ORDER BY id"))

    def clocks(self) -> dict[int, tuple[int, int, int, int]]:
        """Per domain the number and clock of its first and of its last ticks or marks row, as last noted."""
        found = self._connection.execute("SELECT domain, first_seq, first_clock, last_seq, last_clock FROM clocks")
        return {domain: (first, began, last, ended) for domain, first, began, last, ended in found}

    def row_from(self, seq: int, domain: int) -> RowValues | None:
        """The first intact ticks or marks row of a domain at or after `seq`; None if there is none."""
        found = self._connection.execute(
            "SELECT seq, kind, domain, clock, count, payload, checksum FROM rows"
            " WHERE seq >= ? AND domain = ? AND kind <> ? ORDER BY seq",
            (seq, domain, RowKind.QUOTES),
        )
        try:
            return next((row for row in found if fault(row) is None), None)
        finally:
            found.close()

    def row_before(self, seq: int, domain: int) -> RowValues | None:
        """The last intact ticks or marks row of a domain before `seq`; None if there is none."""
        found = self._connection.execute(
            "SELECT seq, kind, domain, clock, count, payload, checksum FROM rows"
            " WHERE seq < ? AND domain = ? AND kind <> ? ORDER BY seq DESC",
            (seq, domain, RowKind.QUOTES),
        )
        try:
            return next((row for row in found if fault(row) is None), None)
        except sqlite3.DatabaseError:
            return None
        finally:
            found.close()

    def marks_before(self, seq: int, domain: int) -> Iterator[RowValues]:
        """Yield the intact marks rows of a domain before `seq`, newest first."""
        found = self._connection.execute(
            "SELECT seq, kind, domain, clock, count, payload, checksum FROM rows"
            " WHERE seq < ? AND domain = ? AND kind = ? ORDER BY seq DESC",
            (seq, domain, RowKind.MARKS),
        )
        try:
            yield from (row for row in found if fault(row) is None)
        finally:
            found.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _first_from(self, seq: int) -> int | None:
        """The first row at or after `seq`, its payload included, if it can be read."""
        try:
            found = self._connection.execute(
                "SELECT seq, payload FROM rows WHERE seq >= ? ORDER BY seq LIMIT 1", (seq,)
            ).fetchone()
        except sqlite3.DatabaseError:
            return None
        return None if found is None or found[0] < seq else int(found[0])


def _open(path: Path) -> sqlite3.Connection:
    """Open read-only; a folder that SQLite may not write to is no hindrance once its writer has closed the file."""
    if not path.exists():
        raise FileGone(path)
    address = f"file:{quote(str(path))}?mode=ro"
    try:
        return _connect(address)
    except sqlite3.DatabaseError as error:
        code = error.sqlite_errorcode & 0xFF
        if code == sqlite3.SQLITE_CORRUPT:
            return _connect(address, damaged=True)
        if not path.exists():
            raise FileGone(path) from error
        log = path.with_name(path.name + "-wal")
        if code in _ABSENT and (not log.exists() or log.stat().st_size == 0):
            return _connect(address + "&immutable=1")
        raise


def _finding(error: sqlite3.Error | UnicodeDecodeError, path: Path) -> Unreadable | DeskError:
    """What an error at opening says of the file; a message of SQLite's that quotes garbage cannot even be decoded."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code in UNREADABLE or code == sqlite3.SQLITE_ERROR:
        return Unreadable("its tables are garbled" if isinstance(error, UnicodeDecodeError) else str(error))
    return DeskError(f"journal file {path} cannot be opened: {error}; see that it may be read and nobody holds it")


def _connect(address: str, *, damaged: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        # A blob that damage turned into a text must not stop the reading: the row's check names it.
        connection.text_factory = partial(str, encoding="utf-8", errors="replace")
        connection.execute(f"PRAGMA mmap_size={MMAP_BYTES}")
        connection.execute("PRAGMA query_only=1")
        if damaged:
            # SQLite refuses a file that is shorter than its header says, unless told so: the rows before the cut are
            # still good, and each is verified by its own checksum.
            connection.execute("PRAGMA writable_schema=1")
        connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection
