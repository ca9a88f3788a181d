"""Tries again where that may help, for providers that are not called by HTTP of ours."""

from collections.abc import Callable
from random import Random
from typing import Final, TypeVar

from sources.history.provider import BadAnswer, Means, ProviderAway

TRIES: Final = 3
"""Calls made for one answer at most; an answer that cannot be read is asked for twice."""

Answer = TypeVar("Answer")


class Patience:
    """Asks the quota before each try, and waits longer after each one that failed."""

    def __init__(self, means: Means) -> None:
        """Begin.

        Args:
            means: Clock, patience and quota.
        """
        self._means = means
        # The clock is the seed, since chance, too, is given from outside.
        self._random = Random(means.now_ns())  # noqa: S311
        self._pause_s = 0.0
        self._unreadable = 0

    def call(self, request: Callable[[], Answer]) -> Answer:
        """What the request gives.

        Raises:
            QuotaSpent: Ours says no, or the request does.
            ProviderAway: As the request says, after all tries.
            BadAnswer: As the request says, also at the second time.
        """
        import stamina
        import stamina.instrumentation

        # Its own log of retries would go to standard output wherever no log was set up, into the middle of JSON.
        stamina.instrumentation.set_on_retry_hooks([])
        self._unreadable = 0
        for attempt in stamina.retry_context(
            on=self._again, attempts=TRIES, timeout=None, wait_initial=1.0, wait_max=8.0
        ):
            with attempt:
                if attempt.num > 1:
                    self._means.sleep(self._pause_s)
                self._pause_s = attempt.next_wait * (1.0 + self._random.random())
                self._means.ask(1)
                return request()
        raise AssertionError  # The loop returns or raises.

    def _again(self, error: Exception) -> float | bool:
        """Whether one more try may help. The pause is ours to make (`Means.sleep`), so the library's own is none."""
        if isinstance(error, BadAnswer):
            self._unreadable += 1
            return 0.0 if self._unreadable == 1 else False
        return 0.0 if isinstance(error, ProviderAway) else False
