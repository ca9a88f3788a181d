"""The exchange's clock: the wall's, one that runs faster, or one that only a command moves."""

from collections.abc import Callable
from typing import Protocol

SECOND_NS = 1_000_000_000


class Clock(Protocol):
    """What time the exchange believes it is."""

    stamps_when_sent: bool
    """Whether a trade is stamped when it is sent (latency can then be measured) or when it was made (a run can then be
    repeated to the byte)."""

    def now_ns(self) -> int:
        """Exchange time, ns since 1970 UTC."""

    def seconds_until(self, time_ns: int) -> float | None:
        """Wall seconds until the clock shows `time_ns`, <= 0 if it has; None if only a command can bring it there."""


class WallClock:
    """The clock on the wall."""

    stamps_when_sent = True

    def __init__(self, wall_ns: Callable[[], int]) -> None:
        self.now_ns = wall_ns

    def seconds_until(self, time_ns: int) -> float | None:
        """Wall seconds until `time_ns`."""
        return (time_ns - self.now_ns()) / SECOND_NS


class VirtualClock:
    """Starts at a given time and runs at a multiple of the wall's speed, so that minutes pass in a second."""

    stamps_when_sent = False

    def __init__(self, start_ns: int, speed: float, monotonic_ns: Callable[[], int]) -> None:
        self._start_ns = start_ns
        self._speed = speed
        self._monotonic_ns = monotonic_ns
        self._origin_ns = monotonic_ns()

    def now_ns(self) -> int:
        """Exchange time, ns since 1970 UTC."""
        return self._start_ns + int((self._monotonic_ns() - self._origin_ns) * self._speed)

    def seconds_until(self, time_ns: int) -> float | None:
        """Wall seconds until `time_ns`."""
        return (time_ns - self.now_ns()) / self._speed / SECOND_NS


class ManualClock:
    """Stands still until it is told to advance: what a test wants."""

    stamps_when_sent = False

    def __init__(self, start_ns: int) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """Exchange time, ns since 1970 UTC."""
        return self._now_ns

    def seconds_until(self, time_ns: int) -> float | None:
        """0 for a time that has come; None for one that only `advance` can bring."""
        return 0.0 if time_ns <= self._now_ns else None

    def advance(self, seconds: float) -> None:
        """Move on by `seconds` >= 0."""
        self._now_ns += int(seconds * SECOND_NS)
