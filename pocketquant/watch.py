"""The desk's watch: notes the supervisor's alerts, and sends on those of every process."""

import threading
import time
from contextlib import suppress
from typing import Final

from infra.logs import logger
from infra.metrics import Metrics
from infra.notify import Notifier
from infra.settings import Settings
from market.errors import DeskError
from sinks.ledger import Event, Ledger

EVERY_S: Final = 1.0


class Watch:
    """Looks once a second, from a thread of its own. Trouble of its own is logged and never stops the desk."""

    def __init__(self, settings: Settings, notifier: Notifier, metrics: Metrics) -> None:
        self._settings = settings
        self._notifier = notifier
        self._metrics = metrics
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._seen = 0

    def start(self) -> None:
        """Begin to watch; alerts raised before are not sent again."""
        with Ledger(self._settings.folders.desk) as ledger:
            newest = ledger.events(1)
            self._seen = newest[0].id if newest else 0
        self._thread.start()

    def close(self) -> None:
        """Look once more, and stop."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def note(self, name: str, process: str, text: str) -> None:
        """Raise an alert about one of the desk's processes, from any thread."""
        logger().warning("alert", alert=name, about=process, text=text)
        with suppress(DeskError), Ledger(self._settings.folders.desk) as ledger:
            ledger.note_event(Event(time.time_ns(), "error", name, process, text))

    def _run(self) -> None:
        try:
            with Ledger(self._settings.folders.desk) as ledger:
                while not self._stop.wait(EVERY_S):
                    self._look(ledger)
                self._look(ledger)
        except Exception:  # noqa: BLE001  # The desk goes on; its alerts are still in the ledger.
            logger().exception("watch ended")

    def _look(self, ledger: Ledger) -> None:
        try:
            for event in reversed(ledger.events(after=self._seen)):
                self._seen = event.id
                self._metrics.alerts.labels(alert=event.name).inc()
                about = event.symbol or event.feed or event.process
                self._notifier.send(f"{event.name.replace('_', ' ')}: {about}", event.text)
        except DeskError as error:
            logger().warning("watch could not look", reason=str(error))
