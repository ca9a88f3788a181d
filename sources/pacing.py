"""How often: the pause before the next attempt, the rate of what is sent, and what a server's Retry-After asks for."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

RETRY_AFTER_MAX_S: Final = 900.0
"""A longer Retry-After is cut to this, so that a broken header does not silence a feed for good."""


class Backoff:
    """Exponential backoff with full jitter: a random share of 1, 2, 4, ... 60 seconds."""

    def __init__(
        self,
        random: Callable[[], float],
        *,
        first_s: float = 1.0,
        longest_s: float = 60.0,
        stable_s: float = 60.0,
    ) -> None:
        """Begin without a failure.

        Args:
            random: Draws from [0, 1).
            first_s: Upper end of the first pause.
            longest_s: Upper end of any pause.
            stable_s: A connection that stood this long begins the count anew.
        """
        self._random = random
        self._first_s = first_s
        self._longest_s = longest_s
        self._stable_s = stable_s
        self._failures = 0

    @property
    def failures(self) -> int:
        """How many in a row."""
        return self._failures

    def failed(self, stood_s: float = 0.0) -> float:
        """Count one failure.

        Args:
            stood_s: How long the connection had stood before; 0 where there was none.

        Returns:
            Seconds to wait before the next attempt.

        >>> backoff = Backoff(lambda: 0.5)
        >>> [backoff.failed() for _ in range(4)], backoff.failed(stood_s=60)
        ([0.5, 1.0, 2.0, 4.0], 0.5)
        """
        if stood_s >= self._stable_s:
            self._failures = 0
        # The exponent is bounded, since a float is: after a night of failures 2 ** n is not a number any more.
        longest = min(self._longest_s, self._first_s * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return self._random() * longest


class TokenBucket:
    """So many messages a second, averaged over a second: the rate at which a venue lets us speak."""

    def __init__(self, per_second: float, now_s: Callable[[], float]) -> None:
        """Begin with a full second's worth.

        Args:
            per_second: Messages, > 0.
            now_s: Seconds, monotone.
        """
        self._per_second = per_second
        self._capacity = max(1.0, per_second)
        self._now_s = now_s
        self._tokens = self._capacity
        self._at = now_s()

    def take(self) -> float:
        """Take the right to one message; return how many seconds to wait before it is sent."""
        now = self._now_s()
        self._tokens = min(self._capacity, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        self._tokens -= 1.0
        return max(0.0, -self._tokens / self._per_second)


def retry_after_s(header: str | None, now_ns: int, longest_s: float = RETRY_AFTER_MAX_S) -> float | None:
    """Seconds that a Retry-After header asks for, at most `longest_s`: a number, or a date. None if it is not readable.

    >>> retry_after_s("30", 0), retry_after_s("Thu, 01 Jan 1970 00:01:00 GMT", 10 * 10**9), retry_after_s("soon", 0)
    (30.0, 50.0, None)
    """
    if header is None:
        return None
    text = header.strip()
    if text.isdecimal():
        return min(float(text), longest_s)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    wait = (moment - datetime.fromtimestamp(now_ns / 1e9, UTC)).total_seconds()
    return min(max(wait, 0.0), longest_s)
