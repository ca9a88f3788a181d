"""Alarms: named events for the ledger, the log, the metrics and whoever is to be notified."""

from collections.abc import Callable
from typing import Final, Protocol

from dataflows.ingest.clerk import Clerk, Log
from sinks.ledger import Event
from sinks.ledger_alerts import Level

REPEAT_NS: Final = 60_000_000_000
"""The same alarm about the same thing is raised again after this long at the earliest; the log has each of them."""
REMEMBERED: Final = 4096


class Notify(Protocol):
    """Sends an alarm to where the user wants it."""

    def __call__(self, name: str, text: str) -> object:
        """Send `text`; `name` is what counts as the same alarm."""


class Alarms:
    """Raises alarms, each kind about each thing at most once a minute."""

    def __init__(
        self,
        clerk: Clerk,
        log: Log,
        now_ns: Callable[[], int],
        *,
        count: Callable[[str], object] = lambda _: None,
        notify: Notify = lambda name, text: None,  # noqa: ARG005  # Nobody is to be notified.
    ) -> None:
        """Begin with none raised.

        Args:
            clerk: Writes them into the ledger.
            log: Has all of them.
            now_ns: ns UTC.
            count: Counts each in the metrics, by name.
            notify: Sends each to the user.
        """
        self._clerk = clerk
        self._log = log
        self._now_ns = now_ns
        self._count = count
        self._notify = notify
        self._raised: dict[tuple[str, str, str], int] = {}

    def sound(
        self, name: str, text: str, *, feed: str | None = None, symbol: str | None = None, level: Level = "warning"
    ) -> bool:
        """Raise an alarm; whether it was more than a repetition.

        Args:
            name: `feed_stale`, `symbol_mute`, `clock_skew`, `disk_low`, ...
            text: One sentence.
            feed: What it is about.
            symbol: Likewise.
            level: `info` for the good news that one is over.
        """
        fields = {
            "alarm": name,
            "text": text,
            **({"feed": feed} if feed else {}),
            **({"symbol": symbol} if symbol else {}),
        }
        (self._log.info if level == "info" else self._log.warning)("alarm", **fields)
        now = self._now_ns()
        key = (name, feed or "", symbol or "")
        if now - self._raised.get(key, now - REPEAT_NS) < REPEAT_NS:
            return False
        if len(self._raised) >= REMEMBERED:
            self._raised = {known: at for known, at in self._raised.items() if now - at < REPEAT_NS}
        self._raised[key] = now
        event = Event(now, level, name, "ingest", text, feed, symbol)
        self._clerk.do(lambda ledger: ledger.note_event(event))
        self._count(name)
        if level != "info":
            self._notify(" ".join(part for part in key if part), text)
        return True

    def tell(self, name: str, number: int, text: str) -> None:
        """Count and send on an alarm that is in the ledger already, such as the price alert of this number."""
        self._log.warning("alarm", alarm=name, text=text)
        self._count(name)
        self._notify(f"{name} {number}", text)
