"""Notifications of alerts by Apprise: to mail, chat or phone. Off until an address is set."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from infra.logs import logger

REPEAT_S: Final = 600.0
"""The same alert is sent again after this long at the earliest; the log has each of them."""

_WAITING: Final = 100


class Sender(Protocol):
    """What sends one notification to all addresses."""

    def notify(self, body: str, title: str) -> object:
        """Send; true in a condition if every address took it."""


class Notifier:
    """Sends alerts from a thread of its own, so that a slow mail server delays nothing. Never raises."""

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        sender: Callable[[Sequence[str]], Sender] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._addresses = list(addresses)
        self._make = sender or _apprise
        self._monotonic = monotonic
        self._sent: dict[str, float] = {}
        self._waiting: queue.Queue[tuple[str, str] | None] = queue.Queue(_WAITING)
        self._thread: threading.Thread | None = None

    def send(self, name: str, text: str) -> bool:
        """Queue one alert; whether it will be sent (not off, not a repeat, room in the queue).

        Args:
            name: The alert's name and what it is about; what counts as the same alert.
            text: One sentence.
        """
        if not self._addresses:
            return False
        now = self._monotonic()
        self._sent = {key: at for key, at in self._sent.items() if now - at < REPEAT_S}
        if name in self._sent:
            return False
        try:
            self._waiting.put_nowait((name, text))
        except queue.Full:
            return False
        self._sent[name] = now
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="notify", daemon=True)
            self._thread.start()
        return True

    def close(self, wait_s: float = 5.0) -> None:
        """Send what waits, for at most `wait_s`."""
        if self._thread is not None:
            with suppress(queue.Full):
                self._waiting.put(None, timeout=wait_s)
            self._thread.join(timeout=wait_s)

    def _work(self) -> None:
        try:
            sender = self._make(self._addresses)
        except Exception:  # noqa: BLE001  # Whatever a notification library throws, the desk goes on.
            logger().exception("notifications are off: an address is unusable")
            return
        while (item := self._waiting.get()) is not None:
            name, text = item
            try:
                if not sender.notify(body=text, title=f"PocketQuant: {name}"):
                    logger().warning("notification refused", alert=name)
            except Exception:  # noqa: BLE001  # As above.
                logger().exception("notification failed", alert=name)


def _apprise(addresses: Sequence[str]) -> Sender:
    """Apprise with these addresses; imported here, since it costs a third of a second that most desks never need."""
    import apprise

    sender = apprise.Apprise()
    for place, address in enumerate(addresses, 1):
        if not sender.add(address):
            msg = f"notify address {place} of {len(addresses)} is none that Apprise knows"
            raise ValueError(msg)
    made: Sender = sender
    return made
