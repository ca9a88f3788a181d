"""The paper book in an SQLite file of its own. `sinks.paper_book` says what it promises."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Final, cast

from market.errors import DeskError
from sinks.bar_store import StoreAway
from sinks.ledger_file import BUSY_S, LedgerFile
from sinks.paper_book import KINDS, PRUNED, Action, Column, Control, Position, Row, Written
from sinks.paper_values import columns_of, decode, encode, refuse_adrift, refuse_unknown, refuse_writing
from sinks.sqlite_file import Checkpointer

_TYPES: Final = {"text": "TEXT", "int": "INTEGER", "float": "REAL", "bool": "INTEGER", "json": "TEXT", "bytes": "BLOB"}

NEVER: Final = (1 << 63) - 1
"""Beyond every number, time and row."""
_WAL_LIMIT_BYTES: Final = 16 << 20
"""The write-ahead log is cut back to this when it begins anew."""

_BESIDE: Final = """
CREATE TABLE IF NOT EXISTS controls(
  number INTEGER PRIMARY KEY AUTOINCREMENT, asked_at INTEGER NOT NULL, run TEXT NOT NULL, action TEXT NOT NULL,
  body TEXT NOT NULL, applied_seq INTEGER, refused TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS states(run TEXT PRIMARY KEY, seq INTEGER NOT NULL, state BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS warm_ups(run TEXT PRIMARY KEY, bars BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS position(
  one INTEGER PRIMARY KEY CHECK(one = 1), seq INTEGER NOT NULL, log_seq INTEGER NOT NULL,
  closed_until INTEGER NOT NULL, control INTEGER NOT NULL, clock INTEGER NOT NULL, grace_ns INTEGER NOT NULL);
"""


def _table(kind: str, columns: Sequence[Column]) -> str:
    # With its rows in the order of the key: a run's rows are read as one run of pages.
    named = ", ".join(f'"{column.name}" {_TYPES[column.type]}' for column in columns)
    return (
        f"CREATE TABLE IF NOT EXISTS {kind}(run TEXT NOT NULL, number INTEGER NOT NULL, {named},"
        " PRIMARY KEY(run, number)) WITHOUT ROWID;\n"
    )


class SqlitePaper(LedgerFile):
    """A `PaperBook` in a file. A column that was added since the file was made is added to it."""

    WHAT: ClassVar[str] = "paper book"
    SCHEMA: ClassVar[str] = _BESIDE + "".join(_table(kind, columns) for kind, columns in KINDS.items())

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the book.

        Args:
            path: The file, made if it is not there.
            read_only: Write nothing; where there is no file, the book is an empty one.

        Raises:
            DeskError: It is damaged, of a newer version, or cannot be made.
            StoreAway: Another program holds it.
        """
        self._reads = read_only
        self._checkpointer: Checkpointer | None = None
        super().__init__(path)

    @property
    def where(self) -> str:
        """The file's path."""
        return str(self.path)

    def ask(self, run: str, action: Action, body: Mapping[str, Any], asked_at: int) -> int:
        """See `PaperBook.ask`."""
        refuse_unknown(action)
        self._may_write()
        with self.transaction(durable=True) as db:
            done = db.execute(
                "INSERT INTO controls(asked_at, run, action, body, refused) VALUES(?, ?, ?, ?, '')",
                (asked_at, run, action, json.dumps(body)),
            )
            return int(done.lastrowid or 0)

    def controls(self, after: int = 0, *, waiting: bool = False) -> list[Control]:
        """See `PaperBook.controls`."""
        rows = self.read(
            "SELECT number, asked_at, run, action, body, applied_seq, refused FROM controls WHERE number > ?"
            f"{' AND applied_seq IS NULL' if waiting else ''} ORDER BY number",
            (after,),
        )
        return [
            Control(number, asked_at, run, cast("Action", action), json.loads(body), seq, refused)
            for number, asked_at, run, action, body, seq, refused in rows
        ]

    def apply(self, places: Mapping[int, int], refused: Mapping[int, str] | None = None) -> None:
        """See `PaperBook.apply`."""
        self._may_write()
        with self.transaction(durable=True) as db:
            db.executemany(
                "UPDATE controls SET applied_seq = ? WHERE number = ? AND applied_seq IS NULL",
                [(seq, number) for number, seq in places.items()],
            )
            db.executemany(
                "UPDATE controls SET refused = ? WHERE number = ? AND refused = ''",
                [(why, number) for number, why in (refused or {}).items()],
            )

    def write(self, batch: Written) -> bool:
        """See `PaperBook.write`: one transaction."""
        self._may_write()
        refuse_adrift(batch)
        statements = [one for kind, rows in batch.rows.items() for one in _upserts(kind, rows)]
        if self._checkpointer is None:
            # From here on this process writes all the time, and checkpoints beside its commits rather than in them.
            self._checkpointer = Checkpointer(self.path, BUSY_S)
            self.read("PRAGMA wal_autocheckpoint = 0")
            self.read(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
        self._checkpointer.catch_up()
        with self.transaction() as db:
            position = batch.position
            if position is not None and not position.beyond(_position(db)):
                return False
            for statement, values in statements:
                db.executemany(statement, values)
            seq = 0 if position is None else position.seq
            db.executemany(
                "INSERT OR REPLACE INTO states VALUES(?, ?, ?)",
                [(run, seq, state) for run, state in batch.states.items()],
            )
            db.executemany("INSERT OR IGNORE INTO warm_ups VALUES(?, ?)", list(batch.warm_ups.items()))
            if position is not None:
                db.execute("INSERT OR REPLACE INTO position VALUES(1, ?, ?, ?, ?, ?, ?)", position)
        self._checkpointer.committed()
        return True

    def position(self) -> Position:
        """See `PaperBook.position`."""
        with self._guard:
            try:
                return _position(self._connection)
            except sqlite3.Error as error:
                raise self._trouble(error) from error

    def rows(
        self,
        kind: str,
        run: str | None = None,
        after: int | None = None,
        before: int | None = None,
        limit: int | None = None,
        *,
        newest_first: bool = False,
    ) -> list[Row]:
        """See `PaperBook.rows`."""
        names = ", ".join(f'"{column.name}"' for column in columns_of(kind))
        bounds = {"run = ?": run, "number > ?": after, "number < ?": before}
        given = {rule: value for rule, value in bounds.items() if value is not None}
        where = f" WHERE {' AND '.join(given)}" if given else ""
        order = "run DESC, number DESC" if newest_first else "run, number"
        found = self.read(
            f"SELECT run, number, {names} FROM {kind}{where} ORDER BY {order} LIMIT ?",
            (*given.values(), -1 if limit is None else limit),
        )
        return [decode(kind, name, number, values) for name, number, *values in found]

    def runs(self) -> list[Row]:
        """See `PaperBook.runs`."""
        return sorted(self.rows("runs"), key=lambda row: -row["number"])

    def run(self, begins: str) -> list[Row]:
        """See `PaperBook.run`."""
        found = [row for row in self.runs() if row["run"].startswith(begins)]
        return [row for row in found if row["run"] == begins] or found

    def state(self, run: str) -> tuple[int, bytes] | None:
        """See `PaperBook.state`."""
        found = self.read("SELECT seq, state FROM states WHERE run = ?", (run,))
        return (found[0][0], found[0][1]) if found else None

    def warm_up(self, run: str) -> bytes:
        """See `PaperBook.warm_up`."""
        found = self.read("SELECT bars FROM warm_ups WHERE run = ?", (run,))
        return bytes(found[0][0]) if found else b""

    def forget(self, run: str) -> int:
        """See `PaperBook.forget`."""
        self._may_write()
        with self.transaction(durable=True) as db:
            for beside in ("states", "warm_ups"):
                db.execute(f"DELETE FROM {beside} WHERE run = ?", (run,))
            return sum(db.execute(f"DELETE FROM {kind} WHERE run = ?", (run,)).rowcount for kind in KINDS)

    def prune(self, before: int) -> int:
        """See `PaperBook.prune`."""
        self._may_write()
        proven = dict(self.read("SELECT run, max(to_seq) FROM certificates WHERE result = 'equal' GROUP BY run"))
        proven[""] = NEVER
        runs = [run for (run,) in self.read("SELECT run FROM runs")]
        return sum(self._prune(kind, run, before, proven.get(run, 0)) for kind in PRUNED for run in ["", *runs])

    def _prune(self, kind: str, run: str, before: int, proven: int) -> int:
        """One kind of one run, in a transaction of its own, so that no fill waits for all of them."""
        seq = "seq" if any(column.name == "seq" for column in KINDS[kind]) else "0"
        with self.transaction() as db:
            # In the order of the key, so that only what goes is looked at.
            stays = db.execute(
                f"SELECT number FROM {kind} WHERE run = ? AND (time >= ? OR {seq} > ?) ORDER BY number LIMIT 1",
                (run, before, proven),
            ).fetchone()
            goes = f"FROM {kind} WHERE run = ? AND number < ?"
            key = run, NEVER if stays is None else stays[0]
            (newest,) = db.execute(f"SELECT max({seq}) {goes}", key).fetchone()
            if newest:
                db.execute("UPDATE runs SET pruned_seq = max(coalesce(pruned_seq, 0), ?) WHERE run = ?", (newest, run))
            return db.execute(f"DELETE {goes}", key).rowcount

    def size_bytes(self) -> int:
        """See `PaperBook.size_bytes`."""
        size = 0
        for path in (self.path, self.path.with_name(f"{self.path.name}-wal")):
            with suppress(FileNotFoundError):
                size += path.stat().st_size
        return size

    def close(self) -> None:
        """See `PaperBook.close`."""
        if self._checkpointer is not None:
            self._checkpointer.close()
            self._checkpointer = None
        super().close()

    def _may_write(self) -> None:
        if self._reads:
            raise refuse_writing(self.where)

    def _open(self) -> sqlite3.Connection:
        if self._reads and not self.path.exists():
            connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            connection.executescript(self.SCHEMA)
            return connection
        connection = super()._open()
        try:
            self._bring_up_to_date(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _bring_up_to_date(self, db: sqlite3.Connection) -> None:
        """Add the tables and columns that a file of an earlier version lacks."""
        held = {kind: {row[1] for row in db.execute(f"PRAGMA table_info({kind})")} for kind in KINDS}
        lacking = [
            f'ALTER TABLE {kind} ADD COLUMN "{column.name}" {_TYPES[column.type]};'
            for kind, columns in KINDS.items()
            for column in columns
            if held[kind] and column.name not in held[kind]
        ]
        if lacking or not all(held.values()):
            db.executescript(f"BEGIN IMMEDIATE;{self.SCHEMA}{''.join(lacking)}COMMIT;")

    def _trouble(self, error: sqlite3.Error) -> DeskError:
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return StoreAway(f"paper book {self.path} is locked by another process: wait until that one is done")
        return super()._trouble(error)


def _upserts(kind: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, list[list[Any]]]]:
    """Statements that write rows of one kind: one for each set of columns that is given."""
    for names, values in encode(kind, rows):
        named = ", ".join(f'"{name}"' for name in names)
        kept = ", ".join(f'"{name}" = excluded."{name}"' for name in names[2:])
        marks = ", ".join("?" * len(names))
        what = f"UPDATE SET {kept}" if kept else "NOTHING"
        yield f"INSERT INTO {kind}({named}) VALUES({marks}) ON CONFLICT(run, number) DO {what}", values


def _position(db: sqlite3.Connection) -> Position:
    found = db.execute("SELECT seq, log_seq, closed_until, control, clock, grace_ns FROM position").fetchone()
    return Position(*found) if found else Position()
