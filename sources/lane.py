"""One lane of a feed: the symbols that share a connection, and the loop that keeps one open for them.

What ends a connection, and what the loop does:

- Silence beyond the venue's limit: dropped and made anew.
- Frames without a tick for an implausibly long time: where trades have contiguous ids, subscribed again, since the last
  trades tell a quiet market from a lost subscription; if that brings none, dropped and made anew.
- The venue closes it, or the network breaks: backoff, and anew.
- Its lifetime nears the end, or the venue announces a close: the next one is opened and subscribed before it is closed.
- One symbol falls quiet: reported, and subscribed again on the same connection.

While there is no connection the lane's streams are down, from the last frame before the trouble on; a stream is up
again once the new subscription has brought a tick or has stood for a moment.

Frames are parsed as they are read, and a burst of them is handed on in the next turn of the event loop. Nothing is
queued: a receiver that is slow keeps the loop from reading, and TCP slows the venue down.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol

from market.symbols import Symbol
from sources.connection import Connection
from sources.feed import Feed, Parsed, QuoteRow, TickRow
from sources.pacing import Backoff, retry_after_s
from sources.watchdog import Watchdog
from sources.web_socket import OPEN_TIMEOUT_S, ConnectError

BURST_MAX: Final = 4096
"""Ticks after which a burst is handed on without waiting for the loop's next turn."""


class LaneState(StrEnum):
    """How a lane stands."""

    CONNECTING = "connecting"
    """A connection is being opened."""
    UP = "up"
    STALE = "stale"
    """Silent or mute beyond the limit, and being replaced."""
    BACKOFF = "backoff"
    """Waiting before the next attempt."""
    REFUSED = "refused"
    """The venue will not have us; tried again, slowly."""
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Timing:
    """The loop's own times, in seconds; tests shorten them."""

    backoff_first_s: float = 1.0
    backoff_longest_s: float = 60.0
    stable_s: float = 60.0
    """A connection that stood this long begins the backoff anew."""
    settle_s: float = 1.0
    """A subscription that was sent and stood this long counts as up, tick or no tick."""
    overlap_s: float = 2.0
    """How long two connections run side by side at a planned change."""
    lifetime_share: float = 0.95
    """A connection is replaced after this share of the venue's lifetime."""
    open_timeout_s: float = OPEN_TIMEOUT_S
    look_s: float = 0.5
    """How often silence is looked for, at most; never less often than a tenth of the venue's limit."""


class Receiver(Protocol):
    """What takes all that a feed brings. Called in the event loop; must not raise."""

    def received_ns(self) -> int:
        """The stamp of what is being received, ns; never falls."""

    def burst(self, ticks: list[TickRow], quotes: list[QuoteRow]) -> None:
        """Take what came since the last burst, in order."""

    def down(self, streams: Sequence[int], since: int, reason: str) -> None:
        """These streams may lack ticks from `since` on: ns, the last frame before the trouble. May be repeated."""

    def up(self, streams: Sequence[int]) -> None:
        """These streams flow. May be repeated."""

    def reject(self, reason: str, detail: str, frame: str) -> None:
        """A frame, or a part of one, could not be read."""

    def note(self, event: str, detail: str) -> None:
        """Something happened.

        Ours: `connect_failed` `disconnected` `feed_asked` `feed_stale` `symbol_mute` `renewed` `renewal_failed`. The
        venue's: `subscribed` `unsubscribed` `refused` `status` `maintenance` `error` `delayed`.
        """

    def exists(self, stream: int, trade_id: int) -> None:
        """The venue says that this is a stream's newest trade."""


class _Ending(NamedTuple):
    """How a connection ended."""

    reason: str
    since: int
    """ns, from when on it may have missed something."""


class Lane:
    """Up to `limits.symbols_per_connection` symbols, and the task that keeps them flowing."""

    def __init__(
        self,
        feed: Feed,
        receiver: Receiver,
        *,
        connect_slot_s: Callable[[], float],
        random: Callable[[], float],
        now_s: Callable[[], float],
        timing: Timing,
    ) -> None:
        """Prepare a lane; `run` works it.

        Args:
            feed: The venue.
            receiver: Takes what comes.
            connect_slot_s: Reserves the next moment at which the venue may be connected to; seconds until then.
            random: Draws from [0, 1), for the jitter.
            now_s: Seconds, monotone.
            timing: The loop's own times.
        """
        self.feed = feed
        self.symbols: dict[Symbol, int] = {}
        """Stream id by symbol."""
        self.state = LaneState.CONNECTING
        self.opened = 0
        """Connections made."""
        self.ticks = 0
        self.last_error = ""
        self.url = feed.urls()[0]
        self.out = Parsed()
        self.received_ns = receiver.received_ns
        self.reject = receiver.reject
        self.note = receiver.note
        self.exists = receiver.exists
        self._receiver = receiver
        self._connect_slot_s = connect_slot_s
        self._now_s = now_s
        self._timing = timing
        self._backoff = Backoff(
            random,
            first_s=timing.backoff_first_s,
            longest_s=timing.backoff_longest_s,
            stable_s=timing.stable_s,
        )
        self._watchdog = Watchdog(feed.limits)
        self._connection: Connection | None = None
        self._pending: set[int] = set()
        """Streams subscribed and not known to flow yet."""
        self._pending_since_s: float | None = None
        """When the last of their subscriptions had been sent."""
        self._stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turn = 0
        self._scheduled = False
        self._loop = asyncio.get_running_loop()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def room(self) -> int:
        """How many more symbols fit."""
        return self.feed.limits.symbols_per_connection - len(self.symbols)

    @property
    def frames(self) -> int:
        """Frames on the present connection."""
        return self._connection.frames if self._connection is not None else 0

    @property
    def last_frame_ns(self) -> int:
        """Received time of the newest frame; 0 before the first connection."""
        return self._connection.last_frame_ns if self._connection is not None else 0

    def add(self, streams: dict[Symbol, int]) -> None:
        """Take on symbols with their streams; subscribed at once where a connection is open."""
        self.symbols.update(streams)
        self._await_flow(streams.values())
        connection = self._connection
        if connection is not None and not connection.closed.done():
            connection.streams.update(streams)
            connection.subscribe(streams)

    def remove(self, symbols: Iterable[Symbol]) -> None:
        """Let go of symbols."""
        gone = [symbol for symbol in symbols if symbol in self.symbols]
        for symbol in gone:
            stream = self.symbols.pop(symbol)
            self._pending.discard(stream)
            self._watchdog.forget(stream)
        connection = self._connection
        if connection is not None and not connection.closed.done():
            connection.unsubscribe(gone)

    def arrived(self) -> None:
        """Parsed ticks or quotes are in `out`: hand them on in the loop's next turn, with all that comes until then."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.hand_on)
        elif len(self.out.ticks) >= BURST_MAX:
            self.hand_on()

    def hand_on(self) -> None:
        """Hand on what has been parsed so far."""
        self._scheduled = False
        out = self.out
        ticks, quotes = out.ticks, out.quotes
        if not ticks and not quotes:
            return
        out.ticks, out.quotes = [], []
        if ticks:
            self.ticks += len(ticks)
            self._watchdog.saw(ticks, self._now_s())
            if self._pending:
                self._flows(self._watchdog.seen(self._pending))
        self._receiver.burst(ticks, quotes)

    def stop(self) -> None:
        """End `run` soon."""
        if not self._stopped.done():
            self._stopped.set_result(None)

    async def run(self) -> None:
        """Keep a connection open until `stop`."""
        while not self._stopped.done():
            if await self._pause(self._connect_slot_s()):
                break
            if self.state is not LaneState.STALE:
                self.state = LaneState.CONNECTING
            try:
                connection = await self._open(silent=False)
            except ConnectError as error:
                await self._pause(self._failed(error))
                continue
            if self._stopped.done():
                self._close_aside(connection)
                break
            self._adopt(connection)
            reason, stood_s = await self._serve(connection)
            if not self._stopped.done():
                self.last_error = reason
                wait_s = self._backoff.failed(stood_s)
                if self.state is not LaneState.STALE:
                    self.state = LaneState.BACKOFF
                self.note("disconnected", f"{reason} after {stood_s:.0f} s; next attempt in {wait_s:.1f} s")
                await self._pause(wait_s)
        self.hand_on()
        self.state = LaneState.STOPPED
        if self._closing:
            await asyncio.wait(self._closing)

    async def _open(self, *, silent: bool) -> Connection:
        """Open one connection and begin to subscribe.

        Raises:
            ConnectError: It could not be opened.
        """
        urls = self.feed.urls()
        known = dict(self.symbols)
        connection = Connection(self.feed, self, dict(known), self._now_s, silent=silent)
        self.url = urls[self._turn % len(urls)]
        try:
            await connection.open(self.url, known, self._timing.open_timeout_s)
        except ConnectError:
            self._turn += 1
            raise
        # Symbols may have come and gone while it was being opened.
        connection.streams.update(self.symbols)
        connection.subscribe([symbol for symbol in self.symbols if symbol not in known])
        connection.unsubscribe([symbol for symbol in known if symbol not in self.symbols])
        return connection

    def _adopt(self, connection: Connection) -> None:
        """Make a new connection the lane's."""
        self._connection = connection
        self.opened += 1
        self.state = LaneState.UP
        self._watchdog.began(self._now_s())

    def _failed(self, error: ConnectError) -> float:
        """Note a failed attempt; return how long to wait."""
        self.last_error = str(error)
        wait_s = self._backoff.failed()
        asked_s = retry_after_s(error.retry_after, self.received_ns())
        if asked_s is not None:
            wait_s = max(wait_s, asked_s)
        elif error.refused and self._turn % len(self.feed.urls()) == 0:
            # Every address has refused: knocking faster changes no mind.
            wait_s = self._timing.backoff_longest_s
        self.state = LaneState.REFUSED if error.refused else LaneState.BACKOFF
        self.note("connect_failed", f"{error}; next attempt in {wait_s:.1f} s")
        return wait_s

    async def _serve(self, connection: Connection) -> tuple[str, float]:
        """Stay with a connection and its planned successors; why the last one ended, and how long it had stood."""
        while (ending := await self._watch(connection)) is None:
            connection = await self._renewed(connection)
        self.hand_on()
        if self._stopped.done():
            self._close_aside(connection)
        else:
            if self.state is LaneState.STALE:
                self.note("feed_stale", ending.reason)
            connection.abort(ending.reason)
            self._went_down(ending.since, ending.reason)
        return ending.reason, self._now_s() - connection.opened_s

    async def _watch(self, connection: Connection) -> _Ending | None:
        """Wait until a connection has ended or must end, and return why; None if it is to be renewed as planned."""
        limits, timing, watchdog = self.feed.limits, self._timing, self._watchdog
        look_s = min(timing.look_s, limits.silence_s / 10, timing.settle_s / 4)
        asked_s: float | None = None
        while not await self._pause(look_s, connection):
            now = self._now_s()
            silent_s = watchdog.silent_s(connection.frames, now)
            if silent_s is not None:
                self.state = LaneState.STALE
                return _Ending(f"no frame for {silent_s:.1f} s", connection.last_frame_ns)
            mute_s = watchdog.mute_s(now)
            if mute_s is None:
                asked_s = None
            elif asked_s is None and self.feed.contiguous_ids:
                asked_s = now
                self._ask_again(connection, mute_s)
            elif asked_s is None or now - asked_s > limits.silence_s:
                self.state = LaneState.STALE
                # It went wrong after its last tick, though frames still came.
                return _Ending(f"no tick of any symbol for {mute_s:.1f} s", self.received_ns() - int(mute_s * 1e9))
            self._settle(connection, now)
            self._subscribe_mute_again(connection, now)
            life_s = limits.lifetime_s
            if connection.renew or (life_s and now - connection.opened_s > life_s * timing.lifetime_share):
                return None
        reason = connection.closed.result() if connection.closed.done() else "stopped"
        return _Ending(reason, connection.last_frame_ns)

    def _ask_again(self, connection: Connection, mute_s: float) -> None:
        """Subscribe to all again: a venue that answers with its last trades shows by their ids whether it was quiet."""
        self.note("feed_asked", f"no tick of any symbol for {mute_s:.1f} s; subscribed again")
        connection.unsubscribe(self.symbols)
        connection.subscribe(self.symbols)

    async def _renewed(self, old: Connection) -> Connection:
        """Open the next connection while this one still runs, and change over.

        Returns:
            The new one; the old one if it has to do, or has ended meanwhile.
        """
        if await self._pause(self._connect_slot_s(), old):
            return old
        try:
            # Where trades have no ids, two that speak would be told twice, so the new one listens until the change.
            successor = await self._open(silent=not self.feed.contiguous_ids)
        except ConnectError as error:
            wait_s = self._backoff.failed()
            self.note("renewal_failed", f"{error}; the connection to be renewed still runs, again in {wait_s:.1f} s")
            await self._pause(wait_s, old)
            return old
        while not successor.sent_all and not await self._pause(self._timing.settle_s / 4, successor):
            pass
        if await self._pause(self._timing.overlap_s, successor):
            self._close_aside(successor)
            if not self._stopped.done():
                self.note("renewal_failed", f"the new connection {successor.closed.result()}; the old one still runs")
                await self._pause(self._backoff.failed(), old)
            return old
        self.hand_on()
        if old.closed.done():
            self._went_down(old.last_frame_ns, old.closed.result())
        self._close_aside(old)
        successor.silent = False
        self._adopt(successor)
        self.note("renewed", "changed over to a new connection as planned")
        return successor

    def _went_down(self, since: int, reason: str) -> None:
        self._receiver.down(list(self.symbols.values()), since, reason)
        self._await_flow(self.symbols.values())

    def _close_aside(self, connection: Connection) -> None:
        task = self._loop.create_task(connection.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _await_flow(self, streams: Iterable[int]) -> None:
        self._pending.update(streams)
        self._pending_since_s = None

    def _flows(self, streams: Sequence[int]) -> None:
        if streams:
            self._pending.difference_update(streams)
            self._receiver.up(streams)

    def _settle(self, connection: Connection, now: float) -> None:
        """Count quiet symbols as flowing once their subscription has stood for a moment on a living connection."""
        if not self._pending:
            return
        if not connection.sent_all or not connection.frames:
            self._pending_since_s = None
        elif self._pending_since_s is None:
            self._pending_since_s = now
        elif now - self._pending_since_s >= self._timing.settle_s:
            self._flows(sorted(self._pending))

    def _subscribe_mute_again(self, connection: Connection, now: float) -> None:
        mute = dict(self._watchdog.mute_streams(now))
        if mute:
            symbols = [symbol for symbol, stream in self.symbols.items() if stream in mute]
            for symbol in symbols:
                quiet_s = mute[self.symbols[symbol]]
                self.note("symbol_mute", f"{symbol} has had no tick for {quiet_s:.0f} s; subscribed again")
            connection.unsubscribe(symbols)
            connection.subscribe(symbols)

    async def _pause(self, seconds: float, connection: Connection | None = None) -> bool:
        """Wait; whether the lane was stopped, or the connection ended, meanwhile."""
        ends: set[asyncio.Future[Any]] = {self._stopped}
        if connection is not None:
            ends.add(connection.closed)
        done, _ = await asyncio.wait(ends, timeout=max(seconds, 0.0), return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
