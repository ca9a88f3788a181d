"""One connection of a feed, from the upgrade to the close: subscriptions, heartbeats, each frame parsed as it comes."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Final, Protocol

from market.symbols import Symbol
from sources.feed import Feed, Parsed, Parser
from sources.pacing import TokenBucket
from sources.web_socket import WebSocket, open_web_socket

FRAME_KEPT: Final = 2048
"""Characters of a refused frame that are kept."""


class Inlet(Protocol):
    """Where the frames of all connections of a feed come together."""

    out: Parsed
    """What parsers append to; emptied when its burst is handed on."""

    def received_ns(self) -> int:
        """The stamp of a frame, ns; never falls."""

    def arrived(self) -> None:
        """`out` holds ticks or quotes; called after each frame that brought some."""

    def reject(self, reason: str, detail: str, frame: str) -> None:
        """Something in a frame could not be read."""

    def note(self, event: str, detail: str) -> None:
        """The venue said something about itself or a subscription."""

    def exists(self, stream: int, trade_id: int) -> None:
        """The venue says that this is the newest trade."""


class Connection:
    """One open WebSocket of a feed and the symbols subscribed on it."""

    def __init__(
        self,
        feed: Feed,
        inlet: Inlet,
        streams: dict[Symbol, int],
        now_s: Callable[[], float],
        *,
        silent: bool = False,
    ) -> None:
        """Prepare a connection; `open` makes it.

        Args:
            feed: The venue.
            inlet: Takes what the frames hold.
            streams: Stream id by symbol, of all symbols that may come.
            now_s: Seconds, monotone.
            silent: See the attribute.
        """
        self.feed = feed
        self.streams = streams
        self.frames = 0
        self.last_frame_ns = 0
        """Received time of the newest frame; of the upgrade before the first."""
        self.opened_s = 0.0
        self.url = ""
        self.renew = False
        """The venue announced that it will close this connection."""
        self.silent = silent
        """Whether ticks and quotes are thrown away: where trades have no ids, only one of two overlapping connections
        may speak."""
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Ends with the reason once the connection is gone."""
        self._inlet = inlet
        self._scratch = Parsed()
        self._now_s = now_s
        self._parser: Parser = feed.parser(streams)
        self._bucket = TokenBucket(feed.limits.messages_per_second, now_s)
        self._socket: WebSocket | None = None
        self._outgoing: deque[str] = deque()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def sent_all(self) -> bool:
        """Whether all subscriptions asked for so far have been sent."""
        return not self._outgoing and self._socket is not None

    async def open(self, url: str, symbols: Iterable[Symbol], open_timeout_s: float) -> None:
        """Connect, greet, and begin to subscribe.

        Raises:
            ConnectError: It could not be opened.
        """
        self.url = url
        self.last_frame_ns = self._inlet.received_ns()
        self._socket = await open_web_socket(
            url,
            self._frame,
            headers=self.feed.headers(),
            max_frame_bytes=self.feed.limits.max_frame_bytes,
            open_timeout_s=open_timeout_s,
        )
        self.opened_s = self._now_s()
        self._outgoing.extend(self.feed.hello())
        self.subscribe(symbols)
        self._spawn(self._send())
        self._spawn(self._wait_closed())
        if self.feed.limits.heartbeat_s is not None:
            self._spawn(self._beat(self.feed.limits.heartbeat_s))

    def subscribe(self, symbols: Iterable[Symbol]) -> None:
        """Ask for symbols, whose streams `streams` names."""
        wanted = list(symbols)
        if wanted:
            self._queue(self.feed.subscribe(wanted))

    def unsubscribe(self, symbols: Iterable[Symbol]) -> None:
        """Ask for no more of symbols. Their last ticks may still come, so `streams` keeps naming them."""
        unwanted = list(symbols)
        if unwanted:
            self._queue(self.feed.unsubscribe(unwanted))

    async def close(self) -> None:
        """Close politely, within two seconds."""
        self._end("closed by us")
        if self._socket is not None:
            with suppress(Exception):  # A connection that breaks while it is closed is closed all the same.
                await self._socket.close()

    def abort(self, reason: str) -> None:
        """Drop the connection at once: a dead peer answers no goodbye."""
        self._end(reason)
        if self._socket is not None:
            self._socket.transport.abort()

    def _end(self, reason: str) -> None:
        for task in self._tasks:
            task.cancel()
        if not self.closed.done():
            self.closed.set_result(reason)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    def _frame(self, frame: str | bytes) -> None:
        """Take one message. Runs while the socket is read: ten thousand times a second, and must not raise."""
        if self.closed.done():
            return
        inlet = self._inlet
        self.frames += 1
        self.last_frame_ns = now = inlet.received_ns()
        out = self._scratch if self.silent else inlet.out
        try:
            self._parser.parse(frame, now, out)
        except Exception as error:  # noqa: BLE001  # A parser's mistake must not cost the connection.
            inlet.reject("parser", f"{self.feed.name} parser failed: {error!r}", _shown(frame))
        if self.silent:
            out.ticks.clear()
            out.quotes.clear()
        elif out.ticks or out.quotes:
            inlet.arrived()
        if out.rejects or out.notes or out.replies or out.last_ids or out.reconnect:
            self._rare(frame, out)

    def _rare(self, frame: str | bytes, out: Parsed) -> None:
        inlet = self._inlet
        if out.replies:
            self._outgoing.extendleft(reversed(out.replies))
            self._wake.set()
            out.replies.clear()
        for reason, detail in out.rejects:
            inlet.reject(reason, detail, _shown(frame))
        out.rejects.clear()
        for event, detail in out.notes:
            inlet.note(event, detail)
        out.notes.clear()
        for stream, trade_id in out.last_ids:
            inlet.exists(stream, trade_id)
        out.last_ids.clear()
        if out.reconnect:
            self.renew = True
            out.reconnect = False

    def _queue(self, frames: Iterable[str]) -> None:
        self._outgoing.extend(frames)
        self._wake.set()

    async def _send(self) -> None:
        """Send what waits, within the venue's limit of messages."""
        assert self._socket is not None
        while True:
            while self._outgoing:
                await asyncio.sleep(self._bucket.take())
                if self._outgoing:
                    # Broken connections are noticed by the one who waits for the close.
                    with suppress(Exception):
                        await self._socket.send(self._outgoing.popleft())
            self._wake.clear()
            await self._wake.wait()

    async def _beat(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            self._outgoing.append(self.feed.heartbeat())
            self._wake.set()

    async def _wait_closed(self) -> None:
        assert self._socket is not None
        await self._socket.wait_closed()
        # Says who sent which close frame, or that none came: "received 1012 (service restart) restart; then sent ...".
        self._end(f"connection ended: {self._socket.protocol.close_exc}")


def _shown(frame: str | bytes) -> str:
    """The frame as text, bounded."""
    return frame[:FRAME_KEPT] if isinstance(frame, str) else frame[:FRAME_KEPT].decode(errors="backslashreplace")
