"""The recovery store of a dataflow: its folder, its lock, and what is wrong with it if something is.

Bytewax has no lock: two processes on one store overwrite each other's progress. It panics on a damaged one. Both are
looked at here, before it runs.
"""

import fcntl
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, Self

from bytewax.recovery import RecoveryConfig, init_db_dir

from market.errors import DeskError

PARTITIONS: Final = 4
"""Fixed when a store is made; recovery data."""

_ROOM_BYTES: Final = 1 << 16
"""On a disk with less than this SQLite fails in ways that look like damage."""
_ASIDE: Final = "new"
BARS: Final = "bars of one data folder are made"
"""What the bars dataflow does, for errors."""
ANEW: Final = "bars are then made anew from the journal"
"""What it does without a recovery store."""


class Recovery:
    """The recovery store, held by this process alone until `close` or the process ends, however it ends."""

    def __init__(self, folder: Path, does: str = BARS, anew: str = ANEW) -> None:
        """Lock the folder, make the store if there is none, and look through its files.

        Args:
            folder: Its place.
            does: What its dataflow does, for errors: "bars of one data folder are made".
            anew: What its dataflow does without it, for errors.

        Raises:
            DeskError: Another process holds it, or a file of it is damaged or missing.
        """
        self.folder = folder
        self._does = does
        self._remedy = f"move the folder away and start again: {anew}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            msg = f"recovery folder {folder} cannot be written: {error.strerror or error}; mend its permissions"
            raise DeskError(msg) from error
        try:
            self._take()
            self._check()
        except BaseException:
            os.close(self._lock)
            raise
        self.config = RecoveryConfig(str(folder))  # type: ignore[no-untyped-call]
        """To be given to Bytewax."""

    def _take(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._lock, 20, 0).decode(errors="replace").strip() or "unknown"
            msg = (
                f"recovery folder {self.folder} is in use by process {holder}: {self._does} by one process at "
                "a time; stop the other with `pq down`, or name another --data-dir"
            )
            raise DeskError(msg) from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _check(self) -> None:
        expected = [self.folder / f"part-{place}.sqlite3" for place in range(PARTITIONS)]
        there = [path for path in expected if path.exists()]
        if not there or (self.folder / _ASIDE).exists():
            self._make(expected)
            return
        for path in expected:
            if path not in there:
                msg = f"recovery store {self.folder} lacks its file {path.name}: {self._remedy}"
                raise DeskError(msg)
            why = _fault(path)
            if why and shutil.disk_usage(self.folder).free <= _ROOM_BYTES:
                msg = f"recovery store {self.folder} cannot be used, since its disk is full: make room"
                raise DeskError(msg)
            if why:
                msg = f"recovery store {self.folder} is damaged in {path.name} ({why}): {self._remedy}"
                raise DeskError(msg)

    def _make(self, expected: list[Path]) -> None:
        """Make an empty store aside and move it in; the folder aside goes last, so that a half-made one is known."""
        aside = self.folder / _ASIDE
        try:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            init_db_dir(aside, PARTITIONS)  # type: ignore[no-untyped-call]
            for path in expected:
                (aside / path.name).replace(path)
            aside.rmdir()
        except (OSError, RuntimeError) as error:
            msg = f"recovery store {self.folder} cannot be made: {error}; mend its permissions, or free space"
            raise DeskError(msg) from error

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _fault(path: Path) -> str | None:
    """What is wrong with a partition's file; None if nothing is."""
    try:
        with closing(sqlite3.connect(path)) as store:
            found = store.execute("PRAGMA quick_check(1)").fetchone()[0]
            tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        return str(error)
    if found != "ok":
        return str(found).splitlines()[0]
    missing = {"snaps", "commits", "parts"} - tables
    return f"no table {min(missing)}" if missing else None
