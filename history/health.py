"""The circuit breaker: a provider that fails is left alone for a while, then tried, and asked again once it answers.

Five failures within a minute open it; after 30 s it is half-open, and calls are let through to try; three good answers
in a row close it, one failure opens it again. Its state is in a book, so it is the same for all processes, and a
restart does not forget it.
"""

from contextlib import suppress
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING, Final

from history.moments import iso
from sinks.health_book import HealthBook
from sources.history.provider import KeyRefused, ProviderAway, ProviderError

if TYPE_CHECKING:
    from pybreaker import CircuitBreaker

    from history.desk import HistoryDesk

FAILURES: Final = 5
WITHIN_NS: Final = 60 * 10**9
REST_NS: Final = 30 * 10**9
SUCCESSES: Final = 3

_REFUSED_NS: Final = 86_400 * 10**9
"""A key that was refused for something is not tried on it for so long; plans change, and no one tells us."""
_ANSWER_NOTED_NS: Final = 10 * 10**9


class Resting(ProviderAway):
    """The breaker is open: nothing was called."""

    def __init__(self, text: str, until_ns: int) -> None:
        """Say until when, ns."""
        super().__init__(text)
        self.until_ns = until_ns


class Breakers:
    """The health of all providers. May be used by several threads."""

    def __init__(self, desk: "HistoryDesk", book: HealthBook) -> None:
        """Keep a book.

        Args:
            desk: Whose clock holds.
            book: Closed with this.
        """
        self.book = book
        self._desk = desk
        self._guard = Lock()
        self._breakers: dict[str, CircuitBreaker] = {}
        self._noted: dict[str, int] = {}

    def admit(self, name: str) -> None:
        """Return if the provider may be asked.

        Raises:
            Resting: It failed too often, and has not rested long enough.
        """
        health = self.book.health(name)
        if health.state != "open":
            return
        until = self.rests_until(name)
        if self._desk.now_ns() < until:
            msg = f"{name} is left alone until {iso(until)}, having failed {FAILURES} times in a minute: "
            msg += health.last_error
            raise Resting(msg, until)
        self._breaker(name).half_open()

    def rests_until(self, name: str) -> int:
        """When a provider that is left alone may be tried, ns; 0 if it is not left alone."""
        health = self.book.health(name)
        return (health.since or 0) + REST_NS if health.state == "open" else 0

    def answered(self, name: str) -> None:
        """It gave a good answer."""
        self._report(name, None)
        now = self._desk.now_ns()
        if abs(now - self._noted.get(name, 0)) >= _ANSWER_NOTED_NS:
            self._noted[name] = now
            self.book.note_answer(name, now)

    def failed(self, name: str, error: ProviderError) -> None:
        """It did not answer, or not in words that can be read."""
        self.book.note_failure(name, self._desk.now_ns(), str(error))
        self._report(name, error)

    def complained(self, name: str, error: ProviderError) -> None:
        """It answered well, and would not give something: its health is fine."""
        self.book.note_error(name, self._desk.now_ns(), str(error))
        self._report(name, None)

    def refused(self, name: str, key: str, what: str, error: KeyRefused) -> None:
        """It refused our key for something: that is not asked for again with this key today."""
        self.complained(name, error)
        self.book.refuse(name, fingerprint(key), what, self._desk.now_ns(), str(error))

    def check_key(self, name: str, key: str, what: str) -> None:
        """Return if the key was not refused for this.

        Raises:
            KeyRefused: It was, in the last 24 hours; nothing was called.
        """
        text = self.book.refusal(name, fingerprint(key), what, self._desk.now_ns() - _REFUSED_NS)
        if text is not None:
            raise KeyRefused(text)

    def close(self) -> None:
        """Let go of the book."""
        self.book.close()

    def _report(self, name: str, error: ProviderError | None) -> None:
        """Let the breaker decide what an outcome means. It sees outcomes only, so its lock is held for no call."""
        from pybreaker import CircuitBreakerError

        with suppress(CircuitBreakerError, ProviderError):
            self._breaker(name).call(_outcome, error)

    def _breaker(self, name: str) -> "CircuitBreaker":
        from pybreaker import CircuitBreaker

        from history.breaker_storage import BookStorage

        with self._guard:
            found = self._breakers.get(name)
            if found is None:
                found = self._breakers[name] = CircuitBreaker(
                    fail_max=FAILURES,
                    reset_timeout=REST_NS / 1e9,
                    success_threshold=SUCCESSES,
                    state_storage=BookStorage(self.book, name, self._desk.now_ns, WITHIN_NS),
                    name=name,
                )
            return found


def fingerprint(key: str) -> str:
    """A few digits by which a key is known again, and from which it cannot be had."""
    return blake2b(key.encode(), digest_size=8).hexdigest()


def _outcome(error: ProviderError | None) -> None:
    if error is not None:
        raise error
