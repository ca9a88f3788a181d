"""Silence, and what it means: a dead connection, a mute feed, a symbol that stopped or is only quiet."""

from collections.abc import Iterable, Sequence
from math import exp
from typing import Final

from sources.feed import Limits, TickRow

MUTE_GAPS: Final = 100.0
"""A connection is mute when no symbol ticked for so many of its mean gaps between ticks, and three silence limits."""
MEAN_OVER_S: Final = 600.0
"""Over how long the mean gap is taken, so that a quiet night is judged by the night."""
STRIKES_MAX: Final = 6
"""A symbol that stays quiet is reported after 1, 2, 4, ... 64 times its silence limit."""


class Watchdog:
    """Watches one connection. Told what came and what time it is; all times are seconds of one monotone clock.

    State: two numbers per stream that has ticked, and the mean rate of ticks.
    """

    def __init__(self, limits: Limits) -> None:
        """Begin; `began` is called with each connection.

        Args:
            limits: The venue's.
        """
        self._limits = limits
        self._frames = 0
        self._heard = 0.0
        self._seen: dict[int, float] = {}
        self._newest = 0.0
        self._strikes: dict[int, int] = {}
        self._ticks = 0
        self._rate = 0.0
        self._weight = 0.0
        self._rated = 0.0
        self._rated_ticks = 0

    def began(self, now: float) -> None:
        """A new connection: nothing has come on it yet."""
        self._frames = 0
        self._heard = self._newest = self._rated = now
        self._rated_ticks = self._ticks
        self._seen.clear()
        self._strikes.clear()

    def saw(self, rows: Sequence[TickRow], now: float) -> None:
        """A burst of ticks came."""
        seen = self._seen
        for row in rows:
            seen[row[6]] = now
        self._newest = now
        self._ticks += len(rows)

    def seen(self, streams: Iterable[int]) -> list[int]:
        """Those of the streams that have ticked on this connection."""
        return [stream for stream in streams if stream in self._seen]

    def forget(self, stream: int) -> None:
        """A stream is no longer subscribed."""
        self._seen.pop(stream, None)
        self._strikes.pop(stream, None)

    def silent_s(self, frames: int, now: float) -> float | None:
        """Seconds without any frame if that is more than the venue's limit, else None.

        Args:
            frames: Frames so far on this connection.
            now: Seconds.
        """
        if frames != self._frames:
            self._frames, self._heard = frames, now
        silence = now - self._heard
        return silence if silence > self._limits.silence_s else None

    def mute_s(self, now: float) -> float | None:
        """Seconds without a tick of any symbol if that is implausible at the rate so far, else None."""
        past = now - self._rated
        # Taken when ticks came, so that the silence which is to be judged does not lower what it is judged by.
        if past > 0 and self._ticks != self._rated_ticks:
            kept = exp(-past / MEAN_OVER_S)
            self._rate = self._rate * kept + (self._ticks - self._rated_ticks) / past * (1 - kept)
            # The mean begins at nothing; dividing by the weight of what it has seen makes it one of that alone.
            self._weight = self._weight * kept + 1 - kept
            self._rated, self._rated_ticks = now, self._ticks
        if not self._seen or self._rate <= 0:
            return None
        quiet = now - self._newest
        limit = max(3 * self._limits.silence_s, MUTE_GAPS * self._weight / self._rate)
        return quiet if quiet > limit else None

    def mute_streams(self, now: float) -> list[tuple[int, float]]:
        """Streams that had been trading and have been quiet beyond their limit, with their seconds without a tick.

        Each is named once, and again when twice, four times ... the limit has passed.
        """
        limit = self._limits.symbol_silence_s
        mute = []
        for stream, at in self._seen.items():
            quiet = now - at
            if quiet <= limit:
                self._strikes.pop(stream, None)
                continue
            strikes = self._strikes.get(stream, 0)
            if quiet > limit * 2**strikes:
                self._strikes[stream] = min(strikes + 1, STRIKES_MAX)
                mute.append((stream, quiet))
        return mute
