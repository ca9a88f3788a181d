"""A live feed: one venue, as many connections as its symbols need, and symbols that come and go while it runs."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from market.symbols import Symbol
from sources.feed import Feed
from sources.lane import Lane, LaneState, Receiver, Timing

_WORST_FIRST: Final = (
    LaneState.REFUSED,
    LaneState.STALE,
    LaneState.BACKOFF,
    LaneState.CONNECTING,
    LaneState.UP,
    LaneState.STOPPED,
)


class LiveFeed:
    """One venue's live data, from `start` to `stop`. Used in one event loop."""

    def __init__(
        self,
        feed: Feed,
        receiver: Receiver,
        *,
        random: Callable[[], float],
        now_s: Callable[[], float],
        timing: Timing | None = None,
    ) -> None:
        """Prepare a feed; nothing is connected before it has symbols.

        Args:
            feed: The venue.
            receiver: Takes what comes.
            random: Draws from [0, 1), for the backoff's jitter.
            now_s: Seconds, monotone.
            timing: The loop's own times.
        """
        self.feed = feed
        self.lanes: list[Lane] = []
        self._receiver = receiver
        self._random = random
        self._now_s = now_s
        self._timing = Timing() if timing is None else timing
        self._next_connect_s = float("-inf")
        self._tasks: dict[Lane, asyncio.Task[None]] = {}

    @property
    def symbols(self) -> dict[Symbol, int]:
        """Stream id by symbol, of all that are subscribed."""
        return {symbol: stream for lane in self.lanes for symbol, stream in lane.symbols.items()}

    @property
    def state(self) -> LaneState:
        """The worst of the connections' states; stopped where there are none."""
        states = {lane.state for lane in self.lanes}
        return next((state for state in _WORST_FIRST if state in states), LaneState.STOPPED)

    @property
    def reconnects(self) -> int:
        """Connections made beyond the first of each lane."""
        return sum(max(lane.opened - 1, 0) for lane in self.lanes)

    @property
    def ticks(self) -> int:
        """Ticks parsed, of the present lanes."""
        return sum(lane.ticks for lane in self.lanes)

    @property
    def frames(self) -> int:
        """Frames received, of the present connections."""
        return sum(lane.frames for lane in self.lanes)

    @property
    def last_frame_ns(self) -> int:
        """Received time of the newest frame; 0 before the first."""
        return max((lane.last_frame_ns for lane in self.lanes), default=0)

    @property
    def last_error(self) -> str:
        """Why the last connection ended or failed; empty if none has."""
        return next((lane.last_error for lane in self.lanes if lane.last_error), "")

    @property
    def host(self) -> str:
        """Host, and port if it names one, that the feed is, or will first be, connected to."""
        url = self.lanes[0].url if self.lanes else self.feed.urls()[0]
        return urlsplit(url).netloc.rpartition("@")[2]

    def subscribe(self, streams: Mapping[Symbol, int]) -> None:
        """Take on symbols with their streams. Those already subscribed stay as they are; no connection is made anew."""
        known = self.symbols
        wanted = [(symbol, stream) for symbol, stream in streams.items() if symbol not in known]
        for lane in self.lanes:
            room = max(lane.room, 0)
            if room and wanted:
                lane.add(dict(wanted[:room]))
                wanted = wanted[room:]
        size = self.feed.limits.symbols_per_connection
        for first in range(0, len(wanted), size):
            self._begin(dict(wanted[first : first + size]))

    def unsubscribe(self, symbols: list[Symbol]) -> None:
        """Let go of symbols. A connection without any is closed."""
        for lane in list(self.lanes):
            lane.remove(symbols)
            if not lane.symbols:
                lane.stop()
                self.lanes.remove(lane)

    async def stop(self) -> None:
        """Close all connections; returns when the last one's ticks have been handed on."""
        for lane in self.lanes:
            lane.stop()
        if self._tasks:
            await asyncio.wait(set(self._tasks.values()))

    def _begin(self, streams: dict[Symbol, int]) -> None:
        lane = Lane(
            self.feed,
            self._receiver,
            connect_slot_s=self._connect_slot_s,
            random=self._random,
            now_s=self._now_s,
            timing=self._timing,
        )
        lane.add(streams)
        self.lanes.append(lane)
        task = asyncio.get_running_loop().create_task(lane.run())
        self._tasks[lane] = task
        task.add_done_callback(lambda done: self._ended(lane, done))

    def _ended(self, lane: Lane, task: asyncio.Task[None]) -> None:
        self._tasks.pop(lane, None)
        if not task.cancelled() and task.exception() is not None:
            # A mistake of ours: the loop's owner decides, and must not go on without this feed as if all were well.
            context = {"message": f"feed {self.feed.name} failed", "exception": task.exception(), "task": task}
            task.get_loop().call_exception_handler(context)

    def _connect_slot_s(self) -> float:
        """Reserve the next moment at which the venue lets us connect; seconds until then."""
        now = self._now_s()
        at = max(now, self._next_connect_s)
        self._next_connect_s = at + self.feed.limits.connect_interval_s
        return at - now
