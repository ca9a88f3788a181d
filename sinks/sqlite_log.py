"""The log's segments in SQLite: appended, read, checked."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from market.errors import DeskError
from sinks.bar_store import Finding, Logged
from sinks.log_check import check_chain
from sinks.revision_log import EMPTY, Head, Segment, as_stored, decode, head_of, noted_head

_COLUMNS: Final = (
    "writer, first_seq, last_seq, upto, start_from, start_to, known_from, known_to, names, body, prev_hash, hash"
)


def head(db: sqlite3.Connection, writer: str) -> Head:
    """Where the writer's log ends, and its position in the journal."""
    row = db.execute("SELECT last_seq, hash, upto FROM writers WHERE writer = ?", (writer,)).fetchone()
    return Head(*row) if row is not None else EMPTY


def append(db: sqlite3.Connection, segment: Segment) -> Head:
    """Add the segment that follows the head; the head itself is noted by `note_head`."""
    marks = ", ".join("?" * len(segment))
    db.execute(f"INSERT INTO bar_revisions ({_COLUMNS}) VALUES ({marks})", segment)
    return head_of(segment)


def note_head(db: sqlite3.Connection, writer: str, end: Head) -> None:
    """Note where the writer's log ends, and its position."""
    db.execute("INSERT OR REPLACE INTO writers (writer, last_seq, hash, upto) VALUES (?, ?, ?, ?)", (writer, *end))


def writers(db: sqlite3.Connection) -> list[str]:
    """Everyone who has a log, by name, also where only one of the two tables knows it."""
    sql = "SELECT writer FROM writers UNION SELECT writer FROM bar_revisions ORDER BY 1"
    return [str(row[0]) for row in db.execute(sql)]


def rows_after(db: sqlite3.Connection, writer: str, after: int, path: Path) -> Logged | None:
    """The rest of the first segment that has rows above `after`; `None` if there is none.

    Raises:
        DeskError: The segment was altered.
    """
    row = db.execute(
        f"SELECT {_COLUMNS} FROM bar_revisions WHERE writer = ? AND first_seq >= ifnull((SELECT max(first_seq) FROM "
        "bar_revisions WHERE writer = ? AND first_seq <= ?), 0) AND last_seq > ? ORDER BY first_seq LIMIT 1",
        (writer, writer, after + 1, after),
    ).fetchone()
    if row is None:
        return None
    try:
        found = decode(as_stored(row))
    except ValueError as error:
        msg = f"bar store {path}: {error}; `pq verify` names what is wrong, and a backup has the rows as they were"
        raise DeskError(msg) from error
    keep = found.seqs > after
    return found._replace(seqs=found.seqs[keep], rows=found.rows[keep])


def check(db: sqlite3.Connection, writer: str) -> Iterator[Finding]:
    """What is wrong with the writer's log."""
    known = db.execute("SELECT last_seq, hash FROM writers WHERE writer = ?", (writer,)).fetchone()
    end = noted_head(*known) if known is not None else None
    rows = db.execute(f"SELECT {_COLUMNS} FROM bar_revisions WHERE writer = ? ORDER BY first_seq", (writer,))
    yield from check_chain(writer, map(as_stored, rows), end, lags=False)
