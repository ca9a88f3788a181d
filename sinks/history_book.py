"""The file in which history keeps its books: each book is a class with tables of its own in `history.sqlite`."""

import sqlite3
from typing import ClassVar

from sinks.ledger_file import LedgerFile


class HistoryBook(LedgerFile):
    """A connection to `history.sqlite` that makes the tables of its book if they are not there.

    Like the desk's ledger it may be open in several processes and threads; each transaction takes milliseconds.
    """

    SCHEMA: ClassVar[str] = ""
    """No tables of its own: each book brings its."""
    TABLES: ClassVar[str] = ""
    """`CREATE TABLE IF NOT EXISTS ...` statements, each ended by a semicolon. A change of a table that is out in the
    world is a migration, not an edit."""

    def _open(self) -> sqlite3.Connection:
        connection = super()._open()
        if self.TABLES and not self._read_only:
            try:
                connection.executescript(f"BEGIN IMMEDIATE;{self.TABLES}COMMIT;")
            except BaseException:
                connection.close()
                raise
        return connection
