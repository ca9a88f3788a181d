"""One day's file of the journal as its readers see it: opened without ever writing to it, damaged or not."""

import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from market.errors import DeskError
from market.journal_rows import VERSION, Row
from market.streams import FeedKind, Stream
from market.symbols import Symbol

BUSY_S: Final = 5.0
MMAP_BYTES: Final = 1 << 31
"""Mapped, rows of 64 Ki ticks come four times faster than read. A disk that fails under a mapped file ends the process
by a signal, not by an error; the supervisor starts it again."""

FETCH_ROWS_MAX: Final = 4096
UNREADABLE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR})
_ABSENT = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})
_SELECT = "SELECT seq, kind, domain, clock, count, payload, checksum FROM rows WHERE seq > ? ORDER BY seq LIMIT ?"
_row = partial(tuple.__new__, Row)


class FileGone(Exception):  # noqa: N818 - no error: retention took the file between the listing and the opening.
    """The file is no longer there."""


class DayFile:
    """A file of the journal, open for reading. Damage comes out as `sqlite3.DatabaseError` for the caller to name."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            FileGone: It is not there (any more).
            DeskError: It is of another version, or cannot be opened.
            sqlite3.DatabaseError: It is no database.
        """
        self.path = path
        self._connection = _open(path)
        try:
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            facts = dict(self._connection.execute("SELECT name, value FROM facts"))
            self._starts = {seq for (seq,) in self._connection.execute("SELECT seq FROM starts")}
        except sqlite3.Error:
            self._connection.close()
            raise
        if version != VERSION:
            self._connection.close()
            msg = f"journal file {path} has format version {version}, this program reads {VERSION}; use its own program"
            raise DeskError(msg)
        self.follows = int(facts.get("follows", 0))
        """Last sequence number of the file before."""

    def rows(self, after: int, max_rows: int, max_bytes: int, helping: int = FETCH_ROWS_MAX) -> Iterator[list[Row]]:
        """Yield rows after `after` in their order, as they lie in the file, unverified.

        Args:
            after: A sequence number.
            max_rows: Stop after so many.
            max_bytes: Stop once the payloads reach this; at least one row is given.
            helping: Most rows to fetch at once: where a file is damaged, a helping is lost with its bad row.
        """
        cursor = self._connection.execute(_SELECT, (after, max_rows))
        try:
            size = 1
            n = total = 0
            while found := cursor.fetchmany(size):
                # Rows of one journal differ in size by a factor of 100,000, so the next helping goes by the last.
                yield [*map(_row, found)]
                n += len(found)
                total += sum(len(row[5]) for row in found)
                if total >= max_bytes:
                    return
                size = max(1, min(helping, (max_bytes - total) * n // max(total, 1)))
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

    def last_seq(self) -> int | None:
        """The last row's number; None where there is no row."""
        found: int | None = self._connection.execute("SELECT max(seq) FROM rows").fetchone()[0]
        return found

    def stream_count(self) -> int:
        """How many streams are known."""
        found: int | None = self._connection.execute("SELECT max(id) FROM streams").fetchone()[0]
        return 0 if found is None else found + 1

    def streams(self) -> tuple[Stream, ...]:
        """All streams, by id."""
        rows = self._connection.execute(
            "SELECT id, feed, exchange, ticker, kind, domain, extended FROM streams ORDER BY id"
        )
        return tuple(
            Stream(number, feed, Symbol(exchange, ticker), FeedKind(kind), domain, bool(extended))
            for number, feed, exchange, ticker, kind, domain, extended in rows
        )

    def query(self, sql: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        """Run one of a reader's own queries."""
        return self._connection.execute(sql, values)

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
        if error.sqlite_errorcode & 0xFF in UNREADABLE:
            return _connect(address, damaged=True)
        if not path.exists():
            raise FileGone(path) from error
        log = path.with_name(path.name + "-wal")
        if error.sqlite_errorcode & 0xFF in _ABSENT and (not log.exists() or log.stat().st_size == 0):
            try:
                return _connect(address + "&immutable=1")
            except sqlite3.OperationalError:
                pass
        msg = f"journal file {path} cannot be opened: {error}; see that it and its folder may be read"
        raise DeskError(msg) from error


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
