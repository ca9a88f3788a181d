"""The bar store in one SQLite file: the embedded default. See `sinks.bar_store` for what it promises."""

import sqlite3
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from market.bars import BAR, BarBatch, BarState
from market.errors import DeskError
from market.intervals import Interval
from market.symbols import Symbol
from sinks import sqlite_log, sqlite_reads
from sinks.bar_store import Finding, Logged, Series, Written
from sinks.revision_log import SEGMENT_ROWS, seal, to_names
from sinks.sqlite_file import INTERVAL_BITS, SYMBOL_BITS, Checkpointer, connect, trouble
from sinks.sqlite_rows import held, insert, pack_keys, replace, supersede, unpack_block
from sinks.upsert_rule import beats, best_of_each, refuse_unstorable, settle, versions

if TYPE_CHECKING:
    import polars as pl

_TIMEOUT_S: Final = 10.0
_WRITER_CACHE_MIB: Final = 64
_READER_CACHE_MIB: Final = 16
_BLOCKS_MAX: Final = 100_000
"""Blocks remembered as known to the file; a block that is forgotten is offered to it once more."""
_SOURCES_MAX: Final = 0xFFFF

_Mask = NDArray[np.bool_]
_Places = NDArray[np.int64]


class SqliteBars:
    """A `BarStore` in one file in WAL mode.

    Writes take SQLite's one write lock for as long as a batch takes (0.3 s for 100,000 bars), reads take none. State in
    memory: the ids of symbols and sources met so far, and up to some 100,000 blocks known to exist, 100 bytes each.
    """

    def __init__(self, path: Path, *, read_only: bool = False, timeout_s: float = _TIMEOUT_S) -> None:
        """Open the file; make it if it is not there and may be written.

        Args:
            path: The file.
            read_only: Write nothing, not even a new file.
            timeout_s: How long to wait for another process's lock before `StoreAway`.

        Raises:
            DeskError: It cannot be opened, or is no bar store.
            StoreAway: It stays locked.
        """
        self._path = path
        self._read_only = read_only
        self._timeout_s = timeout_s
        self._lock = threading.RLock()
        self._read_lock = threading.RLock()
        self._symbols: dict[Symbol, int] = {}
        self._sources: dict[str, int] = {}
        self._blocks: set[int] = set()
        with trouble(path):
            cache = _READER_CACHE_MIB if read_only else _WRITER_CACHE_MIB
            self._db = connect(path, read_only=read_only, timeout_s=timeout_s, cache_mib=cache)
        # Readers of a writing store get a connection of their own: they must not see a batch half done.
        self._read_db = self._db if read_only else None
        self._checkpoints = Checkpointer(path, timeout_s)

    @property
    def where(self) -> str:
        """The file's path."""
        return str(self._path)

    def upsert(self, batch: BarBatch, *, writer: str, upto: int | None = None, own_revisions: bool) -> Written:
        """See `BarStore.upsert`."""
        if self._read_only:
            msg = f"bar store {self._path} was opened to be read only; nothing can be written to it"
            raise DeskError(msg)
        refuse_unstorable(batch, upto)
        with self._lock, trouble(self._path):
            rows = self._with_sources(batch)
            keys, blocks = pack_keys(self._series(batch), rows)
            self._checkpoints.catch_up()
            fresh = self._new_blocks(blocks)
            with self._transaction(self._db):
                self._db.executemany("INSERT OR IGNORE INTO blocks VALUES (?, ?)", map(unpack_block, fresh))
                if own_revisions and upto is not None:
                    written = self._upsert_counted(batch, keys, rows, writer, upto)
                else:
                    written = self._upsert_compared(batch, keys, rows, writer, upto or 0, own_revisions)
            if len(self._blocks) > _BLOCKS_MAX:
                self._blocks.clear()
            self._blocks.update(fresh)
            self._checkpoints.committed()
        return written

    def position(self, writer: str) -> int:
        """See `BarStore.position`."""
        with self._reading() as db:
            return sqlite_log.head(db, writer).upto

    def read(
        self,
        symbol: Symbol,
        interval: Interval,
        start: int | None = None,
        end: int | None = None,
        limit: int | None = None,
        states: Collection[BarState] | None = None,
        as_of: int | None = None,
        newest_first: bool = True,
    ) -> "pl.DataFrame":
        """See `BarStore.read`."""
        with self._reading() as db:
            return sqlite_reads.read(db, self._path, symbol, interval, start, end, limit, states, as_of, newest_first)

    def starts(self, symbol: Symbol, interval: Interval, start: int, end: int) -> NDArray[np.int64]:
        """See `BarStore.starts`."""
        with self._reading() as db:
            return sqlite_reads.starts(db, symbol, interval, start, end)

    def series(self) -> list[Series]:
        """See `BarStore.series`."""
        with self._reading() as db:
            return sqlite_reads.series(db)

    def revisions(self, writer: str | None = None, after: int = 0) -> Iterator[Logged]:
        """See `BarStore.revisions`."""
        for name in self.writers() if writer is None else [writer]:
            seq = after
            while True:
                with self._reading() as db:
                    part = sqlite_log.rows_after(db, name, seq, self._path)
                if part is None:
                    break
                yield part
                seq = int(part.seqs[-1])

    def writers(self) -> list[str]:
        """See `BarStore.writers`."""
        with self._reading() as db:
            return sqlite_log.writers(db)

    def head(self, writer: str) -> tuple[int, str]:
        """See `BarStore.head`."""
        with self._reading() as db:
            found = sqlite_log.head(db, writer)
        return found.last_seq, found.hash.hex() if found.last_seq else ""

    def check_log(self) -> list[Finding]:
        """See `BarStore.check_log`."""
        with self._reading() as db:
            return [finding for name in sqlite_log.writers(db) for finding in sqlite_log.check(db, name)]

    def forget(self, symbol: Symbol) -> int:
        """See `BarStore.forget`."""
        if self._read_only:
            msg = f"bar store {self._path} was opened to be read only; nothing can be removed from it"
            raise DeskError(msg)
        with self._lock, trouble(self._path), self._transaction(self._db):
            return sqlite_reads.forget(self._db, symbol)

    def size_bytes(self) -> int:
        """Size of the file and of its write-ahead log."""
        wal = self._path.with_name(self._path.name + "-wal")
        return sum(file.stat().st_size for file in (self._path, wal) if file.exists())

    def ping(self) -> None:
        """See `BarStore.ping`."""
        with self._reading() as db:
            db.execute("SELECT 1 FROM symbols LIMIT 1").fetchone()

    def close(self) -> None:
        """Close the file; the last one to do so empties its write-ahead log."""
        with self._lock, self._read_lock:
            self._checkpoints.close()
            if self._read_db is not None and self._read_db is not self._db:
                self._read_db.close()
            self._db.close()

    def _upsert_counted(
        self, batch: BarBatch, keys: NDArray[np.int64], rows: NDArray[np.void], writer: str, upto: int
    ) -> Written:
        """Rows with revisions of their own, from a reader of the journal: insert first, compare what was there."""
        head = sqlite_log.head(self._db, writer)
        to_log = (batch.rows["seq"] > head.upto) & (rows["state"] != BarState.FORMING)
        best = best_of_each(keys, rows)
        best_keys, best_rows = keys[best], rows[best]
        inserted, doubtful = insert(self._db, best_keys, best_rows)
        updated = 0
        if len(doubtful):
            ours = best_rows[doubtful]
            theirs, _ = held(self._db, best_keys[doubtful])
            wins = beats(ours, theirs)
            updated = int(wins.sum())
            replace(self._db, best_keys[doubtful][wins], ours[wins])
            same = (versions(ours) == versions(theirs)) & (ours["updated_at"] == theirs["updated_at"])
            beaten = ~wins & ~same & to_log[best[doubtful]]
            self._supersede(best_keys[doubtful][wins], theirs[wins])
            self._supersede(best_keys[doubtful][beaten], ours[beaten])
        if len(best) < len(rows):
            rest = to_log.copy()
            rest[best] = False
            self._supersede(keys[rest], rows[rest])
        logged = self._log(batch, np.flatnonzero(to_log), rows["revision"], writer, max(upto, head.upto))
        return Written(inserted, updated, len(rows) - inserted - updated, logged)

    def _upsert_compared(
        self,
        batch: BarBatch,
        keys: NDArray[np.int64],
        rows: NDArray[np.void],
        writer: str,
        upto: int,
        own_revisions: bool,
    ) -> Written:
        """Rows that are logged only if they change the store: look first, then write."""
        distinct, key_of = np.unique(keys, return_inverse=True)
        theirs, present = held(self._db, distinct)
        done = settle(rows, key_of, theirs, present, own_revisions=own_revisions)
        replace(self._db, distinct[done.touched], done.shown[done.touched])
        for places, beaten in done.beaten:
            self._supersede(distinct[places], beaten)
        to_log = np.flatnonzero(done.changed & (rows["state"] != BarState.FORMING))
        logged = self._log(batch, to_log, done.revision, writer, upto)
        return Written(done.inserted, done.updated, len(rows) - done.inserted - done.updated, logged)

    def _supersede(self, keys: NDArray[np.int64], rows: NDArray[np.void]) -> None:
        known = rows["state"] != BarState.FORMING
        supersede(self._db, keys[known], rows[known])

    def _log(self, batch: BarBatch, places: _Places, revision: NDArray[np.uint32], writer: str, upto: int) -> int:
        """Append rows of the batch to the writer's log and move its position."""
        head = sqlite_log.head(self._db, writer)
        for first in range(0, len(places), SEGMENT_ROWS):
            part = places[first : first + SEGMENT_ROWS]
            rows, names = to_names(batch, part, revision)
            segment = seal(writer, head, rows, names, max(upto, head.upto))
            head = sqlite_log.append(self._db, segment)
        sqlite_log.note_head(self._db, writer, head._replace(upto=max(upto, head.upto)))
        return len(places)

    def _series(self, batch: BarBatch) -> NDArray[np.int64]:
        """Series of each row: its symbol's id and its interval."""
        ids = np.zeros(max(len(batch.streams), 1), dtype=np.int64)
        for place in np.flatnonzero(np.bincount(batch.rows["stream"])).tolist():
            symbol = batch.streams[place].symbol
            found = self._symbols.get(symbol)
            if found is None:
                found = self._symbols[symbol] = self._id("symbols", ("exchange", "symbol"), symbol, 1 << SYMBOL_BITS)
            ids[place] = found
        series: NDArray[np.int64] = ids[batch.rows["stream"]] << INTERVAL_BITS | batch.rows["interval"]
        return series

    def _with_sources(self, batch: BarBatch) -> NDArray[np.void]:
        """A copy of the rows whose `stream` is the store's id of their source."""
        ids = np.zeros(max(len(batch.streams), 1), dtype=np.uint16)
        for place in np.flatnonzero(np.bincount(batch.rows["stream"])).tolist():
            feed = batch.streams[place].feed
            found = self._sources.get(feed)
            if found is None:
                found = self._sources[feed] = self._id("sources", ("name",), (feed,), _SOURCES_MAX + 1)
            ids[place] = found
        rows = batch.rows.astype(BAR, copy=True)
        rows["stream"] = ids[batch.rows["stream"]]
        return rows

    def _id(self, table: str, columns: tuple[str, ...], values: tuple[str, ...], limit: int) -> int:
        """Id of a name, given once and committed at once: a name without bars harms nobody."""
        where = " AND ".join(f"{column} = ?" for column in columns)
        row = self._db.execute(f"SELECT id FROM {table} WHERE {where}", values).fetchone()
        if row is None:
            marks = ", ".join("?" * len(columns))
            self._db.execute(f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})", values)
            row = self._db.execute(f"SELECT id FROM {table} WHERE {where}", values).fetchone()
        found = int(row[0])
        if found >= limit:
            msg = f"bar store {self._path} is full: it holds {limit - 1} {table}; use a second data folder"
            raise DeskError(msg)
        return found

    def _new_blocks(self, blocks: NDArray[np.int64]) -> list[int]:
        return sorted(set(np.unique(blocks).tolist()) - self._blocks)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the store throughout."""
        with self._read_lock, trouble(self._path):
            if self._read_db is None:
                self._read_db = connect(
                    self._path, read_only=True, timeout_s=self._timeout_s, cache_mib=_READER_CACHE_MIB
                )
            with self._transaction(self._read_db, "BEGIN"):
                yield self._read_db

    @contextmanager
    def _transaction(self, db: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
        db.execute(begin)
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            # A full disk or a broken file may have ended the transaction already.
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
