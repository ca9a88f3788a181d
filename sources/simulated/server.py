"""The network's side: one port that speaks WebSocket and HTTP, and the loop that moves the exchange.

The WebSocket protocol is websockets' own state machine (`websockets.server.ServerProtocol`); the transport is ours,
because a server that must half-open, reset and cut its connections needs the socket, because one write for a batch of
messages is what makes 100,000 trades a second cheap, and because websockets' ready-made server answers no POST.
"""

import asyncio
import contextlib
import errno
import socket
import struct
from typing import TYPE_CHECKING, Any, Final, Self, cast
from urllib.parse import urlsplit

from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from market.errors import DeskError
from sources.simulated.answers import Answer
from sources.simulated.exchange import Exchange
from sources.simulated.faults import ENDPOINTS
from sources.simulated.history import History
from sources.simulated.http_api import HttpApi

if TYPE_CHECKING:
    from sources.simulated.clients import Connection

HEAD_BYTES: Final = 16_384
BODY_BYTES: Final = 1 << 20
MESSAGE_BYTES: Final = 1 << 20
IDLE_S: Final = 0.05
"""Longest sleep while clients are connected: quotes and heartbeats are that punctual."""
ALONE_S: Final = 0.5
"""Longest sleep while none is."""
_VENUE_PATHS: Final = {"v2": "kraken", "socket.io": "tradingview"}
_REASONS: Final = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 413: "Content Too Large"}


class Visitor(asyncio.Protocol):
    """One TCP connection: HTTP until it asks to be a WebSocket."""

    def __init__(self, server: "SimulatedServer") -> None:
        self._server = server
        self._exchange = server.exchange
        self._buffer = bytearray()
        self._websocket: ServerProtocol | None = None
        self._connection: Connection | None = None
        self._fragments: list[bytes] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP is up."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server.visitors.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._websocket is not None:
            self._websocket.receive_data(data)
            self._read_websocket()
            return
        self._buffer += data
        head, found, _ = bytes(self._buffer[: HEAD_BYTES + 4]).partition(b"\r\n\r\n")
        if not found:
            if len(self._buffer) > HEAD_BYTES:
                self._answer(Answer.error(400, "request head is too long"), keep=False)
            return
        if b"upgrade: websocket" in head.lower():
            self._websocket = ServerProtocol(max_size=MESSAGE_BYTES)
            self._websocket.receive_data(bytes(self._buffer))
            self._buffer.clear()
            self._read_websocket()
        else:
            self._read_http(head)

    def eof_received(self) -> None:
        """The client will send no more: close our side too."""
        if self._websocket is not None:
            self._websocket.receive_eof()

    def connection_lost(self, error: Exception | None) -> None:
        """TCP is gone."""
        self._server.visitors.discard(self)
        if self._connection is not None:
            self._exchange.disconnected(self._connection, "lost" if error else "closed by the client")

    # The exchange's side (`exchange.Link`)

    def send(self, data: bytes) -> None:
        """Write bytes that are WebSocket frames already."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self, code: int, reason: str) -> None:
        """Close with a close frame; the client's answer, or a second, ends TCP."""
        if self._websocket is None or self._transport.is_closing():
            return
        with contextlib.suppress(WebSocketException):
            self._websocket.send_close(code, reason)
        self._flush()
        asyncio.get_running_loop().call_later(1.0, self._transport.close)

    def reset(self) -> None:
        """End TCP by RST: what was not delivered yet is lost."""
        raw = self._transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def hang_up(self) -> None:
        """End TCP by FIN once what was written has left."""
        self._transport.close()

    def freeze(self) -> None:
        """Read no more."""
        with contextlib.suppress(RuntimeError):
            self._transport.pause_reading()

    @property
    def backlog(self) -> int:
        """Bytes beyond the socket's own buffer."""
        return self._transport.get_write_buffer_size()

    # WebSocket

    def _read_websocket(self) -> None:
        assert self._websocket is not None
        if self._connection is not None and self._connection.frozen:
            # Half open: what was read before the socket was left alone is not answered either.
            return
        for event in self._websocket.events_received():
            if isinstance(event, Request):
                self._upgrade(event)
            elif self._connection is not None and isinstance(event, Frame):
                self._read_frame(event)
        self._flush()

    def _upgrade(self, request: Request) -> None:
        """Accept a handshake, or refuse it as the faults want."""
        assert self._websocket is not None
        first = urlsplit(request.path).path.strip("/").split("/")[0]
        # The venues' own paths lead there too, so that only a host has to change.
        endpoint = _VENUE_PATHS.get(first, first)
        if endpoint not in ENDPOINTS:
            known = " ".join(f"/{name}" for name in ENDPOINTS)
            self._websocket.send_response(
                self._websocket.reject(404, f"no endpoint {request.path}; there are {known}\n")
            )
            return
        status = self._exchange.refusal(endpoint)
        if status is not None:
            response = self._websocket.reject(status, "refused by the simulated exchange\n")
            response.headers["Retry-After"] = "1"
            self._websocket.send_response(response)
            return
        response = self._websocket.accept(request)
        self._websocket.send_response(response)
        self._flush()
        if response.status_code == 101:
            self._connection = self._exchange.connect(endpoint, self)

    def _read_frame(self, frame: Frame) -> None:
        """Put messages together; control frames are websockets' business."""
        assert self._connection is not None
        if frame.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            self._fragments.append(bytes(frame.data))
            if frame.fin:
                text = b"".join(self._fragments).decode("utf-8", "replace")
                self._fragments.clear()
                self._exchange.receive(self._connection, text)

    def _flush(self) -> None:
        """Write what the protocol has to say; an empty chunk is its wish to end TCP."""
        assert self._websocket is not None
        for data in self._websocket.data_to_send():
            if not data:
                self._transport.close()
            elif not self._transport.is_closing():
                self._transport.write(data)

    # HTTP

    def _read_http(self, head: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        parts = lines[0].split(" ")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        length = headers.get("content-length", "0")
        if len(parts) != 3 or not length.isdecimal():
            self._answer(Answer.error(400, "malformed request"), keep=False)
            return
        if int(length) > BODY_BYTES:
            self._answer(Answer.error(413, f"a body holds at most {BODY_BYTES} bytes"), keep=False)
            return
        keep = parts[2] == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        end = len(head) + 4 + int(length)
        if len(self._buffer) < end:
            return
        body = bytes(self._buffer[len(head) + 4 : end])
        del self._buffer[:end]
        task = asyncio.get_running_loop().create_task(self._serve(parts[0], parts[1], body, keep=keep))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, method: str, target: str, body: bytes, *, keep: bool) -> None:
        answer = await self._server.api.answer(method, target, body)
        self._server.wake()
        self._answer(answer, keep=keep)

    def _answer(self, answer: Answer, *, keep: bool) -> None:
        if self._transport.is_closing():
            return
        reason = _REASONS.get(answer.status, "Status")
        head = (
            f"HTTP/1.1 {answer.status} {reason}\r\nContent-Type: {answer.content_type}\r\n"
            f"Content-Length: {len(answer.body)}\r\nConnection: {'keep-alive' if keep else 'close'}\r\n"
        )
        head += "".join(f"{name}: {value}\r\n" for name, value in answer.headers) + "\r\n"
        if answer.reset:
            self._transport.write(head.encode("latin-1") + answer.body[: len(answer.body) // 2])
            self.reset()
            return
        self._transport.write(head.encode("latin-1") + answer.body)
        if not keep:
            self._transport.close()


class SimulatedServer:
    """The port and the loop; `async with` starts and ends both."""

    def __init__(
        self,
        exchange: Exchange,
        history: History,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        pace_s: float = 0.001,
        history_per_minute: int = 0,
    ) -> None:
        """Prepare a server.

        Args:
            exchange: Moved by this server alone.
            history: Its past.
            host: Loopback, as a rule: there is neither a password nor TLS.
            port: 0 lets the system choose.
            pace_s: Least time between two batches of trades; a longer one costs less and delays more.
            history_per_minute: Pages of history in a minute of the exchange's clock; 0 without bound.
        """
        self.exchange = exchange
        self.api = HttpApi(exchange, history, history_per_minute)
        self.visitors: set[Visitor] = set()
        self.port = port
        self._host = host
        self._pace_s = pace_s
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failed: asyncio.Future[None] | None = None

    @property
    def url(self) -> str:
        """`ws://127.0.0.1:40123`, to which an endpoint is appended."""
        return f"ws://{self._host}:{self.port}"

    async def start(self) -> None:
        """Bind and begin.

        Raises:
            DeskError: The port is taken or not ours to bind.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: Visitor(self), self._host, self.port, backlog=512)
        except OSError as error:
            why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be bound ({error.strerror or error})"
            msg = f"port {self.port} on {self._host} {why}; choose another, or --port 0 for any free one"
            raise DeskError(msg) from error
        self.port = self._server.sockets[0].getsockname()[1]
        self._failed = loop.create_future()
        self.wake()

    async def stop(self) -> None:
        """Say goodbye to the clients and free the port."""
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()
        for visitor in tuple(self.visitors):
            visitor.close(1001, "going away")
        for visitor in tuple(self.visitors):
            visitor.hang_up()
        # One turn of the loop for the goodbyes to leave.
        await asyncio.sleep(0)
        self.exchange.truth.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def wake(self) -> None:
        """Move the exchange on, and come back when there is more to do."""
        if self._timer is not None:
            self._timer.cancel()
        try:
            more = self.exchange.pump()
        except Exception as error:  # noqa: BLE001  (whatever it was, an exchange that stands still must say so)
            self._fail(error)
            return
        wait_s = 0.0 if more else self._wait_s()
        self._timer = asyncio.get_running_loop().call_later(wait_s, self.wake)

    async def wait(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set.

        Raises:
            DeskError: The exchange cannot go on, as with a full disk.
        """
        assert self._failed is not None
        stopping = asyncio.ensure_future(stop.wait())
        either: set[asyncio.Future[Any]] = {stopping, self._failed}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if self._failed.done():
            self._failed.result()

    def _fail(self, error: Exception) -> None:
        assert self._failed is not None
        if not self._failed.done():
            self._failed.set_exception(error)

    def _wait_s(self) -> float:
        longest = IDLE_S if self.exchange.clients.connected else ALONE_S
        until = self.exchange.clock.seconds_until(self.exchange.next_ns)
        return max(self._pace_s, min(longest, longest if until is None else until))
