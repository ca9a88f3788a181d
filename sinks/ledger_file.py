"""The file of the desk's ledger: opened by several processes at once, and its troubles put into words."""

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Final, Self
from urllib.parse import quote

from market.errors import DeskError

VERSION: Final = 1
BUSY_S: Final = 10.0
"""How long to wait for another process's transaction. All of ours take milliseconds."""

_DESK: Final = """
CREATE TABLE gaps(
  id INTEGER PRIMARY KEY AUTOINCREMENT, exchange TEXT NOT NULL, ticker TEXT NOT NULL, start INTEGER NOT NULL,
  end INTEGER, reason TEXT NOT NULL, state TEXT NOT NULL, healed_by TEXT, noticed_at INTEGER NOT NULL,
  feed TEXT NOT NULL, UNIQUE(exchange, ticker, start, reason));
CREATE INDEX gaps_by_state ON gaps(state, start);
CREATE TABLE rejects(
  id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL,
  exchange TEXT, ticker TEXT, seq INTEGER, place INTEGER, received_time INTEGER NOT NULL);
CREATE UNIQUE INDEX rejects_by_place ON rejects(seq, place, source, reason) WHERE seq IS NOT NULL;
CREATE TABLE reject_counts(
  source TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY(source, reason)) WITHOUT ROWID;
CREATE TABLE subscriptions(
  exchange TEXT NOT NULL, ticker TEXT NOT NULL, feed TEXT NOT NULL, since INTEGER NOT NULL, active INTEGER NOT NULL,
  designated INTEGER NOT NULL, PRIMARY KEY(exchange, ticker, feed)) WITHOUT ROWID;
CREATE TABLE positions(
  consumer TEXT PRIMARY KEY, seq INTEGER NOT NULL, previous INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE events(
  id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, level TEXT NOT NULL, name TEXT NOT NULL,
  process TEXT NOT NULL, feed TEXT, symbol TEXT, text TEXT NOT NULL);
CREATE TABLE price_alerts(
  id INTEGER PRIMARY KEY AUTOINCREMENT, exchange TEXT NOT NULL, ticker TEXT NOT NULL, side TEXT NOT NULL,
  price REAL NOT NULL, armed INTEGER NOT NULL, made_at INTEGER NOT NULL, fired_at INTEGER);
CREATE TABLE replays(
  hash TEXT NOT NULL, exchange TEXT NOT NULL, ticker TEXT NOT NULL, path TEXT NOT NULL, rows INTEGER NOT NULL,
  state TEXT NOT NULL, changed_at INTEGER NOT NULL, PRIMARY KEY(hash, exchange, ticker)) WITHOUT ROWID;
CREATE TABLE feeds(
  feed TEXT PRIMARY KEY, state TEXT NOT NULL, since INTEGER NOT NULL, reconnects INTEGER NOT NULL,
  text TEXT NOT NULL) WITHOUT ROWID;
"""

_ROOM_BYTES: Final = 1 << 16
_CANNOT_WRITE = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM})


class LedgerFile:
    """A connection to the ledger; may be used from several threads, one transaction at a time."""

    SCHEMA: ClassVar[str] = _DESK
    """What a new file is made with."""
    WHAT: ClassVar[str] = "ledger"
    """What the file is, for errors."""

    def __init__(self, path: Path) -> None:
        """Open the ledger, making it if it is not there. One that may not be written can still be read.

        Raises:
            DeskError: It is damaged, of a newer version, locked by something that is not ours, or cannot be made.
        """
        self.path = path
        self._guard = threading.RLock()
        self._read_only = False
        try:
            self._connection = self._open()
        except sqlite3.Error as error:
            raise self._trouble(error) from error
        except OSError as error:
            msg = f"{self.WHAT} {path} cannot be made: {error.strerror}; choose another --data-dir"
            raise DeskError(msg) from error
        self._data_version = self._version()

    def changed(self) -> bool:
        """Whether another connection has written anything since the last call; a few microseconds."""
        with self._guard:
            before, self._data_version = self._data_version, self._version()
            return before != self._data_version

    def read(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        with self._guard:
            try:
                return self._connection.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise self._trouble(error) from error

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """All of what is done inside or, on an error, none of it.

        Args:
            durable: On the disk when it ends, not only in its cache: for what a user asked for.

        Raises:
            DeskError: The disk is full or read-only, or the lock was not to be had within 10 s.
        """
        with self._guard:
            connection = self._connection
            try:
                if durable:
                    connection.execute("PRAGMA synchronous=FULL")
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
                finally:
                    if durable:
                        connection.execute("PRAGMA synchronous=NORMAL")
            except sqlite3.Error as error:
                raise self._trouble(error) from error

    def close(self) -> None:
        """Let go of the file. Can be called twice."""
        with self._guard:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> sqlite3.Connection:
        if not self.path.exists():
            self._create()
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            connection.execute("PRAGMA synchronous=NORMAL")
        except sqlite3.OperationalError as error:
            connection.close()
            if error.sqlite_errorcode & 0xFF in _CANNOT_WRITE:
                return self._open_to_read()
            raise
        except sqlite3.Error:
            connection.close()
            raise
        if version != VERSION:
            connection.close()
            msg = (
                f"{self.WHAT} {self.path} has format version {version}, this program knows {VERSION}; "
                "use its own program or move the file away"
            )
            raise DeskError(msg)
        return connection

    def _create(self) -> None:
        """Make the file aside and link it into place: of processes that start together, the first one's is taken."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.path.with_name(f"{self.path.name}.{os.getpid()}.{threading.get_ident()}.new")
        aside.unlink(missing_ok=True)
        try:
            with closing(sqlite3.connect(aside, isolation_level=None)) as connection:
                connection.executescript(self.SCHEMA)
                connection.execute(f"PRAGMA user_version={VERSION}")
                connection.execute("PRAGMA journal_mode=WAL")
            with suppress(FileExistsError):
                self.path.hardlink_to(aside)
        finally:
            aside.unlink(missing_ok=True)

    def _open_to_read(self) -> sqlite3.Connection:
        """On a read-only disk SQLite can make no index of a log beside the file, so the file is taken as it is."""
        self._read_only = True
        address = f"file:{quote(str(self.path))}?mode=ro&immutable=1"
        connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA user_version")
        return connection

    def _version(self) -> int:
        try:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error as error:
            raise self._trouble(error) from error

    def _trouble(self, error: sqlite3.Error) -> DeskError:
        code = getattr(error, "sqlite_errorcode", None)
        primary = None if code is None else code & 0xFF
        if primary == sqlite3.SQLITE_FULL or (primary == sqlite3.SQLITE_IOERR and not _has_room(self.path.parent)):
            what = "the disk is full; make room"
        elif primary in _CANNOT_WRITE or primary == sqlite3.SQLITE_IOERR:
            what = f"it cannot be used: {error}; make it and its folder writable"
        elif primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            what = f"it is damaged: {error}; restore it from a backup or move it away"
        elif primary == sqlite3.SQLITE_BUSY:
            what = f"another program has held it for over {BUSY_S:.0f} s; end that one"
        else:
            what = f"{error}; it may be of another version"
        return DeskError(f"{self.WHAT} {self.path}: {what}")


def _has_room(folder: Path) -> bool:
    """Whether the disk is not full: what SQLite shares between processes it cannot make there, and says no more."""
    try:
        return shutil.disk_usage(folder).free > _ROOM_BYTES
    except OSError:
        return True
