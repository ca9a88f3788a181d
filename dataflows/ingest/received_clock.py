"""The clock of `received_time`: the machine's, but it never falls."""

from collections.abc import Callable


class ReceivedClock:
    """Gives ns UTC. Where the machine's clock is set back it stands still until that has caught up."""

    def __init__(self, now_ns: Callable[[], int], not_before: int = 0) -> None:
        """Begin where the journal ended.

        Args:
            now_ns: The machine's clock, ns UTC.
            not_before: Clock of the journal's last row, ns.
        """
        self._now_ns = now_ns
        self.last = not_before
        """The newest time given, ns."""

    def __call__(self) -> int:
        """The time, ns; not before any given before."""
        now = self._now_ns()
        if now > self.last:  # noqa: PLR1730  # max() costs more, at each frame.
            self.last = now
        return self.last

    @property
    def behind_ns(self) -> int:
        """How far the machine's clock is behind the time given; positive after it was set back."""
        return max(0, self.last - self._now_ns())
