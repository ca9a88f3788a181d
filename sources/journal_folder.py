"""The journal's folder as its readers see it: which day's file holds what, and which cannot be read at all."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from market.errors import DeskError
from market.journal_rows import DAY_FILE
from sources.journal_file import DayFile, FileGone, Unreadable


class JournalFolder:
    """Finds and opens the files of a journal, which come and go while it is read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.unreadable: dict[str, str] = {}
        """Files that are no database any more, by name, and what SQLite says of them."""

    def names(self) -> list[str]:
        """Names of the files, oldest first; none where there is no folder yet."""
        try:
            return sorted(name for name in os.listdir(self._folder) if DAY_FILE.fullmatch(name))  # noqa: PTH208
        except FileNotFoundError:
            return []

    def files(self) -> Iterator[DayFile]:
        """Yield the files that can be opened, oldest first, each to be closed by the caller."""
        for name in self.names():
            file = self._open(name)
            if file is not None:
                yield file

    def find(self, after: int) -> DayFile | None:
        """The file in which the row after `after` is or will be; the oldest if that row has been removed."""
        oldest = None
        for name in reversed(self.names()):
            file = self._open(name)
            if file is None:
                continue
            if oldest is not None:
                oldest.close()
            if file.spans_from()[1] <= after:
                return file
            oldest = file
        if oldest is None:
            self._stop_if_unreadable(self.names())
        return oldest

    def after(self, name: str) -> DayFile | None:
        """The next file that can be opened; None where `name` is the newest.

        Raises:
            DeskError: There are newer files and none can be read.
        """
        newer = [other for other in self.names() if other > name]
        for other in newer:
            file = self._open(other)
            if file is not None:
                return file
        self._stop_if_unreadable(newer)
        return None

    def newest(self) -> DayFile | None:
        """The newest file; None where there is none.

        Raises:
            DeskError: It cannot be read.
        """
        names = self.names()
        file = self._open(names[-1]) if names else None
        if file is None:
            self._stop_if_unreadable(names[-1:])
        return file

    @contextlib.contextmanager
    def naming(self, file: DayFile) -> Iterator[None]:
        """Turn an error about what is in a file into one that names it."""
        try:
            yield
        except (sqlite3.Error, ValueError) as error:
            msg = f"journal file {file.path} cannot be read: {error}; restore it from a backup or move it away"
            raise DeskError(msg) from error

    def _open(self, name: str) -> DayFile | None:
        try:
            return DayFile(self._folder / name)
        except FileGone:
            return None
        except Unreadable as error:
            self.unreadable[name] = str(error)
            return None

    def _stop_if_unreadable(self, names: list[str]) -> None:
        for name in names:
            if name in self.unreadable:
                msg = (
                    f"journal file {self._folder / name} cannot be read: {self.unreadable[name]}; "
                    "restore it from a backup or move it away"
                )
                raise DeskError(msg)
