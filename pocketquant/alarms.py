"""The supervisor's own alarms: into the log, the ledger, the metrics, and to whom the user named.

Ingest and bars raise theirs themselves, so that they do where no supervisor is (containers).
"""

import time
from collections.abc import Callable
from pathlib import Path

from infra.logs import logger
from infra.metrics import Metrics
from infra.notify import Notifier
from market.errors import DeskError
from sinks.ledger import Event, Ledger


class Alarms:
    """Raises alarms; called by the supervisor's thread, and seldom. Trouble of its own never stops the desk."""

    def __init__(
        self, ledger: Path, notifier: Notifier, metrics: Metrics, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._ledger = ledger
        self._notifier = notifier
        self._metrics = metrics
        self._now_ns = now_ns

    def sound(self, name: str, process: str, text: str) -> None:
        """Raise an alarm about one of the desk's processes."""
        logger().error("alarm", alarm=name, about=process, text=text)
        self._metrics.alerts.labels(alert=name).inc()
        self._notifier.send(f"{name.replace('_', ' ')}: {process}", text)
        try:
            # Opened for this one row: the supervisor holds nothing that a full or failing disk could break.
            with Ledger(self._ledger) as ledger:
                ledger.note_event(Event(self._now_ns(), "error", name, process, text))
        except DeskError as error:
            logger().warning("alarm not in the ledger", alarm=name, reason=str(error))
