"""The book of backups and drills: what was done, how long it took, and what it found."""

from typing import Any, ClassVar, NamedTuple

from sinks.history_book import HistoryBook

KEPT = 2_000
"""Newest entries that stay."""


class Drilled(NamedTuple):
    """One drill."""

    backup: str
    began_at: int
    """ns."""
    seconds: float
    collections: int
    bytes: int
    trouble: str
    """What differed, as a sentence; empty if nothing did."""


class Made(NamedTuple):
    """One backup."""

    backup: str
    where: str
    began_at: int
    """ns."""
    seconds: float
    files: int
    bytes: int
    """Of all files."""
    written: int
    """Bytes that were new at the place."""
    trouble: str
    """Why it failed, as a sentence; empty if it did not."""


class BackupBook(HistoryBook):
    """Bounded: the newest 2,000 of each kind."""

    TABLES: ClassVar[str] = """
CREATE TABLE IF NOT EXISTS backups_made(
  id INTEGER PRIMARY KEY AUTOINCREMENT, backup TEXT NOT NULL, place TEXT NOT NULL, began_at INTEGER NOT NULL,
  seconds REAL NOT NULL, files INTEGER NOT NULL, bytes INTEGER NOT NULL, written INTEGER NOT NULL,
  trouble TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS drills(
  id INTEGER PRIMARY KEY AUTOINCREMENT, backup TEXT NOT NULL, began_at INTEGER NOT NULL, seconds REAL NOT NULL,
  collections INTEGER NOT NULL, bytes INTEGER NOT NULL, trouble TEXT NOT NULL);
"""

    def note_backup(self, made: Made) -> None:
        """Write a backup down."""
        self._note("backups_made(backup, place, began_at, seconds, files, bytes, written, trouble)", made)

    def note_drill(self, drilled: Drilled) -> None:
        """Write a drill down."""
        self._note("drills(backup, began_at, seconds, collections, bytes, trouble)", drilled)

    def made(self, limit: int = 100) -> list[Made]:
        """Backups, newest first."""
        rows = self.read(
            "SELECT backup, place, began_at, seconds, files, bytes, written, trouble FROM backups_made"
            " ORDER BY id DESC LIMIT ?",
            (limit,),
        )
        return [Made(*row) for row in rows]

    def drills(self, limit: int = 100) -> list[Drilled]:
        """Drills, newest first."""
        rows = self.read(
            "SELECT backup, began_at, seconds, collections, bytes, trouble FROM drills ORDER BY id DESC LIMIT ?",
            (limit,),
        )
        return [Drilled(*row) for row in rows]

    def _note(self, into: str, values: tuple[Any, ...]) -> None:
        marks = ", ".join("?" * len(values))
        table = into.partition("(")[0]
        with self.transaction() as connection:
            connection.execute(f"INSERT INTO {into} VALUES({marks})", values)
            connection.execute(
                f"DELETE FROM {table} WHERE id <= (SELECT max(id) FROM {table}) - ?",
                (KEPT,),
            )
