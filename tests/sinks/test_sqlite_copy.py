"""Whether a database is in order: what is damaged is said, and what is not is never called damaged."""

import sqlite3
from contextlib import closing

import pytest

from market.errors import DeskError
from sinks.sqlite_copy import check_sqlite
from sinks.sqlite_file import SCHEMA

ROW = (1, 60, 1.5, 1.5, 1.5, 1.5, 1.5, None, 3, 1, 1, 1, 9)
INSERT = f"INSERT INTO superseded VALUES ({', '.join('?' * len(ROW))})"


@pytest.fixture
def bars(tmp_path):
    """A store of bars with an amended one."""
    path = tmp_path / "bars.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(SCHEMA)
        db.execute(INSERT, ROW)
        db.commit()
    return path


def test_amended_bars_are_no_damage(bars):
    """SQLite 3.40 sees NULLs in such a table where there are none; each backup of a desk would fail."""
    check_sqlite(bars)


def test_a_null_that_is_there_is_found(bars):
    """Behind the false alarms of another table, too."""
    with closing(sqlite3.connect(bars)) as db:
        db.execute("CREATE TABLE zebra (id INTEGER PRIMARY KEY, name TEXT)")
        db.execute("INSERT INTO zebra VALUES (1, NULL)")
        db.execute("PRAGMA writable_schema = ON")
        db.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'name TEXT', 'name TEXT NOT NULL') WHERE name = 'zebra'"
        )
        db.commit()
    with pytest.raises(DeskError, match=r"bars\.sqlite is damaged: NULL value in zebra\.name"):
        check_sqlite(bars)


def test_a_page_that_was_overwritten_is_found(bars):
    """Whatever SQLite says of other tables."""
    with bars.open("r+b") as file:
        size = file.seek(0, 2)
        assert size > 3 * 4096
        file.seek(size - 4096)
        file.write(b"\xa5" * 4096)
    with pytest.raises(DeskError, match=r"bars\.sqlite is damaged"):
        check_sqlite(bars)
