"""The clerk writes into the ledger, in a thread of its own: the ledger may have to be waited for."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from market.errors import DeskError
from sinks.ledger import Ledger, Reject

WORK_MAX: Final = 10_000
"""Pieces of work that may wait; beyond it the oldest is lost, and counted."""
REJECTS_MAX: Final = 50_000
"""Rejects that may wait; beyond it they are only counted, as one reject `not_kept`."""
RETRY_S: Final = 1.0

Work = Callable[[Ledger], object]


class Log(Protocol):
    """What a process writes its log with: an event and its fields."""

    def debug(self, event: str, **fields: object) -> object:
        """Of use to a developer."""

    def info(self, event: str, **fields: object) -> object:
        """As expected."""

    def warning(self, event: str, **fields: object) -> object:
        """Not as expected."""

    def error(self, event: str, **fields: object) -> object:
        """Something is lost or stops."""

    def exception(self, event: str, **fields: object) -> object:
        """As `error`, with the exception being handled."""


class Clerk:
    """Does work on the ledger in order, and again after a moment if the ledger cannot be written just then."""

    def __init__(self, ledger: Ledger, log: Log, *, retry_s: float = RETRY_S) -> None:
        """Begin to work.

        Args:
            ledger: A connection of its own; closed by its owner.
            log: Where trouble goes.
            retry_s: Pause before what failed is tried again.
        """
        self.last_error = ""
        self.lost = 0
        """Pieces of work given up because too many waited."""
        self._ledger = ledger
        self._log = log
        self._retry_s = retry_s
        self._wake = threading.Condition()
        self._work: deque[Work] = deque()
        self._rejects: list[Reject] = []
        self._uncounted = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="clerk", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """How much waits."""
        return len(self._work) + len(self._rejects)

    def do(self, work: Work) -> None:
        """Have something done; it is called with the ledger and may be called again if it fails."""
        with self._wake:
            if len(self._work) >= WORK_MAX:
                self._work.popleft()
                self.lost += 1
            self._work.append(work)
            self._wake.notify()

    def reject(self, reject: Reject) -> None:
        """Have a reject noted."""
        with self._wake:
            if len(self._rejects) >= REJECTS_MAX:
                self._uncounted += 1
            else:
                self._rejects.append(reject)
            self._wake.notify()

    def close(self, timeout_s: float = 5.0) -> None:
        """Do what waits, for at most `timeout_s`, and end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not (self._work or self._rejects or self._stopping):
                    self._wake.wait()
                if not self._work and not self._rejects:
                    return
                work = self._work.popleft() if self._work else None
                rejects, self._rejects = self._rejects, []
                uncounted, self._uncounted = self._uncounted, 0
            if uncounted:
                last = rejects[-1]
                rejects.append(last._replace(reason="not_kept", detail=f"{uncounted} more came than could be noted"))
            if not self._try(work, rejects):
                # Also while it is to end: `close` knows how long that may take.
                with self._wake:
                    self._wake.wait_for(lambda: False, self._retry_s)

    def _try(self, work: Work | None, rejects: list[Reject]) -> bool:
        """Do one piece of work and note rejects; put back what failed."""
        try:
            if work is not None:
                work(self._ledger)
                work = None
            if rejects:
                self._ledger.reject_many(rejects)
        except DeskError as error:
            if str(error) != self.last_error:
                self._log.error("ledger cannot be written", reason=str(error))
            self.last_error = str(error)
            with self._wake:
                if work is not None:
                    self._work.appendleft(work)
                self._rejects = rejects + self._rejects
            return False
        self.last_error = ""
        return True
