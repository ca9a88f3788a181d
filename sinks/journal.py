"""The journal's writer: every tick, quote and mark is in here before anything else sees it."""

import sqlite3
import struct
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, Self

from market.errors import DeskError
from market.journal_rows import LAYOUT, RowKind, checksum, stream_values
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from market.ticks import Batch
from sinks import journal_file, journal_retention
from sinks.journal_checkpoint import Checkpoints, tidy
from sinks.journal_clocks import DomainClocks
from sinks.journal_file import JournalFull, beside, current_boot, day_end, day_files, day_name, trouble
from sinks.journal_lock import JournalLock

__all__ = ["POWER_LOSS_JUMP", "JournalFull", "JournalWriter"]

POWER_LOSS_JUMP: Final = 1 << 20
"""After the machine went down without a clean close, rows of the last seconds may be gone that consumers had already
read, so numbering goes on this much further: no number is ever used twice. Far more rows than are ever unsynced."""

BUSY_PAUSE_S: Final = 0.0002
BUSY_TRIES: Final = 25_000
STREAMS_MAX: Final = 0xFFFF
WAL_BYTES_KEPT: Final = 64 << 20

_INSERT = "INSERT INTO rows VALUES(?,?,?,?,?,?,?)"
_NOTE = "INSERT OR REPLACE INTO clocks VALUES(?,?,?,?,?)"
_INT64 = struct.Struct("<q")
_STAMP_FROM_END = {
    kind: layout.itemsize - layout.fields["time" if kind == RowKind.MARKS else "received_time"][1]
    for kind, layout in LAYOUT.items()
    if layout.fields is not None
}
"""Where in the payload, counted from its end, the last record's stamp begins."""


class JournalWriter:
    """Appends to the journal: a folder of SQLite files in WAL mode, one a UTC day of writing.

    One `append` is one commit: when it returns, the row survives kill -9 (and with `durable`, power loss). To be used
    from one thread. Streams are unbounded up to 65,535; one clock span is kept per domain.
    """

    def __init__(
        self,
        folder: Path,
        now_ns: Callable[[], int],
        *,
        first_seq: int = 1,
        durable: bool = False,
        boot_id: str | None = None,
        checkpoint_s: float = 4.0,
    ) -> None:
        """Open the journal, making it if it is not there.

        Args:
            folder: Where the files are.
            now_ns: ns UTC; decides the day only.
            first_seq: Do not number below this: one more than any consumer has seen.
            durable: Sync each commit to the disk (0.1 to 25 ms) instead of leaving that to the checkpoints.
            boot_id: Names the machine's current boot, to tell a power loss from a kill; the kernel's unless given.
            checkpoint_s: Seconds between checkpoints, 3 to 5 in production.

        Raises:
            DeskError: Another process writes it (named), the newest file is damaged, or the disk cannot be written.
        """
        self._folder = folder
        self._now_ns = now_ns
        self._durable = durable
        self._closed = False
        self._note_due = False
        self._sync_due = False
        self._next = 1
        self._clocks = DomainClocks({})
        self._lock = JournalLock(folder)
        try:
            self._boot_id = current_boot() if boot_id is None else boot_id
            self._open(first_seq)
            self._checkpoints = Checkpoints(self._path, lambda: self.last_seq, self._ask_note, checkpoint_s)
        except BaseException:
            self._lock.close()
            raise

    @property
    def streams(self) -> tuple[Stream, ...]:
        """All streams, `streams[i].id == i`."""
        return tuple(self._streams.values())

    @property
    def last_seq(self) -> int:
        """Number of the last row appended; of a row that never was, right after a jump."""
        return self._next - 1

    @property
    def file(self) -> Path:
        """The file that rows go to now."""
        return self._path

    @property
    def checkpoint_error(self) -> str | None:
        """What the last checkpoint failed with, None if it did not. Rows are safe meanwhile; the log grows."""
        return self._checkpoints.error

    def stream(self, feed: str, symbol: Symbol, kind: FeedKind, domain: int, *, extended: bool = False) -> Stream:
        """The stream of these properties: the known one, or a new one, on disk before the next row is.

        Raises:
            DeskError: There are 65,535 already, or the disk cannot be written.
        """
        key = (feed, symbol, kind, domain, extended)
        known = self._streams.get(key)
        if known is not None:
            return known
        if len(self._streams) >= STREAMS_MAX:
            msg = (
                f"journal {self._folder} has {STREAMS_MAX} streams, no room for {feed} {symbol}; start a new --data-dir"
            )
            raise DeskError(msg)
        stream = Stream(len(self._streams), feed, symbol, kind, domain, extended)
        self._execute("INSERT INTO streams VALUES(?,?,?,?,?,?,?,?)", stream_values(stream))
        # After a power loss its number must not come to mean another symbol to a consumer that remembers it.
        self._sync_due = True
        self._streams[key] = stream
        return stream

    def append(self, kind: RowKind, domain: int, records: Batch) -> int:
        """Journal one batch as one row.

        Args:
            kind: Ticks, quotes or marks.
            domain: Clock domain of all its records.
            records: n >= 1 `TICK`, `QUOTE` or `MARK` records, in arrival order.

        Returns:
            The row's sequence number.

        Raises:
            JournalFull: The disk is full, read-only or failing; the row is not in the journal.
        """
        now = self._now_ns()
        if now >= self._day_end:
            self._rotate(now)
        if self._sync_due:
            self._sync_log()
        seq = self._insert(kind, domain, records)
        if self._note_due:
            self._note_spans()
        return seq

    def append_many(self, batches: Iterable[tuple[RowKind, int, Batch]]) -> int:
        """Journal many batches in one transaction: all of them or none. For replays, where nobody waits for a row.

        Args:
            batches: (kind, domain, records) in order; may be a generator, whose errors undo the transaction.

        Returns:
            The last row's sequence number.

        Raises:
            JournalFull: As `append`; none of the rows is in the journal.
        """
        now = self._now_ns()
        if now >= self._day_end:
            self._rotate(now)
        if self._sync_due:
            self._sync_log()
        following, clocks = self._next, self._clocks.copy()
        self._execute("BEGIN IMMEDIATE", ())
        try:
            for kind, domain, records in batches:
                self._insert(kind, domain, records)
            self._execute("COMMIT", ())
        except BaseException:
            self._next, self._clocks = following, clocks
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        if self._note_due:
            self._note_spans()
        return self.last_seq

    def last_clock(self, domain: int) -> int | None:
        """Clock of the last ticks or marks row of a domain, ns; None if the journal holds none."""
        known = self._clocks.get(domain)
        if known is not None or all(stream.domain != domain for stream in self._streams.values()):
            return known
        for path in reversed(day_files(self._folder)):
            if path == self._path:
                continue
            with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                for (clock,) in connection.execute("SELECT last_clock FROM clocks WHERE domain = ?", (domain,)):
                    self._clocks.learn(domain, clock)
                    return int(clock)
        return None

    def prune(
        self,
        keep_days: int,
        min_free_bytes: int,
        consumed_seq: int,
        archived_seq: int | None = None,
        free_bytes: Callable[[], int] | None = None,
    ) -> list[Path]:
        """Remove files of earlier days that are too old or whose room is needed, as `journal_retention.prune` says.

        May be called from another thread than `append` is.
        """
        return journal_retention.prune(
            self._folder,
            self._path,
            self._now_ns(),
            keep_days=keep_days,
            min_free_bytes=min_free_bytes,
            consumed_seq=consumed_seq,
            archived_seq=archived_seq,
            free_bytes=free_bytes,
        )

    def close(self) -> None:
        """Empty the log into the file and let go of the journal. Can be called twice."""
        if self._closed:
            return
        self._closed = True
        self._checkpoints.close()
        try:
            self._note_spans()
            self._execute("INSERT OR REPLACE INTO facts VALUES('closed', '1')", ())
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except (sqlite3.Error, DeskError):
            # A full disk: all rows are in the log, and the next writer finds them there.
            pass
        finally:
            self._connection.close()
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _insert(self, kind: RowKind, domain: int, records: Batch) -> int:
        assert records.dtype == LAYOUT[kind], f"{kind!r} journaled as {records.dtype}"
        assert len(records), "a row has at least one record"
        payload = records.tobytes()
        (clock,) = _INT64.unpack_from(payload, len(payload) - _STAMP_FROM_END[kind])
        seq = self._next
        if kind != RowKind.QUOTES:
            known = self._clocks.get(domain)
            if known is None:
                known = self.last_clock(domain)
            if known is not None and known > clock:
                # Bars close by this column, so it holds even where a batch was stamped before another got here first.
                clock = known
        count = len(records)
        digest = checksum(seq, kind, domain, clock, count, payload)
        self._execute(_INSERT, (seq, kind, domain, clock, count, payload, digest))
        self._next = seq + 1
        if kind != RowKind.QUOTES:
            self._clocks.note(domain, seq, clock)
        return seq

    def _execute(self, sql: str, values: tuple[object, ...]) -> None:
        try:
            self._connection.execute(sql, values)
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise trouble(error, self._path) from error
            self._execute_when_free(sql, values)

    def _execute_when_free(self, sql: str, values: tuple[object, ...]) -> None:
        """Wait out a checkpoint, which holds writers off for milliseconds.

        SQLite's own waiting sleeps 1, 2, 5, 10, 15 ms in turn, and so doubles what a tick waits.
        """
        for tries_left in range(BUSY_TRIES, -1, -1):
            time.sleep(BUSY_PAUSE_S)
            try:
                self._connection.execute(sql, values)
            except sqlite3.Error as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or not tries_left:
                    raise trouble(error, self._path) from error
            else:
                return

    def _open(self, first_seq: int) -> None:
        """Open the newest file, or make the first."""
        try:
            for leftover in self._folder.glob("*.new*"):
                leftover.unlink()
            files = day_files(self._folder)
            if not files:
                self._path = self._folder / day_name(self._now_ns())
                journal_file.create(self._path, (), 0, self._boot_id)
            else:
                self._path = files[-1]
            for path in files[:-1]:
                tidy(path)
        except (sqlite3.Error, OSError) as error:
            raise trouble(error, self._folder) from error
        try:
            self._connection = journal_file.connect(self._path, durable=self._durable)
        except sqlite3.Error as error:
            raise trouble(error, self._path) from error
        try:
            self._resume(first_seq)
        except (sqlite3.Error, ValueError, TypeError) as error:
            self._connection.close()
            raise trouble(error, self._path) from error
        except BaseException:
            self._connection.close()
            raise
        self._day_end = day_end(self._path)

    def _resume(self, first_seq: int) -> None:
        """Go on where the last writer ended, and say that this one is at it."""
        self._connection.execute(f"PRAGMA journal_size_limit={WAL_BYTES_KEPT}")
        known = journal_file.contents(self._connection)
        self._streams = {
            (stream.feed, stream.symbol, stream.kind, stream.domain, stream.extended): stream
            for stream in known.streams
        }
        self._clocks = DomainClocks(known.spans)
        self._next = known.last_seq + 1
        reason = ""
        if known.last_seq and known.facts.get("boot") != self._boot_id and known.facts.get("closed") != "1":
            self._next, reason = self._next + POWER_LOSS_JUMP, "the machine went down while the journal was open"
        if first_seq > self._next:
            self._next, reason = first_seq, "a consumer had seen higher numbers"
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        if reason or not known.last_seq:
            connection.execute(
                "INSERT OR IGNORE INTO starts VALUES(?, ?)", (self._next, reason or "the journal begins here")
            )
        connection.executemany("INSERT OR REPLACE INTO facts VALUES(?, ?)", [("boot", self._boot_id), ("closed", "0")])
        connection.execute("COMMIT")
        connection.execute("PRAGMA busy_timeout=0")
        self._sync_log()

    def _rotate(self, now: int) -> None:
        """Go on in a new day's file. Never back: where the clock was set back, the newest file goes on."""
        path = self._folder / day_name(now)
        try:
            self._note_spans()
            journal_file.create(path, self._streams.values(), self.last_seq, self._boot_id)
            fresh = journal_file.connect(path, durable=self._durable)
            fresh.execute(f"PRAGMA journal_size_limit={WAL_BYTES_KEPT}")
            fresh.execute("PRAGMA busy_timeout=0")
            # The numbering may have jumped and not been used yet: the jump belongs to the file with its first row.
            for start in self._connection.execute("SELECT * FROM starts WHERE seq = ?", (self._next,)):
                fresh.execute("INSERT INTO starts VALUES(?, ?)", start)
        except (sqlite3.Error, OSError) as error:
            raise trouble(error, path) from error
        retired, self._connection, self._path = self._connection, fresh, path
        self._clocks.next_file()
        self._day_end = day_end(path)
        self._sync_log()
        self._checkpoints.follow(path, retired)

    def _note_spans(self) -> None:
        """Write down where each domain stands, so that a reopening need not read the day."""
        self._note_due = False
        for domain, span in self._clocks.changed():
            self._execute(_NOTE, (domain, *span))

    def _ask_note(self) -> None:
        self._note_due = True

    def _sync_log(self) -> None:
        """Have the disk hold what was committed so far."""
        self._sync_due = False
        try:
            journal_file.sync(beside(self._path, "-wal"))
        except FileNotFoundError:
            # No log, so a checkpoint has already put everything into the file and synced it.
            pass
        except OSError as error:
            raise trouble(error, self._path) from error
