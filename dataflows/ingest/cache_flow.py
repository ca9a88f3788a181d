"""The dataflow to the cache, run in a thread beside the network's; if it fails it is begun again."""

import threading
from collections.abc import Callable
from typing import Final

from bytewax.dataflow import Dataflow
from bytewax.testing import run_main

from dataflows.ingest.clerk import Log
from dataflows.ingest.mailbox import Mailbox

PAUSE_S: Final = 1.0


class CacheFlow:
    """Runs a dataflow from the mailbox until the mailbox is stopped."""

    def __init__(self, make: Callable[[], Dataflow], mailbox: Mailbox, log: Log) -> None:
        """Begin.

        Args:
            make: Builds the dataflow; again after each failure.
            mailbox: Its input; stopping it ends the dataflow.
            log: Where failures go.
        """
        self.failures = 0
        self._make = make
        self._mailbox = mailbox
        self._log = log
        self._thread = threading.Thread(target=self._run, name="cache-flow", daemon=True)
        self._thread.start()

    def close(self, timeout_s: float = 5.0) -> None:
        """Let it write what is in the mailbox, and end it."""
        self._mailbox.stop()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            self._mailbox.begin()
            try:
                run_main(self._make())  # type: ignore[no-untyped-call]  # Bytewax's, in part untyped.
            except Exception:  # noqa: BLE001  # Quotes are shown late then; what matters is journaled elsewhere.
                self.failures += 1
                self._log.exception("cache flow failed, and is begun again")
            if self._mailbox.stopped.wait(PAUSE_S):
                return
