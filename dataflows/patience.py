"""Waiting for a store that is away: with backoff and jitter, as long as it takes or until the process is to end."""

import random
import threading
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from sinks.bar_store import StoreAway
from sinks.ledger_alerts import Level

BACKOFF_S: Final = (0.1, 10.0)
"""First and longest pause; between half of it and all of it is waited."""

_T = TypeVar("_T")


class Report(Protocol):
    """Tells the desk of something: the log, the ledger's events, a notification."""

    def __call__(self, level: Level, name: str, text: str) -> object:
        """Take note; from any thread.

        Args:
            level: How bad it is.
            name: The alert's, `store_away`.
            text: One sentence.
        """


class Waiting(Protocol):
    """Where it is written down that the store is away."""

    store_state: str
    """`up`, or `away` while it is waited for."""
    store_retries: int
    store_error: str
    """Why the store was away last."""


class Patience:
    """Calls the store until it answers. For one thread."""

    def __init__(
        self,
        *,
        stop: threading.Event,
        progress: Waiting,
        report: Report,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Describe how to wait.

        Args:
            stop: Ends a wait when set.
            progress: Told of the store's state and the retries.
            report: Told when the store goes away and when it is back.
            jitter: In [0, 1).
        """
        self._stop = stop
        self._progress = progress
        self._report = report
        self._jitter = jitter

    def __call__(self, call: Callable[[], _T]) -> _T:
        """What `call` returns, once the store is there.

        Raises:
            StoreAway: `stop` was set while it was away.
            DeskError: The store has trouble that waiting does not end.
        """
        pause, longest = BACKOFF_S
        progress = self._progress
        while True:
            try:
                result = call()
            except StoreAway as error:
                if progress.store_state != "away":
                    self._report("error", "store_away", str(error))
                progress.store_state = "away"
                progress.store_error = str(error)
                progress.store_retries += 1
                if self._stop.wait(pause * (0.5 + 0.5 * self._jitter())):
                    raise
                pause = min(2 * pause, longest)
            else:
                if progress.store_state == "away":
                    progress.store_state = "up"
                    self._report(
                        "info", "store_back", f"the bar store answers again after {progress.store_retries} tries"
                    )
                return result
