"""Checkpoints of the journal: moves the write-ahead log into the file, off the path of the ticks."""

import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sinks.journal_file import beside

RESTART_TRIES: Final = 20
RESTART_PAUSE_S: Final = 0.005


class Checkpoints:
    """A thread with its own connection.

    It first copies what it can without any lock that a writer needs (`PASSIVE`, tens of milliseconds), then resets the
    log (`RESTART`), which holds writers off only for the few rows that came in between. It never waits for a reader
    while it holds them off.
    """

    def __init__(self, path: Path, last_seq: Callable[[], int], after: Callable[[], None], every_s: float) -> None:
        """Start the thread.

        Args:
            path: The file being written.
            last_seq: Last row written; while it stays, there is nothing to do.
            after: Called in the thread after each round.
            every_s: Seconds between rounds.
        """
        self.error: str | None = None
        """What the last round failed with; the rows are safe in the log meanwhile."""
        self._path = path
        self._last_seq = last_seq
        self._after = after
        self._every_s = every_s
        self._done = 0
        self._connection: sqlite3.Connection | None = None
        self._retired: list[sqlite3.Connection] = []
        self._moves: deque[tuple[Path, sqlite3.Connection]] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-checkpoints", daemon=True)
        self._thread.start()

    def follow(self, path: Path, retired: sqlite3.Connection) -> None:
        """Go on with another file; `retired`, the connection to the one before, is emptied and closed by the thread."""
        # Handed over without a lock: the caller has a tick to journal and the thread may be in the middle of a round.
        self._moves.append((path, retired))

    def close(self) -> None:
        """End the thread and empty the log of retired files. The connection in use is the writer's to empty."""
        self._stop.set()
        self._thread.join()
        self._move()
        self._release()
        for connection in self._retired:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            connection.close()
        self._retired.clear()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                self._round()
                self.error = None
            except sqlite3.Error as error:
                # The next append meets the same trouble and stops with its name; this thread only keeps trying.
                self.error = f"{self._path.name}: {error}"
                self._release()
            self._after()

    def _round(self) -> None:
        self._move()
        self._finish_retired()
        last_seq = self._last_seq()
        if last_seq == self._done:
            return
        if self._connection is None:
            # No timeout: whoever is in the way now is retried below, without holding the writer up.
            self._connection = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA synchronous=NORMAL")
        # Twice, since rows came in during the first; what is left for the reset, which holds writers off, is little.
        for _ in range(2):
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        for _ in range(RESTART_TRIES):
            busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            if not busy:
                self._done = last_seq
                return
            if self._stop.wait(RESTART_PAUSE_S):
                return

    def _move(self) -> None:
        while self._moves:
            self._path, retired = self._moves.popleft()
            self._retired.append(retired)
            self._release()

    def _finish_retired(self) -> None:
        waiting = []
        for connection in self._retired:
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                waiting.append(connection)
            else:
                connection.close()
        self._retired = waiting

    def _release(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def tidy(path: Path) -> None:
    """Empty the log that a killed writer left beside a file of an earlier day; a damaged file is left as it is."""
    if not beside(path, "-wal").exists():
        return
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path, timeout=0)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
