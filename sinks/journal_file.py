"""One day's file of the journal: made, opened for writing, and its troubles put into words."""

import contextlib
import os
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from market.errors import DeskError
from market.journal_rows import DAY_FILE, SCHEMA, VERSION, RowKind, stream_of, stream_values
from market.streams import Stream

PAGE_BYTES: Final = 1024
"""A commit writes whole pages to the WAL: at 4 KiB that is 4.3 KB for a tick, at 1 KiB 1.2 KB, in the same time."""

BUSY_S: Final = 5.0
"""How long to wait for a lock while opening; the writer does its own waiting afterwards."""

_FULL = {sqlite3.SQLITE_FULL}
_UNWRITABLE = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}


class JournalFull(DeskError):  # noqa: N818 - the name is the state of the disk.
    """The journal takes no more rows: the disk is full, read-only or failing. What was written is readable."""


class Span(NamedTuple):
    """Where one clock domain's ticks and marks rows lie in a file."""

    first_seq: int
    first_clock: int
    last_seq: int
    last_clock: int


class Contents(NamedTuple):
    """What a writer must know of the newest file to go on."""

    last_seq: int
    """Last sequence number given out, 0 before the first."""
    streams: tuple[Stream, ...]
    spans: dict[int, Span]
    """By clock domain."""
    facts: dict[str, str]


def day_files(folder: Path) -> list[Path]:
    """The journal's files, oldest first."""
    return sorted(path for path in folder.iterdir() if DAY_FILE.fullmatch(path.name))


def day_name(now_ns: int) -> str:
    """Name of the file that is begun at `now_ns`.

    >>> day_name(0)
    '1970-01-01.sqlite'
    """
    return f"{datetime.fromtimestamp(now_ns // 1_000_000_000, UTC):%Y-%m-%d}.sqlite"


def day_end(path: Path) -> int:
    """First moment after the day of a file, ns UTC."""
    day = datetime.strptime(path.stem, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)
    return int(day.timestamp()) * 1_000_000_000


def current_boot() -> str:
    """The kernel's name for this boot; empty where it gives none, so that no boot is ever told from another."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def beside(path: Path, suffix: str) -> Path:
    """The file's write-ahead log (`-wal`) or its index (`-shm`)."""
    return path.with_name(path.name + suffix)


def create(path: Path, streams: Iterable[Stream], follows: int, boot_id: str) -> None:
    """Make a day's file with all that is known so far; it appears under its name complete or not at all.

    Args:
        path: Its name-to-be.
        streams: All streams of the journal.
        follows: Last sequence number of the file before, 0 for the first.
        boot_id: Names the machine's current boot. It is in the file from the first moment, else a kill right after
            would look like a power loss.
    """
    aside = path.with_name(path.name + ".new")
    aside.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(aside, isolation_level=None)) as connection:
        # Nobody sees this file yet and it is synced as a whole below, so SQLite need not guard each step.
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("PRAGMA synchronous=OFF")
        connection.executescript(SCHEMA)
        connection.executemany("INSERT INTO streams VALUES(?,?,?,?,?,?,?,?)", map(stream_values, streams))
        facts = [("follows", str(follows)), ("boot", boot_id), ("closed", "0")]
        connection.executemany("INSERT INTO facts VALUES(?, ?)", facts)
        connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("PRAGMA journal_mode=WAL")
    sync(aside)
    aside.rename(path)
    sync(path.parent)


def connect(path: Path, *, durable: bool) -> sqlite3.Connection:
    """Open a file for writing. Commits reach the page cache (safe from kill -9), or the disk if `durable`."""
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        # A checkpoint inside a commit stalls it for tens of milliseconds; `Checkpoints` does them from its own thread.
        connection.execute("PRAGMA wal_autocheckpoint=0")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error:
        connection.close()
        raise
    if version != VERSION:
        connection.close()
        msg = f"journal file {path} has format version {version}, this program writes {VERSION}; move the file away"
        raise DeskError(msg)
    return connection


def contents(connection: sqlite3.Connection) -> Contents:
    """Read what a writer needs to go on after another, however that one ended."""
    facts = dict(connection.execute("SELECT name, value FROM facts"))
    last_row, last_start = connection.execute(
        "SELECT (SELECT max(seq) FROM rows), (SELECT max(seq) FROM starts)"
    ).fetchone()
    spans = {domain: Span(*span) for domain, *span in connection.execute("SELECT * FROM clocks")}
    # Rows of the last seconds before a kill are not in that table yet.
    noted = max((span.last_seq for span in spans.values()), default=0)
    later = connection.execute(
        "SELECT domain, seq, clock FROM rows WHERE seq > ? AND kind <> ? ORDER BY seq", (noted, RowKind.QUOTES)
    )
    for domain, seq, clock in later:
        known = spans.get(domain)
        spans[domain] = (
            Span(seq, clock, seq, clock) if known is None else known._replace(last_seq=seq, last_clock=clock)
        )
    rows = connection.execute("SELECT * FROM streams ORDER BY id")
    return Contents(
        max(int(facts.get("follows", 0)), last_row or 0, (last_start or 1) - 1),
        tuple(stream_of(row) for row in rows),
        spans,
        facts,
    )


def sync(path: Path) -> None:
    """Have the disk hold all of a file, or a folder's names."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def trouble(error: Exception, path: Path) -> DeskError:
    """The error that a user reads for one of SQLite's, of the disk, or of the values found in a file."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    if primary in _FULL:
        msg = f"journal file {path}: the disk is full; make room, what was journaled is kept and readable"
        return JournalFull(msg)
    if primary in _UNWRITABLE or isinstance(error, OSError):
        msg = f"journal file {path} cannot be written: {error}; make the folder writable or choose another --data-dir"
        return JournalFull(msg)
    if primary in _DAMAGED or isinstance(error, ValueError | TypeError):
        msg = f"journal file {path} is damaged: {error}; move it out of the folder, its rows stay readable there"
        return DeskError(msg)
    msg = f"journal file {path} could not be used: {error}; see that no other program has it open"
    return DeskError(msg)
