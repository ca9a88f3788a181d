"""The SQLite file of the bar store: its schema, how it is opened, what its errors mean, and its checkpoints.

**Layout.** A bar's row id packs its key: block, series, place in the block. A block is a stretch of time (an hour of
minute bars, a day of hourly ones), so bars that are written together lie together whatever their symbol, and a series
is read as one run a block. In a tree ordered by series alone every series has a last page of its own to be written, all
of them at each full hour: it writes several times the bytes and slows down as the file grows.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import numpy as np

from market.errors import DeskError
from market.intervals import INTERVALS, NAMES, Interval
from sinks.bar_store import StoreAway

APPLICATION_ID: Final = 0x50514253
"""`PQBS`: what tells a bar store from any other SQLite file."""

LAYOUT: Final = 1
"""Version of the schema, in `user_version`."""

HOUR_MINUTES: Final = 60
OFFSET_BITS: Final = 20
"""A row's place in its block: minutes from the block's begin to the bar's start."""
INTERVAL_BITS: Final = 4
SYMBOL_BITS: Final = 16
BLOCK_SHIFT: Final = OFFSET_BITS + INTERVAL_BITS + SYMBOL_BITS

_BUSY_PAUSE_S: Final = 0.05
"""Between two tries to open a file that another process is just making."""
_WAL_LIMIT_BYTES: Final = 16 << 20
_WAL_BEHIND_BYTES: Final = 128 << 20


def _block_hours(interval: Interval) -> int:
    if interval < Interval.M15:
        return 1
    if interval < Interval.H1:
        return 4
    return 24 if interval.intraday else 720 * 24


BLOCK_HOURS: Final = tuple(_block_hours(interval) for interval in INTERVALS)
"""Length of a block by interval; blocks are counted from 1970. Minutes in the longest fit `OFFSET_BITS`."""

BLOCK_HOURS_ARRAY: Final = np.array(BLOCK_HOURS, dtype=np.int64)
"""`BLOCK_HOURS` for indexing by a column of intervals."""

_INTERVAL_NAME: Final = " ".join(f"WHEN {place} THEN '{name}'" for place, name in enumerate(NAMES))

_BAR_COLUMNS: Final = """
    minutes INTEGER NOT NULL,
    open REAL NOT NULL, high REAL NOT NULL, low REAL NOT NULL, close REAL NOT NULL,
    volume REAL NOT NULL, notional REAL, trades INTEGER NOT NULL,
    state INTEGER NOT NULL, source INTEGER NOT NULL, revision INTEGER NOT NULL, updated_at INTEGER NOT NULL"""

_MINUTE: Final = f"(b.key >> {BLOCK_SHIFT}) * {HOUR_MINUTES} + (b.key & {(1 << OFFSET_BITS) - 1})"

SCHEMA: Final = f"""
CREATE TABLE symbols (id INTEGER PRIMARY KEY, exchange TEXT NOT NULL, symbol TEXT NOT NULL, UNIQUE (exchange, symbol));
CREATE TABLE sources (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
-- Which blocks a series (symbol << 4 | interval) has bars in.
CREATE TABLE blocks (series INTEGER NOT NULL, hour INTEGER NOT NULL, PRIMARY KEY (series, hour)) WITHOUT ROWID;
-- The bars that are shown: key = hour << 40 | series << 20 | minutes into the block that begins with that hour.
CREATE TABLE bar_rows (key INTEGER PRIMARY KEY, {_BAR_COLUMNS});
-- Logged versions that are not shown (any more): what reads as of a moment look at.
CREATE TABLE superseded (key INTEGER NOT NULL, {_BAR_COLUMNS},
    PRIMARY KEY (key, revision, state, updated_at)) WITHOUT ROWID;
-- The log: one row a segment of it (sinks/revision_log.py).
CREATE TABLE bar_revisions (id INTEGER PRIMARY KEY, writer TEXT NOT NULL, first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL, upto INTEGER NOT NULL, start_from INTEGER NOT NULL, start_to INTEGER NOT NULL,
    known_from INTEGER NOT NULL, known_to INTEGER NOT NULL, names BLOB NOT NULL, body BLOB NOT NULL,
    prev_hash BLOB NOT NULL, hash BLOB NOT NULL, UNIQUE (writer, first_seq));
CREATE TABLE writers (writer TEXT PRIMARY KEY, last_seq INTEGER NOT NULL, hash BLOB NOT NULL, upto INTEGER NOT NULL);
-- For people: the bars with names and ISO times. Pinned joins: by symbol, then interval, then time.
CREATE VIEW bars AS SELECT s.exchange, s.symbol, CASE k.series & {(1 << INTERVAL_BITS) - 1} {_INTERVAL_NAME} END
    AS interval, strftime('%Y-%m-%dT%H:%M:%SZ', ({_MINUTE}) * 60, 'unixepoch') AS start,
    strftime('%Y-%m-%dT%H:%M:%SZ', ({_MINUTE} + b.minutes) * 60, 'unixepoch') AS "end",
    b.open, b.high, b.low, b.close, b.volume, b.notional, b.trades,
    CASE WHEN b.volume > 0 THEN b.notional / b.volume END AS vwap,
    CASE b.state WHEN 0 THEN 'forming' WHEN 1 THEN 'closed' WHEN 2 THEN 'partial' WHEN 3 THEN 'healed'
    WHEN 4 THEN 'official' END AS state, f.name AS source, b.revision,
    strftime('%Y-%m-%dT%H:%M:%S', b.updated_at / 1000000000, 'unixepoch')
    || printf('.%09dZ', b.updated_at % 1000000000) AS updated_at
    FROM symbols s
    CROSS JOIN blocks k ON k.series BETWEEN s.id << {INTERVAL_BITS} AND (s.id << {INTERVAL_BITS}) + 12
    CROSS JOIN bar_rows b ON b.key BETWEEN (k.hour << {BLOCK_SHIFT}) + (k.series << {OFFSET_BITS})
        AND (k.hour << {BLOCK_SHIFT}) + (k.series << {OFFSET_BITS}) + {(1 << OFFSET_BITS) - 1}
    CROSS JOIN sources f ON f.id = b.source;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {LAYOUT};
"""


@contextmanager
def trouble(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into sentences that name the file and what to do.

    Raises:
        StoreAway: Another process has held the file for longer than the time-out.
        DeskError: Anything else.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            msg = f"bar store {path} is locked by another process: wait until that one is done"
            raise StoreAway(msg) from error
        advice = {
            sqlite3.SQLITE_FULL: "its disk is full: free some space, then start again",
            sqlite3.SQLITE_READONLY: "it is read-only: give this user the right to write the file and its folder",
            sqlite3.SQLITE_PERM: "access is denied: give this user the right to read and write it",
            sqlite3.SQLITE_AUTH: "access is denied: give this user the right to read and write it",
            sqlite3.SQLITE_CANTOPEN: "it cannot be opened: check that its folder is there and may be written",
            sqlite3.SQLITE_IOERR: "its disk reports an error: check the disk and the space left on it",
            sqlite3.SQLITE_NOTADB: "it is not an SQLite file: move it away, or name another data folder",
            sqlite3.SQLITE_CORRUPT: "it is damaged: move it away and run `pq rebuild`, or restore a backup",
        }.get(code, "see the cause in the log")
        msg = f"bar store {path}: {error}; {advice}"
        raise DeskError(msg) from error


def connect(path: Path, *, read_only: bool, timeout_s: float, cache_mib: int) -> sqlite3.Connection:
    """Open the file and see that it is a bar store; make it if it is new and may be written.

    Errors are `sqlite3.Error` (see `trouble`) and `DeskError` for a file that is something else.
    """
    if not read_only:
        db = _opened_for_writing(path, timeout_s)
        db.execute(f"PRAGMA cache_size = -{cache_mib * 1024}")
        return db
    if not path.exists():
        msg = f"there is no bar store at {path} yet; start `pq up`, or name another data folder"
        raise DeskError(msg)
    db = _open(path.absolute().as_uri() + "?mode=ro", timeout_s)
    try:
        db.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        db.close()
        wal = path.with_name(path.name + "-wal")
        if wal.exists() and wal.stat().st_size:
            raise
        # SQLite wants to make a shared-memory file beside the database. On a read-only disk it cannot, and need not:
        # nobody else can be writing there.
        db = _open(path.absolute().as_uri() + "?mode=ro&immutable=1", timeout_s)
    try:
        _recognise(db, path)
        db.execute(f"PRAGMA cache_size = -{cache_mib * 1024}")
    except BaseException:
        db.close()
        raise
    return db


def _open(uri: str, timeout_s: float) -> sqlite3.Connection:
    # Locks of our own keep threads apart, so the check that they are is switched off.
    return sqlite3.connect(uri, uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False)


def _opened_for_writing(path: Path, timeout_s: float) -> sqlite3.Connection:
    # SQLite waits for a lock by itself, but for the one that turns the write-ahead log on: of two processes that open a
    # new file in the same moment, one is told at once that it is busy.
    deadline = time.monotonic() + timeout_s
    while True:
        db = _open(path.absolute().as_uri() + "?mode=rwc", timeout_s)
        try:
            _prepare(db, path)
        except BaseException as error:
            db.close()
            busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() >= deadline:
                raise
            time.sleep(_BUSY_PAUSE_S)
        else:
            return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    # Only a file that is still empty takes the page size.
    db.execute("PRAGMA page_size = 16384")
    if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("BEGIN IMMEDIATE")
        # Another process may have been quicker.
        if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in SCHEMA.split(";\n"):
                db.execute(statement)
        db.execute("COMMIT")
    _recognise(db, path)
    db.execute("PRAGMA journal_mode = WAL")
    # Safe against kill -9; a loss of power may take the last moments, which the journal still has or lost likewise.
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")


def _recognise(db: sqlite3.Connection, path: Path) -> None:
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        msg = f"{path} is an SQLite file, but no bar store; name another data folder, or move the file away"
        raise DeskError(msg)
    layout = db.execute("PRAGMA user_version").fetchone()[0]
    if layout != LAYOUT:
        msg = f"bar store {path} has layout {layout}, not {LAYOUT}; install the PocketQuant that wrote it"
        raise DeskError(msg)


class Checkpointer:
    """Moves what was committed from the write-ahead log into the file, beside the writer rather than in its commits.

    A checkpoint inside a commit takes longer than writing the bars; on a thread of its own it overlaps with the next
    batch being made ready.
    """

    def __init__(self, path: Path, timeout_s: float) -> None:
        self._path = path
        self._wal = path.with_name(path.name + "-wal")
        self._timeout_s = timeout_s
        self._wanted = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._stop = False
        self._thread: threading.Thread | None = None

    def committed(self) -> None:
        """Take note of a commit; checkpoint if the write-ahead log has grown beyond its usual size."""
        if self._wal_bytes() <= _WAL_LIMIT_BYTES or not self._idle.is_set():
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="bars-checkpoint", daemon=True)
            self._thread.start()
        self._idle.clear()
        self._wanted.set()

    def catch_up(self) -> None:
        """Before a write: if the write-ahead log is far ahead, wait for the checkpoint that lets it restart."""
        if self._wal_bytes() > _WAL_BEHIND_BYTES:
            self._idle.wait(self._timeout_s)

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._stop = True
            self._wanted.set()
            self._thread.join()

    def _wal_bytes(self) -> int:
        try:
            return self._wal.stat().st_size
        except FileNotFoundError:
            return 0

    def _run(self) -> None:
        db = _open(self._path.absolute().as_uri() + "?mode=rw", self._timeout_s)
        db.execute("PRAGMA synchronous = NORMAL")
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._stop:
                break
            # What fails here (a full disk, say) is left in the log and fails where it can be told: in a commit.
            with suppress(sqlite3.Error):
                db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            self._idle.set()
        db.close()
