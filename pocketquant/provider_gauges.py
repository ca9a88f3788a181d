"""What providers of history have left, and how they are, on the supervisor's page of metrics."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from infra.logs import logger
from infra.metrics import Metrics
from infra.settings import Settings
from market.errors import DeskError

if TYPE_CHECKING:
    from history.desk import HistoryDesk
    from history.standing import Books

_EVERY_S: Final = 5.0


class ProviderGauges:
    """Read from the books of history every few seconds; there may be none yet."""

    def __init__(self, settings: Settings, metrics: Metrics, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Nothing is opened yet.

        Args:
            settings: Of the desk.
            metrics: Where the figures go.
            monotonic: Seconds of a clock that never falls.
        """
        self._settings = settings
        self._metrics = metrics
        self._monotonic = monotonic
        self._next = 0.0
        self._desk: HistoryDesk | None = None
        self._books: Books | None = None

    def update(self) -> None:
        """Read anew, if it is time."""
        if self._monotonic() < self._next:
            return
        self._next = self._monotonic() + _EVERY_S
        try:
            self._read()
        except DeskError as error:
            # The desk runs on without these figures; who asks for history is told of the same trouble.
            logger().warning("provider figures unreadable", reason=str(error))

    def close(self) -> None:
        """Let go of the books."""
        if self._books is not None:
            self._books.close()

    def _read(self) -> None:
        if not self._settings.folders.history.is_file():
            return
        from history.desk import HistoryDesk
        from history.standing import Books, spendings, standings

        if self._desk is None or self._books is None:
            self._desk = HistoryDesk(self._settings)
            self._books = Books.of(self._desk)
        for one in standings(self._desk, self._books):
            if one.available:
                self._metrics.provider_up.labels(provider=one.provider).set(one.until is None)
        for spent in spendings(self._desk, self._books):
            self._metrics.provider_calls_today.labels(provider=spent.provider).set(spent.calls_today)
            if spent.left is not None:
                self._metrics.provider_left.labels(provider=spent.provider, limit=spent.window).set(spent.left)
