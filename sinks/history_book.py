"""The file in which history keeps its books: each book is a class with tables of its own in `history.sqlite`."""

import re
import sqlite3
from typing import ClassVar, Final

from sinks.ledger_file import LedgerFile

_TABLE: Final = re.compile(r"\s*CREATE TABLE IF NOT EXISTS (\w+)")


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
        try:
            if self._read_only:
                self._stand_in(connection)
            elif self.TABLES:
                connection.executescript(f"BEGIN IMMEDIATE;{self.TABLES}COMMIT;")
        except BaseException:
            connection.close()
            raise
        return connection

    def _stand_in(self, connection: sqlite3.Connection) -> None:
        """On a read-only disk a table that was never made is one without rows, in memory."""
        held = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
        connection.execute("PRAGMA temp_store=MEMORY")
        for statement in self.TABLES.split(";"):
            made = _TABLE.match(statement)
            if made is not None and made[1] not in held:
                connection.execute(statement.replace("CREATE TABLE", "CREATE TEMP TABLE", 1))
