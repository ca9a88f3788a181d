"""A consistent copy of an SQLite file that others are writing to, and what is in one, table by table."""

import hashlib
import marshal
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from market.errors import DeskError

_ROWS: Final = 5_000
_MARGIN_BYTES: Final = 64 << 20
_BUSY_S: Final = 30.0
_MARSHAL: Final = 2
"""A format without references to objects: equal rows give equal bytes, in every version of Python."""
_NULL: Final = re.compile(r"NULL value in (\w+)\.(\w+)")


class Held(NamedTuple):
    """What a table or collection holds."""

    name: str
    rows: int
    sha256: str
    """Of all rows in the order of their key, hex."""


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database by SQLite's own means: one moment of it, whatever is written meanwhile.

    Raises:
        DeskError: It is damaged, locked for 30 s, or the disk has no room for the copy.
    """
    wanted = source.stat().st_size + _MARGIN_BYTES
    free = shutil.disk_usage(target.parent).free
    if free < wanted:
        msg = (
            f"{source} is to be copied before it is backed up, and its disk has {free >> 20} MiB left of "
            f"{wanted >> 20} MiB needed: make room"
        )
        raise DeskError(msg)
    address = f"file:{quote(str(source))}?mode=ro"
    try:
        with (
            closing(sqlite3.connect(address, uri=True, timeout=_BUSY_S)) as held,
            closing(sqlite3.connect(target, isolation_level=None)) as copy,
        ):
            # In one step: in several, each write of another process would begin it anew.
            held.backup(copy, pages=-1)
    except sqlite3.Error as error:
        target.unlink(missing_ok=True)
        msg = f"{source} cannot be copied: {error}; `pq verify` looks for damage"
        raise DeskError(msg) from error


def tables(path: Path) -> list[Held]:
    """Each table's rows and their hash, by name.

    Raises:
        DeskError: The file is damaged.
    """
    found = []
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as held:
            names = [
                name
                for (name,) in held.execute(
                    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
                )
            ]
            for name in names:
                digest, count = hashlib.sha256(), 0
                # Both kinds of table come in the order of their key when nothing else is asked for.
                cursor = held.execute(f'SELECT * FROM "{name}"')
                while rows := cursor.fetchmany(_ROWS):
                    count += len(rows)
                    for row in rows:
                        digest.update(marshal.dumps(row, _MARSHAL))
                found.append(Held(name, count, digest.hexdigest()))
    except sqlite3.Error as error:
        msg = f"{path} cannot be read: {error}"
        raise DeskError(msg) from error
    return found


def check_sqlite(path: Path, original: Path | None = None) -> None:
    """Return if SQLite finds a database in order.

    Args:
        path: The file.
        original: What it is a copy of, for the error.

    Raises:
        DeskError: It does not.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as held:
            said = _fault(held)
    except sqlite3.Error as error:
        said = str(error)
    if said:
        lines = " ".join(str(said).split())
        msg = f"{original or path} is damaged: {lines}"
        raise DeskError(msg)


def _fault(held: sqlite3.Connection) -> str:
    """The first thing that is wrong with a database; empty if nothing is."""
    (said,) = held.execute("PRAGMA quick_check(1)").fetchone()
    if not _unfounded(held, said):
        return "" if said == "ok" else str(said)
    # The trees were looked at before that, so they are in order; the rows of each table are looked at by themselves, or
    # the false alarms of one would hide what is wrong with another.
    names = held.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").fetchall()
    for (name,) in names:
        for (line,) in held.execute(f"PRAGMA quick_check('{name}')"):
            if line != "ok" and not _unfounded(held, line):
                return str(line)
    return ""


def _unfounded(held: sqlite3.Connection, said: str) -> bool:
    """Whether SQLite reports a NULL that is not there.

    Versions 3.40.0 to 3.41.0, of which Debian 12 has one, see NULLs in tables WITHOUT ROWID whose key is not the first
    columns. (Source: measured with 3.40.1; the rows that it complains of hold numbers.)
    """
    found = _NULL.fullmatch(said)
    if found is None:
        return False
    table, column = found.groups()
    # By its type: what `IS NULL` says of a column that is declared NOT NULL, SQLite does not look up.
    (is_there,) = held.execute(
        f"""SELECT EXISTS (SELECT 1 FROM "{table}" WHERE typeof("{column}") = 'null')"""
    ).fetchone()
    return not is_there
