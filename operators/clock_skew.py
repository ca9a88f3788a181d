"""The skew of clocks: how far a feed's stamps are from our own clock, by the median of received minus event time."""

from collections import deque
from statistics import median
from typing import Final, NamedTuple

ALARM_NS: Final = 1_000_000_000
"""A median further from zero than this is an alarm."""
CLEAR: Final = 0.8
"""The alarm ends below this fraction of its threshold, so that it does not flutter."""
SAMPLES: Final = 256
"""The median is that of the newest samples, at most this many."""
ENOUGH: Final = 20
"""With fewer samples there is no verdict: a snapshot of old trades is not a skew."""


class Skew(NamedTuple):
    """What a feed's clock looks like at the moment."""

    median_ns: int | None
    """Received minus event time, positive where the venue's stamps are old; None with fewer than `ENOUGH` samples."""
    alarm: bool
    changed: bool
    """Whether `alarm` differs from the last time it was asked for."""


class ClockSkew:
    """One feed's skew. State: the newest `SAMPLES` differences and whether the alarm stands."""

    def __init__(self, alarm_ns: int = ALARM_NS) -> None:
        """Begin without a sample.

        Args:
            alarm_ns: A median further from zero is an alarm; from a whole-second stamp on, at least a second.
        """
        self._alarm_ns = alarm_ns
        self._samples: deque[int] = deque(maxlen=SAMPLES)
        self._alarm = False

    @property
    def median_ns(self) -> int | None:
        """The median of the samples; None with fewer than `ENOUGH`."""
        return int(median(self._samples)) if len(self._samples) >= ENOUGH else None

    def add(self, event_time: int, received_time: int) -> None:
        """Take one tick's times, ns; one tick of each burst is enough."""
        self._samples.append(received_time - event_time)

    def reset(self) -> None:
        """Forget the samples: after a reconnect the first ones are a snapshot of old trades."""
        self._samples.clear()

    def verdict(self) -> Skew:
        """The median, and whether it is an alarm.

        >>> skew = ClockSkew()
        >>> for n in range(20):
        ...     skew.add(event_time=n, received_time=n + 2_000_000_000)
        >>> skew.verdict()
        Skew(median_ns=2000000000, alarm=True, changed=True)
        """
        middle = self.median_ns
        if middle is None:
            return Skew(None, self._alarm, changed=False)
        limit = self._alarm_ns * (CLEAR if self._alarm else 1.0)
        before, self._alarm = self._alarm, abs(middle) > limit
        return Skew(middle, self._alarm, changed=before != self._alarm)
