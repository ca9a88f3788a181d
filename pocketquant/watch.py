"""The desk's watch: raises the supervisor's alerts and the users' price alerts, and sends every alert on."""

import threading
import time
from contextlib import suppress
from typing import Final

from infra.logs import logger
from infra.metrics import Metrics
from infra.notify import Notifier
from infra.settings import Settings
from market.errors import DeskError
from pocketquant.cache import Cache, CacheAway
from pocketquant.price_watch import reached
from sinks.ledger import Event, Ledger

EVERY_S: Final = 1.0


class Watch:
    """Looks once a second, from a thread of its own. Trouble of its own is logged and never stops the desk."""

    def __init__(self, settings: Settings, notifier: Notifier, metrics: Metrics) -> None:
        self._settings = settings
        self._notifier = notifier
        self._metrics = metrics
        self._cache = Cache(settings.redis)
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
        self._cache.close()

    def note(self, name: str, process: str, text: str) -> None:
        """Raise an alert about one of the desk's processes, from any thread."""
        self._raise(Event(time.time_ns(), "error", name, process, text))

    def _raise(self, event: Event) -> None:
        logger(symbol=event.symbol).warning("alert", alert=event.name, about=event.process, text=event.text)
        with suppress(DeskError), Ledger(self._settings.folders.desk) as ledger:
            ledger.note_event(event)

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
            self._check_prices(ledger)
            for event in reversed(ledger.events(after=self._seen)):
                self._seen = event.id
                self._metrics.alerts.labels(alert=event.name).inc()
                about = event.symbol or event.feed or event.process
                self._notifier.send(f"{event.name.replace('_', ' ')}: {about}", event.text)
        except DeskError as error:
            logger().warning("watch could not look", reason=str(error))

    def _check_prices(self, ledger: Ledger) -> None:
        alerts = ledger.price_alerts(armed=True)
        if not alerts:
            return
        symbols = sorted({alert.symbol for alert in alerts})
        try:
            forming = self._cache.forming(symbols)
            last = {quote.symbol: quote.last for quote in self._cache.quotes(symbols)}
        except CacheAway:
            return
        for alert, price in reached(alerts, forming, last):
            now = time.time_ns()
            # Disarmed first: an alert that is lost in a crash beats one that comes for ever.
            if ledger.fire_price_alert(alert.id, now):
                text = f"{alert.symbol} traded at {price!r}: at or {alert.side} {alert.price!r}"
                self._raise(Event(now, "info", "price_alert", "supervisor", text, symbol=str(alert.symbol)))
