"""Where the breaker library keeps its state: in the book of health, under the desk's clock."""

from collections.abc import Callable
from datetime import UTC, datetime

from pybreaker import STATE_CLOSED, CircuitBreakerStorage

from sinks.health_book import HealthBook


class BookStorage(CircuitBreakerStorage):
    """One provider's breaker. Several processes may stand on one book."""

    def __init__(self, book: HealthBook, provider: str, now_ns: Callable[[], int], within_ns: int) -> None:
        """Keep its state in a book.

        Args:
            book: Which the failures are noted in before the breaker is told of them.
            provider: Its name.
            now_ns: The clock.
            within_ns: Failures count for so long.
        """
        super().__init__("book")
        self._book = book
        self._provider = provider
        self._now_ns = now_ns
        self._within_ns = within_ns

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`."""
        return self._book.health(self._provider).state

    @state.setter
    def state(self, state: str) -> None:
        if state == STATE_CLOSED:
            self._book.forget_failures(self._provider)
        self._book.set_state(self._provider, state, self._now_ns())

    @property
    def counter(self) -> int:
        """Failures that still count."""
        return self._book.failures(self._provider, self._now_ns() - self._within_ns)

    def increment_counter(self) -> None:
        """The failure is in the book already, with its text."""

    def reset_counter(self) -> None:
        """A good answer among failures does not undo them: they are forgotten by their age, or when it closes."""

    @property
    def success_counter(self) -> int:
        """Good answers in a row while half-open."""
        return self._book.health(self._provider).successes

    def increment_success_counter(self) -> None:
        """One more."""
        self._book.count_success(self._provider)

    def reset_success_counter(self) -> None:
        """Begin anew."""
        self._book.clear_successes(self._provider)

    @property
    def opened_at(self) -> datetime | None:
        """When it came into its state."""
        since = self._book.health(self._provider).since
        return None if since is None else datetime.fromtimestamp(since / 1e9, UTC)

    @opened_at.setter
    def opened_at(self, moment: datetime) -> None:
        """Its state's own time says it, by the desk's clock and not by the library's."""
