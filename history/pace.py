"""The pace of calls within a process: a bucket a provider, which all its workers draw from."""

from collections.abc import Callable
from math import ceil
from threading import Lock
from typing import Final

_MS_NS: Final = 1_000_000
_BACK_MS: Final = 1_000
"""A clock that falls by more was set, and what the bucket holds means nothing any more."""


class Pace:
    """Spaces calls so that no second holds more than it may; small bursts pass at once. Thread-safe."""

    def __init__(self, per_second: float, now_ns: Callable[[], int], sleep: Callable[[float], None]) -> None:
        """Start with a full bucket.

        Args:
            per_second: Calls; may be a fraction.
            now_ns: The clock.
            sleep: How to wait, seconds.
        """
        from pyrate_limiter import InMemoryBucket, Rate

        calls = max(1, ceil(per_second))
        self._bucket = InMemoryBucket([Rate(calls, ceil(1000 * calls / per_second))])
        self._now_ns = now_ns
        self._sleep = sleep
        self._guard = Lock()
        self._last_ms = 0

    def wait(self) -> None:
        """Return when a call may be made, having counted it."""
        while (wait_ms := self._try()) > 0:
            self._sleep(wait_ms / 1000)

    def _try(self) -> int:
        """Count a call if there is room; else how long to wait, ms."""
        from pyrate_limiter import RateItem

        with self._guard:
            now_ms = self._now_ns() // _MS_NS
            if now_ms < self._last_ms - _BACK_MS:
                self._bucket.flush()
            # Within a second the clock may step back a little; the bucket wants its items in order.
            now_ms = max(now_ms, self._last_ms) if now_ms >= self._last_ms - _BACK_MS else now_ms
            self._last_ms = now_ms
            self._bucket.leak(now_ms)
            item = RateItem("call", now_ms)
            if self._bucket.put(item):
                return 0
            waiting = self._bucket.waiting(item)
            assert isinstance(waiting, int), "a bucket in memory answers at once"
            return max(1, waiting)
